//! Every reason that a Rollout, its conditions and its Events give, with what it says and what it means. `docs/reasons.md`
//! and `kubectl steelyard explain` are made from it; tests compare it with what the engine says.

mod events;
mod faults;
mod refusals;
mod turns;
mod waits;

use std::fmt::Write as _;

/// Where a reason stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// `status.waiting.reason`.
    Waiting,
    /// `status.failure.reason` of a revision that was rejected.
    Failure,
    /// `status.history[].reason` of a revision that nobody wanted any more.
    Withdrawal,
    /// The reason of an Event.
    Event,
    /// The reason of condition `Accepted`, where it is False.
    Refusal,
}

/// A reason.
#[derive(Clone, Copy, Debug)]
pub struct Reason {
    /// Where it stands.
    pub place: Place,
    /// One word.
    pub name: &'static str,
    /// What it means, and what helps.
    pub means: &'static str,
    /// What it says; `…` stands for what varies.
    pub says: &'static [&'static str],
}

const fn reason(
    place: Place,
    name: &'static str,
    means: &'static str,
    says: &'static [&'static str],
) -> Reason {
    Reason { place, name, means, says }
}

/// All reasons, by place, then by name.
pub fn all() -> Vec<Reason> {
    let mut all = [waits::ALL, turns::ALL, events::ALL, refusals::ALL].concat();
    all.sort_by_key(|reason| (reason.place, reason.name));
    all
}

/// What a reason means, and what helps.
pub fn means(place: Place, name: &str) -> Option<&'static str> {
    all().into_iter().find(|reason| reason.place == place && reason.name == name).map(|reason| reason.means)
}

/// `docs/reasons.md`.
pub fn page() -> String {
    let mut page = INTRODUCTION.to_owned();
    for (place, title, text) in PLACES {
        let _ = write!(
            page,
            "\n## {title}\n\n{text}\n\n| reason | what it says | what it means, and what helps |\n| --- | --- | --- |\n"
        );
        for reason in all().iter().filter(|reason| reason.place == *place) {
            let says: Vec<String> = reason.says.iter().map(|said| said.replace('|', "\\|")).collect();
            let _ = writeln!(page, "| `{}` | {} | {} |", reason.name, says.join("<br>"), reason.means);
        }
    }
    page.push_str(FAULTS);
    for fault in faults::ALL {
        let _ = writeln!(page, "| {} | {} |", fault.says.replace('|', "\\|"), fault.means);
    }
    page + CONDITIONS
}

const INTRODUCTION: &str = "# Every reason, and what it means

Made from the code (`src/engine/reasons`). `…` stands for what varies: a name, a number, what another program says. `kubectl steelyard explain NAME` shows what holds now.
";

const PLACES: &[(Place, &str, &str)] = &[
    (
        Place::Waiting,
        "What a rollout waits for",
        "Column WAITING of `kubectl get rollouts`; `status.waiting` has since when and until when. Also the reason of conditions Progressing and Complete.",
    ),
    (
        Place::Failure,
        "Why traffic was taken back",
        "`status.failure`, condition `Healthy=False`, and the history. The template stays held and runs nowhere: push another, push the old one again, or `kubectl steelyard retry`.",
    ),
    (
        Place::Withdrawal,
        "Why a rollout was withdrawn",
        "Traffic is taken back here too, but the revision did nothing wrong. The history says `Withdrawn`.",
    ),
    (
        Place::Refusal,
        "Why a rollout can't start",
        "Condition `Accepted=False`. The Deployment serves on; a template that is pushed meanwhile stays held.",
    ),
    (
        Place::Event,
        "Events",
        "`kubectl events --for rollout/NAME`, each about the Rollout and related to its Deployment.",
    ),
];

const FAULTS: &str = "
## What can be wrong in a policy

The message of `PolicyInvalid` and `NotYetSupported`, and the lines of `steelyard policy check`: the path of a field, then one of these. What has no place in the
definitions at all (an unknown field, a word where a number belongs) is refused by the API server already, and by `policy check` with its line and column.

| what it says | what it means, and what helps |
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
| Progressing, Complete | what is awaited, or the phase | Progressing: a rollout is in flight. Complete: the last template that was pushed serves, and all is as it was |
| Healthy | `NoFailure` | nothing failed |
| Healthy | why traffic was taken back | see above |
";
