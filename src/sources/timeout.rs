//! The message for an exceeded timeout.

use std::time::Duration;

use jiff::SignedDuration;

/// Returns the message for an exceeded timeout.
pub(super) fn timeout_message(timeout: Duration) -> String {
    let timeout = SignedDuration::try_from(timeout).unwrap_or(SignedDuration::MAX);
    format!("no answer within {timeout:#}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_is_formatted_with_units() {
        assert_eq!(timeout_message(Duration::from_millis(1500)), "no answer within 1s 500ms");
        assert_eq!(timeout_message(Duration::from_secs(10)), "no answer within 10s");
    }
}
