//! `docs/reasons.md`, generated from the reasons, and the help on one of them.

use std::fmt::{self, Write as _};

use strum::IntoEnumIterator as _;

use super::{
    event::EventKind, failure::FailureKind, refusal::RefusalKind, wait::WaitKind, withdrawal::WithdrawalKind,
};
use crate::policy::ProblemKind;

/// Where a reason is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// `status.waiting.reason`.
    Waiting,
    /// `status.failure.reason` of a revision that was rejected.
    Failure,
    /// `status.history[].reason` of a revision that was withdrawn.
    Withdrawal,
    /// The reason of condition `Accepted`, where it is False.
    Refusal,
    /// The reason of an Event.
    Event,
}

/// A reason, as the docs show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Where it is.
    pub place: Place,
    /// The word.
    pub name: &'static str,
    /// What it means, and what helps.
    pub help: &'static str,
    /// An example of each of its sentences.
    pub says: Vec<String>,
}

/// All reasons, by place, then by name.
pub fn all() -> Vec<Entry> {
    fn said<T: fmt::Display>(examples: &[T]) -> Vec<String> {
        examples.iter().map(ToString::to_string).collect()
    }
    let entry = |place, name, help, says| Entry { place, name, help, says };
    let mut all = Vec::new();
    all.extend(
        WaitKind::iter().map(|kind| entry(Place::Waiting, kind.into(), kind.help(), said(&kind.examples()))),
    );
    all.extend(
        FailureKind::iter()
            .map(|kind| entry(Place::Failure, kind.into(), kind.help(), said(&kind.examples()))),
    );
    all.extend(
        WithdrawalKind::iter()
            .map(|kind| entry(Place::Withdrawal, kind.into(), kind.help(), said(&kind.examples()))),
    );
    all.extend(
        RefusalKind::iter()
            .map(|kind| entry(Place::Refusal, kind.into(), kind.help(), said(&kind.examples()))),
    );
    all.extend(
        EventKind::iter().map(|kind| entry(Place::Event, kind.into(), kind.help(), said(&kind.examples()))),
    );
    all.sort_by_key(|entry| (entry.place, entry.name));
    all
}

/// What the word of a reason means, and what helps; nothing for a word of another version.
pub fn help(place: Place, word: &str) -> Option<&'static str> {
    match place {
        Place::Waiting => word.parse().ok().map(WaitKind::help),
        Place::Failure => word.parse().ok().map(FailureKind::help),
        Place::Withdrawal => word.parse().ok().map(WithdrawalKind::help),
        Place::Refusal => word.parse().ok().map(RefusalKind::help),
        Place::Event => word.parse().ok().map(EventKind::help),
    }
}

/// `docs/reasons.md`.
pub fn page() -> String {
    let mut page = INTRODUCTION.to_owned();
    let all = all();
    for (place, title, text) in PLACES {
        let _ = write!(
            page,
            "\n## {title}\n\n{text}\n\n| reason | what it says, for example | what it means, and what \
             helps |\n| --- | --- | --- |\n"
        );
        for entry in all.iter().filter(|entry| entry.place == *place) {
            let says: Vec<String> = entry.says.iter().map(|said| cell(said)).collect();
            let _ = writeln!(page, "| `{}` | {} | {} |", entry.name, says.join("<br>"), entry.help);
        }
    }
    page.push_str(PROBLEMS);
    for kind in ProblemKind::iter() {
        let says: Vec<String> = kind.examples().iter().map(|said| cell(&said.to_string())).collect();
        let _ = writeln!(page, "| {} | {} |", says.join("<br>"), kind.help());
    }
    page + CONDITIONS
}

/// A text in a cell of a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('<', "&lt;")
}

const INTRODUCTION: &str = "# Every reason, and what it means

Generated from the code (`src/core/engine/reasons`), with examples of what varies: names, numbers, what
another program says. `kubectl steelyard explain NAME` shows what holds now.
";

const PLACES: &[(Place, &str, &str)] = &[
    (
        Place::Waiting,
        "What a rollout waits for",
        "Column WAITING of `kubectl get rollouts`; `status.waiting` has since when and until when. Also
the reason of conditions Progressing and Complete.",
    ),
    (
        Place::Failure,
        "Why a revision was rolled back",
        "`status.failure`, condition `Healthy=False`, and the history. The template stays held and runs
nowhere: push another, push the old one again, or `kubectl steelyard retry`.",
    ),
    (
        Place::Withdrawal,
        "Why a revision was withdrawn",
        "Traffic returns to stable here too, but the revision did nothing wrong. The history says
`Withdrawn`.",
    ),
    (
        Place::Refusal,
        "Why a rollout can't start",
        "Condition `Accepted=False`. The Deployment serves on; a template that is pushed meanwhile stays
held.",
    ),
    (
        Place::Event,
        "Events",
        "`kubectl events --for rollout/NAME`, each about the Rollout and related to its Deployment.",
    ),
];

const PROBLEMS: &str = "
## What can be wrong in a policy

The message of `PolicyInvalid` and `NotYetSupported`, and the lines of `steelyard policy check`: the
path of a field, then one of these. What the CRDs do not have at all (an unknown field, a word where a
number belongs) is refused by the API server already, and by `policy check` with its line and column.

| what it says, for example | what it means, and what helps |
| --- | --- |
";

const CONDITIONS: &str = "
## Conditions

| condition | reason | what it means |
| --- | --- | --- |
| Accepted | `Accepted` | the policy, the Services and the routes fit each other |
| Accepted | a reason why a rollout can't start | see above |
| Gated | `Held` | a change of the template is held by the API server's admission |
| Gated | `NotHeld` | admission does not hold template changes here: see the installation notes. A push rolls out natively, unmeasured |
| Progressing, Complete | what is awaited, or the phase | Progressing: a rollout is in progress. Complete: the last template that was pushed serves, and all is as it was |
| Healthy | `NoFailure` | nothing failed |
| Healthy | why the revision was rolled back | see above |
";

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_word_that_ends_a_revision_says_whether_it_failed() {
        let words = |place| all().into_iter().filter(move |entry| entry.place == place);
        let failures: BTreeSet<_> = words(Place::Failure).map(|entry| entry.name).collect();
        assert!(words(Place::Withdrawal).all(|entry| !failures.contains(entry.name)));
    }

    #[test]
    fn each_reason_has_help_and_sentences_that_end_without_a_full_stop() {
        for Entry { place, name, help: text, says } in all() {
            assert_eq!(help(place, name), Some(text), "{name}");
            assert!(text.ends_with('.') && !says.is_empty(), "{name}");
            assert!(says.iter().all(|said| !said.is_empty() && !said.ends_with('.')), "{name}: {says:?}");
        }
        assert_eq!(help(Place::Waiting, "OfALaterVersion"), None);
    }
}
