//! What is wrong with a policy: where, what, and what helps.

use std::fmt::Write as _;

use serde::Serialize;

/// The longest message of a condition that Steelyard writes, in bytes.
const MESSAGE: usize = 1024;

/// What sort of fault it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Sort {
    /// A field of a name that no field has.
    UnknownField,
    /// Something that has to be there isn't.
    Missing,
    /// A value that can't be.
    Invalid,
    /// A field or value that a later version will serve.
    NotYetSupported,
    /// Allowed, but seldom meant.
    Warning,
}

/// One fault of a policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// What sort it is.
    pub sort: Sort,
    /// Where: fields joined by dots, items in brackets and counted from 0, such as `spec.strategy.canary.steps[2].weight`.
    pub path: String,
    /// What is wrong, and what helps.
    pub message: String,
}

impl Fault {
    /// A fault of a sort.
    pub fn new(sort: Sort, path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { sort, path: path.into(), message: message.into() }
    }

    /// A value that can't be.
    pub fn invalid(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(Sort::Invalid, path, message)
    }

    /// A field that a later version will serve.
    pub fn unserved(path: impl Into<String>) -> Self {
        Self::new(Sort::NotYetSupported, path, "is not supported yet: leave it out")
    }

    /// The reason that a condition gives for these: what is not served is told apart from what never can be.
    pub fn reason(faults: &[Self]) -> &'static str {
        let unserved = |fault: &Self| fault.sort == Sort::NotYetSupported;
        if faults.iter().all(unserved) { "NotYetSupported" } else { "PolicyInvalid" }
    }

    /// All of them in one message of at most 1 KiB; how many didn't fit is said.
    pub fn joined(faults: &[Self]) -> String {
        let mut message = String::new();
        for (index, fault) in faults.iter().enumerate() {
            let one = format!("{}{fault}", if index == 0 { "" } else { "; " });
            // Room for the words about the rest, whose number has five digits at most.
            if message.len() + one.len() > MESSAGE - 20 {
                if index == 0 {
                    let end = (0..=MESSAGE - 24).rev().find(|at| one.is_char_boundary(*at)).unwrap_or(0);
                    message.push_str(&one[..end]);
                    message.push_str("...");
                    continue;
                }
                let _ = write!(message, "; and {} more", faults.len() - index);
                break;
            }
            message.push_str(&one);
        }
        message
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { sort: _, path, message } = self;
        write!(f, "{path}: {message}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_faults_are_joined_within_a_kibibyte_and_the_rest_is_counted() {
        let faults: Vec<_> =
            (0..100).map(|n| Fault::invalid(format!("spec.a[{n}]"), "is \u{e9} wrong".repeat(3))).collect();
        let message = Fault::joined(&faults);
        assert!(message.len() <= MESSAGE, "{}", message.len());
        let told = message.matches("spec.a[").count();
        assert!(message.ends_with(&format!("; and {} more", 100 - told)), "{message}");
        assert_eq!(Fault::joined(&faults[..2]), format!("{}; {}", faults[0], faults[1]));
        let long = Fault::joined(&[Fault::invalid("spec", "\u{e9}".repeat(2000)), faults[0].clone()]);
        assert!(long.len() <= MESSAGE && long.contains("..."), "{}", long.len());
        assert!(long.ends_with("; and 1 more"), "{long}");
    }

    #[test]
    fn only_what_is_nothing_but_unserved_is_called_so() {
        let (unserved, wrong) = (Fault::unserved("spec.onFail"), Fault::invalid("spec.deadline", "no"));
        assert_eq!(Fault::reason(std::slice::from_ref(&unserved)), "NotYetSupported");
        assert_eq!(Fault::reason(&[unserved, wrong]), "PolicyInvalid");
    }
}
