//! Who leads: one Lease, taken and kept by compare-and-swap, judged by the local monotonic clock only.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use jiff::Timestamp;
use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta},
};
use kube::{Api, Client, api::PostParams};
use tokio::{sync::Notify, time::Instant};

use super::{chain, locked};

/// The name of the Lease.
pub const NAME: &str = "steelyard";

/// Whether writes may be sent: as long as the lease surely holds.
#[derive(Clone, Debug, Default)]
pub struct Fence(Arc<Mutex<Term>>, Arc<Notify>);

#[derive(Debug, Default)]
struct Term {
    epoch: u64,
    until: Option<Instant>,
    margin: Duration,
}

impl Fence {
    /// Whether a write that is sent now ends before the lease does.
    pub fn holds(&self) -> bool {
        let term = locked(&self.0);
        term.until.is_some_and(|until| Instant::now() + term.margin < until)
    }

    /// The term of leadership; 0 before the first.
    pub fn epoch(&self) -> u64 {
        locked(&self.0).epoch
    }

    /// Something in the world says that another process leads: the lease is looked at now, not at the next renewal.
    pub fn doubt(&self) {
        self.1.notify_one();
    }

    /// No write from now on.
    pub fn close(&self) {
        locked(&self.0).until = None;
    }

    fn open(&self, epoch: u64, until: Instant, margin: Duration) {
        *locked(&self.0) = Term { epoch, until: Some(until), margin };
    }

    fn extend(&self, until: Instant) {
        let mut term = locked(&self.0);
        if term.until.is_some() {
            term.until = Some(until);
        }
    }
}

/// What to do about the Lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// It is ours: say so again.
    Renew,
    /// It is nobody's, or its holder has been silent for its whole time.
    TakeOver,
    /// It is somebody else's.
    Stand,
}

/// What to do about a Lease held by `holder` that hasn't changed for `unchanged` of this process' own time.
///
/// Identities are `POD_RANDOM`. A predecessor in the same pod has ended before this process was started, so its lease is taken at once.
pub fn step(me: &str, holder: &str, unchanged: Duration, lasts: Duration) -> Step {
    let pod = |identity: &str| identity.rsplit_once('_').map(|(pod, _)| pod.to_owned());
    if holder == me {
        Step::Renew
    } else if holder.is_empty() || unchanged >= lasts || pod(holder).is_some_and(|p| Some(p) == pod(me)) {
        Step::TakeOver
    } else {
        Step::Stand
    }
}

/// How the Lease is kept.
#[derive(Clone, Debug)]
pub struct Options {
    /// Its namespace.
    pub namespace: String,
    /// Who this process is, `POD_RANDOM`.
    pub identity: String,
    /// How long it lasts without renewal.
    pub lasts: Duration,
    /// How often it is renewed.
    pub renew: Duration,
}

impl Options {
    /// How long before the lease's end writes stop, and how long one write may take at most.
    pub fn margin(&self) -> Duration {
        super::client::CALL_LIMIT.min(self.lasts / 3)
    }
}

/// Takes part in the election.
pub struct Election {
    api: Api<Lease>,
    options: Options,
    fence: Fence,
    seen: Option<(String, Instant)>,
    held: Option<Lease>,
}

impl Election {
    /// Takes part through `client`, which should be used for nothing else: no queue of other calls may delay a renewal.
    pub fn new(client: Client, options: Options, fence: Fence) -> Self {
        let api = Api::namespaced(client, &options.namespace);
        Self { api, options, fence, seen: None, held: None }
    }

    /// Ends once this process leads.
    pub async fn win(&mut self) {
        let pause = self.options.renew.min(Duration::from_secs(1));
        loop {
            match self.attempt().await {
                Ok(true) => return,
                Ok(false) => {}
                Err(error) => tracing::warn!(error = %chain(&error), "the lease can't be read or taken"),
            }
            tokio::time::sleep(pause).await;
        }
    }

    /// Renews until the lease is lost, and ends then.
    pub async fn keep(&mut self) {
        let mut until = Instant::now() + self.options.lasts;
        loop {
            let doubted = Arc::clone(&self.fence.1);
            let _ = tokio::time::timeout(self.options.renew, doubted.notified()).await;
            let sent = Instant::now();
            match self.renew().await {
                Ok(true) => {
                    until = sent + self.options.lasts;
                    self.fence.extend(until);
                }
                Ok(false) => break,
                Err(error) => tracing::warn!(error = %chain(&error), "the lease can't be renewed"),
            }
            if Instant::now() + self.options.margin() >= until {
                break;
            }
        }
        self.fence.close();
    }

    /// Gives the lease up, so that a successor needn't wait for its end.
    pub async fn release(&mut self) {
        self.fence.close();
        if let Some(mut lease) = self.held.take() {
            if let Some(spec) = &mut lease.spec {
                spec.holder_identity = Some(String::new());
            }
            if let Err(error) = self.replace(&lease).await {
                tracing::warn!(error = %chain(&error), "the lease can't be released");
            }
        }
    }

