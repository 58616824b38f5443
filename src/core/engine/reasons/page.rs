//! The page `docs/reasons.md`, generated from the reasons, and the help for one reason.

use std::fmt::{self, Write as _};

use strum::IntoEnumIterator as _;

use super::{
    event::EventKind, failure::FailureKind, refusal::RefusalKind, wait::WaitKind, withdrawal::WithdrawalKind,
};
use crate::policy::ProblemKind;

/// Where a reason appears.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// `status.waiting.reason`.
    Waiting,
    /// `status.failure.reason` of a revision that was rejected.
    Failure,
    /// `status.history[].reason` of a revision that was withdrawn.
    Withdrawal,
    /// The reason of condition `Accepted` if it is False.
    Refusal,
    /// The reason of an Event.
    Event,
}

/// A reason as shown in the docs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Where it appears.
    pub place: Place,
    /// Its name.
    pub name: &'static str,
    /// The meaning and the fix.
    pub help: &'static str,
    /// One example per message.
    pub says: Vec<String>,
}

/// Returns all reasons, sorted by place, then by name.
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

/// Returns the meaning and the fix of a reason; `None` for a reason of another version.
pub fn help(place: Place, word: &str) -> Option<&'static str> {
    match place {
        Place::Waiting => word.parse().ok().map(WaitKind::help),
        Place::Failure => word.parse().ok().map(FailureKind::help),
        Place::Withdrawal => word.parse().ok().map(WithdrawalKind::help),
        Place::Refusal => word.parse().ok().map(RefusalKind::help),
        Place::Event => word.parse().ok().map(EventKind::help),
    }
}

/// Returns the text of `docs/reasons.md`.
pub fn page() -> String {
    let mut page = INTRODUCTION.to_owned();
    let all = all();
    for (place, title, text) in PLACES {
        let _ = write!(
            page,
            "\n## {title}\n\n{text}\n\n| reason | message, for example | meaning and fix |\n| --- | \
             --- | --- |\n"
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

/// Escapes a text for a cell of a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('<', "&lt;")
}

const INTRODUCTION: &str = "# Every reason, and what it means

Generated from the code (`src/core/engine/reasons`), with examples of names, numbers and messages of
other programs. `kubectl steelyard explain NAME` shows the current state of a rollout.
";

const PLACES: &[(Place, &str, &str)] = &[
    (
        Place::Waiting,
        "What a rollout waits for",
        "Column WAITING of `kubectl get rollouts`; `status.waiting` also has the start and the end of the
wait. The same reason is in conditions Progressing and Complete.",
    ),
    (
        Place::Failure,
        "Why a revision was rolled back",
        "`status.failure`, condition `Healthy=False`, and the history. The template stays held, and no pod
runs it: push another template, push stable's template again, or use `kubectl steelyard retry`.",
    ),
    (
        Place::Withdrawal,
        "Why a revision was withdrawn",
        "Traffic returns to stable, but the revision did not fail. The history shows `Withdrawn`.",
    ),
    (
        Place::Refusal,
        "Why a rollout can't start",
        "Condition `Accepted=False`. The Deployment keeps serving; a template that is pushed meanwhile
stays held.",
    ),
    (
        Place::Event,
        "Events",
        "`kubectl events --for rollout/NAME`. Each Event is about the Rollout and related to its
Deployment.",
    ),
];

const PROBLEMS: &str = "
## What can be wrong in a policy

The message of `PolicyInvalid` and of a policy's condition `Accepted`, and the lines of `steelyard
policy check`: the path of a field, then one of these. The API server refuses what does not match the CRD (an unknown
field, a string instead of a number); `policy check` reports it with line and column.

| message, for example | meaning and fix |
| --- | --- |
";

const CONDITIONS: &str = "
## Conditions

| condition | reason | meaning |
| --- | --- | --- |
| Accepted | `Accepted` | The policy, the Services and the routes fit. |
| Accepted | a reason why a rollout can't start | See above. |
| HoldEnforced | `Enforced` | Admission holds changes of the template. |
| HoldEnforced | `NotEnforced` | Admission does not hold changes of the template; the message names the fix. A push rolls out natively, unmeasured. |
| Progressing, Complete | what the rollout waits for, or the phase | Progressing: a rollout is in progress. Complete: the template that was pushed last serves, and nothing of the rollout is left. |
| Healthy | `NoFailure` | Nothing failed. |
| Healthy | why the revision was rolled back | See above. |
| Ready | as in Complete | True where Complete is True and Stalled is False. |
| Stalled | why a rollout can't start, `NotEnforced`, or why the revision was rolled back | Only a person can help. |
| Stalled | `NotStalled` | The rollout does not need a person. |
";

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn failures_and_withdrawals_have_different_reasons() {
        let words = |place| all().into_iter().filter(move |entry| entry.place == place);
        let failures: BTreeSet<_> = words(Place::Failure).map(|entry| entry.name).collect();
        assert!(words(Place::Withdrawal).all(|entry| !failures.contains(entry.name)));
    }

    #[test]
    fn every_reason_has_help_and_messages_without_a_final_period() {
        for Entry { place, name, help: text, says } in all() {
            assert_eq!(help(place, name), Some(text), "{name}");
            assert!(text.ends_with('.') && !says.is_empty(), "{name}");
            assert!(says.iter().all(|said| !said.is_empty() && !said.ends_with('.')), "{name}: {says:?}");
        }
        assert_eq!(help(Place::Waiting, "OfALaterVersion"), None);
    }
}
