//! What is wrong with a policy: where, what, and what helps.

use std::fmt::Write as _;

use serde::Serialize;

use super::problem::{Problem, Sort};

/// The longest message of a condition that Steelyard writes, in bytes.
const MESSAGE: usize = 1024;

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

    /// A problem of a field.
    pub fn of(path: impl Into<String>, problem: &Problem) -> Self {
        Self::new(problem.sort(), path, problem.to_string())
    }

    /// A field that a later version will serve.
    pub fn unserved(path: impl Into<String>) -> Self {
        Self::of(path, &Problem::Unserved)
    }

    /// Whether a later version will serve the field.
    pub fn is_unserved(&self) -> bool {
        self.sort == Sort::NotYetSupported
    }
}

/// Faults of one policy. Their text fits a condition's message: at most 1 KiB, and it says how many faults did not fit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Faults(pub Vec<Fault>);

impl std::fmt::Display for Faults {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self(faults) = self;
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
        f.write_str(&message)
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
        let first_two = format!("{}; {}", faults[0], faults[1]);
        let two = Faults(faults[..2].to_vec()).to_string();
        let first = faults[0].clone();
        let message = Faults(faults).to_string();
        assert!(message.len() <= MESSAGE, "{}", message.len());
        let said = message.matches("spec.a[").count();
        assert!(message.ends_with(&format!("; and {} more", 100 - said)), "{message}");
        assert_eq!(two, first_two);
        let long = Faults(vec![Fault::invalid("spec", "\u{e9}".repeat(2000)), first]).to_string();
        assert!(long.len() <= MESSAGE && long.contains("..."), "{}", long.len());
        assert!(long.ends_with("; and 1 more"), "{long}");
    }
}