    async fn attempt(&mut self) -> Result<bool, kube::Error> {
        let Some(lease) = self.call(self.api.get_opt(NAME)).await? else {
            let sent = Instant::now();
            let lease = Lease {
                metadata: ObjectMeta { name: Some(NAME.to_owned()), ..ObjectMeta::default() },
                spec: Some(self.spec(0, true, None)),
            };
            let params = PostParams::default();
            return match self.call(self.api.create(&params, &lease)).await {
                Ok(lease) => Ok(self.lead(lease, sent)),
                Err(kube::Error::Api(s)) if s.is_already_exists() => Ok(false),
                Err(error) => Err(error),
            };
        };
        let version = lease.metadata.resource_version.clone().unwrap_or_default();
        let since = match &self.seen {
            Some((seen, since)) if *seen == version => *since,
            _ => Instant::now(),
        };
        self.seen = Some((version, since));
        let spec = lease.spec.clone().unwrap_or_default();
        let holder = spec.holder_identity.clone().unwrap_or_default();
        let lasts = spec
            .lease_duration_seconds
            .and_then(|s| u64::try_from(s).ok())
            .map_or(self.options.lasts, Duration::from_secs);
        if step(&self.options.identity, &holder, since.elapsed(), lasts) == Step::Stand {
            return Ok(false);
        }
        let mut wanted = lease;
        wanted.spec = Some(self.spec(spec.lease_transitions.unwrap_or(0).saturating_add(1), true, None));
        let sent = Instant::now();
        Ok(self.replace(&wanted).await?.is_some_and(|lease| self.lead(lease, sent)))
    }

    fn lead(&mut self, lease: Lease, sent: Instant) -> bool {
        let epoch = lease.metadata.resource_version.as_deref().and_then(|v| v.parse().ok()).unwrap_or(0);
        if epoch == 0 {
            tracing::error!("the lease's resource version is not a number: no epoch, no leadership");
            return false;
        }
        self.held = Some(lease);
        self.fence.open(epoch, sent + self.options.lasts, self.options.margin());
        true
    }

    async fn renew(&mut self) -> Result<bool, kube::Error> {
        let Some(held) = &self.held else { return Ok(false) };
        let mut lease = held.clone();
        let old = lease.spec.unwrap_or_default();
        lease.spec = Some(self.spec(old.lease_transitions.unwrap_or(0), false, old.acquire_time));
        if let Some(lease) = self.replace(&lease).await? {
            self.held = Some(lease);
            return Ok(true);
        }
        // A renewal whose answer was lost also moves the version: read who holds it.
        let Some(lease) = self.call(self.api.get_opt(NAME)).await? else { return Ok(false) };
        let holder = lease.spec.as_ref().and_then(|s| s.holder_identity.clone()).unwrap_or_default();
        if holder != self.options.identity {
            tracing::error!(%holder, "another process leads");
            return Ok(false);
        }
        self.held = Some(lease);
        // Not counted as a renewal: the next one is sent with the version just read.
        Err(kube::Error::Service("the lease had moved".into()))
    }

    fn spec(&self, transitions: i32, acquired: bool, since: Option<MicroTime>) -> LeaseSpec {
        let now = MicroTime(Timestamp::now());
        LeaseSpec {
            holder_identity: Some(self.options.identity.clone()),
            lease_duration_seconds: Some(i32::try_from(self.options.lasts.as_secs()).unwrap_or(i32::MAX)),
            acquire_time: if acquired { Some(now.clone()) } else { since },
            renew_time: Some(now),
            lease_transitions: Some(transitions),
            ..LeaseSpec::default()
        }
    }

    /// The compare-and-swap; nothing where somebody else was first.
    async fn replace(&self, lease: &Lease) -> Result<Option<Lease>, kube::Error> {
        match self.call(self.api.replace(NAME, &PostParams::default(), lease)).await {
            Ok(lease) => Ok(Some(lease)),
            Err(kube::Error::Api(s)) if s.is_conflict() || s.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn call<T>(&self, call: impl Future<Output = Result<T, kube::Error>>) -> Result<T, kube::Error> {
        let limit = self.options.margin();
        tokio::time::timeout(limit, call)
            .await
            .unwrap_or_else(|_| Err(kube::Error::Service(format!("no answer within {limit:?}").into())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LASTS: Duration = Duration::from_secs(15);

    #[test]
    fn a_silent_holder_is_followed_only_after_its_whole_time() {
        assert_eq!(step("b_2", "a_1", Duration::from_millis(14_999), LASTS), Step::Stand);
        assert_eq!(step("b_2", "a_1", LASTS, LASTS), Step::TakeOver);
    }

    #[test]
    fn a_released_lease_and_that_of_a_predecessor_in_the_same_pod_are_taken_at_once() {
        assert_eq!(step("b_2", "", Duration::ZERO, LASTS), Step::TakeOver);
        assert_eq!(step("b_2", "b_1", Duration::ZERO, LASTS), Step::TakeOver);
        assert_eq!(step("b_2", "b_2", Duration::ZERO, LASTS), Step::Renew);
        assert_eq!(step("b_2", "bb_1", Duration::ZERO, LASTS), Step::Stand);
    }

    #[tokio::test(start_paused = true)]
    async fn writes_stop_a_margin_before_the_lease_ends() {
        let fence = Fence::default();
        assert!(!fence.holds(), "closed before the first term");
        fence.open(7, Instant::now() + LASTS, Duration::from_secs(5));
        assert!(fence.holds());
        tokio::time::advance(Duration::from_secs(10)).await;
        assert!(!fence.holds(), "a write of 5 s could end after the lease");
        fence.close();
        fence.extend(Instant::now() + LASTS);
        assert!(!fence.holds(), "a closed fence stays closed");
    }
}
