//! One request and its outcome.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// The connection that a request used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Connection {
    /// Opened for this request and closed after it.
    New,
    /// From the pool of kept-alive connections, just opened.
    Opened,
    /// From the pool, used before.
    Kept,
}

/// The outcome of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// An answer with this status.
    Status(u16),
    /// No connection could be opened.
    Refused(Arc<str>),
    /// The connection broke before the answer was complete.
    Broken(Arc<str>),
    /// There was no complete answer within the timeout.
    TimedOut,
}

impl Outcome {
    /// Returns true for anything but a complete 2xx answer.
    pub fn failed(&self) -> bool {
        !matches!(self, Self::Status(200..=299))
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(code) => write!(f, "status {code}"),
            Self::Refused(why) => write!(f, "no connection ({why})"),
            Self::Broken(why) => write!(f, "connection broke ({why})"),
            Self::TimedOut => f.write_str("timed out"),
        }
    }
}

/// One request, with times counted from the start of the load.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// When it was due.
    pub scheduled: Duration,
    /// When it was sent; the difference from `scheduled` is the generator's lag, not the server's.
    pub sent: Duration,
    /// From sending to the last byte of the answer, or to its failure.
    pub latency: Duration,
    /// Its outcome.
    pub outcome: Outcome,
    /// The kind of connection it used.
    pub connection: Connection,
    /// The version that answered (header `x-version`); `None` if a proxy answered.
    pub version: Option<Arc<str>>,
    /// The pod that answered (header `x-pod`).
    pub pod: Option<Arc<str>>,
}

impl Sample {
    /// Returns when it was answered or failed, from the start of the load.
    pub fn ended(&self) -> Duration {
        self.sent + self.latency
    }

    /// Returns whether the application answered with an error: the request failed, and its answer
    /// has a version.
    pub fn bad_answer(&self) -> bool {
        self.outcome.failed() && self.version.is_some()
    }
}

impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let connection = match self.connection {
            Connection::New => "new",
            Connection::Opened => "opened",
            Connection::Kept => "kept",
        };
        write!(
            f,
            "at {:.3}s: {} after {:.1} ms, {connection} connection",
            self.sent.as_secs_f64(),
            self.outcome,
            self.latency.as_secs_f64() * 1e3
        )?;
        if let Some(version) = &self.version {
            write!(f, ", by {version}")?;
        }
        if let Some(pod) = &self.pod {
            write!(f, " ({pod})")?;
        }
        Ok(())
    }
}
