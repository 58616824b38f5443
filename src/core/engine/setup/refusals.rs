//! All refusals of one Deployment, as condition `Accepted` reports them.

use std::fmt;

use crate::engine::reasons::Refusal;

/// The longest message of a condition that Steelyard writes, in bytes.
const MESSAGE: usize = 1024;

/// Why a rollout can't start. Never empty; the first refusal is the condition's reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusals(Vec<Refusal>);

impl Refusals {
    /// Returns these refusals, if there are any.
    pub(super) fn of(refusals: Vec<Refusal>) -> Option<Self> {
        (!refusals.is_empty()).then_some(Self(refusals))
    }

    /// Returns these refusals after others.
    pub(super) fn after(self, mut others: Vec<Refusal>) -> Self {
        others.extend(self.0);
        Self(others)
    }

    /// Returns the reason, in one word.
    pub(super) fn word(&self) -> &'static str {
        self.0.first().map_or("NotAccepted", Refusal::word)
    }
}

impl From<Refusal> for Refusals {
    fn from(refusal: Refusal) -> Self {
        Self(vec![refusal])
    }
}

/// Shows as many messages as fit into a condition.
impl fmt::Display for Refusals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(refusals) = self;
        let mut message = String::new();
        for refusal in refusals {
            let between = if message.is_empty() { "" } else { "; " };
            let one = refusal.to_string();
            if message.len() + between.len() + one.len() <= MESSAGE {
                message.push_str(between);
                message.push_str(&one);
            }
        }
        if message.is_empty() {
            // A character has four bytes at most.
            let first = refusals.iter().map(ToString::to_string).next().unwrap_or_default();
            message = first.chars().take(MESSAGE / 4).collect();
        }
        f.write_str(&message)
    }
}
