//! Errors of a policy: the place, the error and the fix.

use std::fmt::Write as _;

use serde::Serialize;

use super::problem::{Problem, Sort};

/// The longest message of a condition of a Rollout, in bytes.
const MESSAGE: usize = 1024;

/// One error of a policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// The kind of error.
    pub sort: Sort,
    /// The path of the field, with items counted from 0, such as
    /// `spec.strategy.canary.steps[2].weight`.
    pub path: String,
    /// The error and its fix.
    pub message: String,
}

impl Fault {
    /// Returns an error.
    pub fn new(sort: Sort, path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { sort, path: path.into(), message: message.into() }
    }

    /// Returns the error of an invalid value.
    pub fn invalid(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(Sort::Invalid, path, message)
    }

    /// Returns the error of a field.
    pub fn of(path: impl Into<String>, problem: &Problem) -> Self {
        Self::new(problem.sort(), path, problem.to_string())
    }
}

/// The errors of one policy. Their text fits the message of a condition: at most 1 KiB, with the
/// number of errors that did not fit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Faults(pub Vec<Fault>);

impl std::fmt::Display for Faults {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self(faults) = self;
        let mut message = String::new();
        for (index, fault) in faults.iter().enumerate() {
            let one = format!("{}{fault}", if index == 0 { "" } else { "; " });
            // Leaves room for the number of the other errors, at most five digits.
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
