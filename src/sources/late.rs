//! What people read of an answer that did not come in time.

use std::time::Duration;

use jiff::SignedDuration;

/// No answer within a timeout.
pub(super) fn late(timeout: Duration) -> String {
    let timeout = SignedDuration::try_from(timeout).unwrap_or(SignedDuration::MAX);
    format!("no answer within {timeout:#}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_reads_as_people_write_it() {
        assert_eq!(late(Duration::from_millis(1500)), "no answer within 1s 500ms");
        assert_eq!(late(Duration::from_secs(10)), "no answer within 10s");
    }
}
