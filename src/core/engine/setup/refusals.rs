//! All refusals of one set-up, as a condition reports them.

use std::fmt;

use crate::engine::reasons::Refusal;

/// The longest message of a condition that Steelyard writes, in bytes.
const MESSAGE: usize = 1024;

/// Why a rollout can't start: at least one refusal. The first one's word is the condition's reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusals {
    pub(super) first: Refusal,
    pub(super) others: Vec<Refusal>,
}

impl Refusals {
    /// These refusals, if there are some.
    pub(super) fn of(refusals: Vec<Refusal>) -> Option<Self> {
        let mut refusals = refusals.into_iter();
        refusals.next().map(|first| Self { first, others: refusals.collect() })
    }
}

impl From<Refusal> for Refusals {
    fn from(first: Refusal) -> Self {
        Self { first, others: Vec::new() }
    }
}

/// As many messages as fit into a condition.
impl fmt::Display for Refusals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { first, others } = self;
        let mut message = String::new();
        for refusal in [first].into_iter().chain(others) {
            let between = if message.is_empty() { "" } else { "; " };
            let one = refusal.to_string();
            if message.len() + between.len() + one.len() <= MESSAGE {
                message.push_str(between);
                message.push_str(&one);
            }
        }
        if message.is_empty() {
            // A character has four bytes at most.
            message = first.to_string().chars().take(MESSAGE / 4).collect();
        }
        f.write_str(&message)
    }
}
