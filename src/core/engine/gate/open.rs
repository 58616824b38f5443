//! Opens gates, or waits at them.

use jiff::{Timestamp, tz::TimeZone};

use super::{
    opening::Opening,
    webhook,
    window::{self, Door},
};
use crate::{
    engine::{
        reasons::WaitReason,
        reconcile::{EndsBy, Flow, Reconcile, Since},
    },
    policy::{Gate, Policy},
};

/// Returns what opens this gate now; otherwise waits. A gate for a person opens by `spec.promote`,
/// which `step` handles first.
pub(in crate::engine) fn open(r: &mut Reconcile, policy: &Policy, gate: &Gate) -> Flow<Opening> {
    let (reason, end) = match gate {
        Gate::Person(message) => (WaitReason::Gate { message: message.clone() }, EndsBy::Person),
        Gate::Window(window) => match window::at(window, r.now()) {
            Door::Open => return Flow::Continue(Opening { by: "its window".to_owned(), response: None }),
            Door::Shut(opens) => {
                (WaitReason::Window { opens: local(opens, &window.zone) }, EndsBy::At(opens))
            }
        },
        Gate::Webhook(hook) => return webhook::open(r, policy, hook),
    };
    r.wait(&reason, Since::FirstReported, end)
}

/// Formats a time in this time zone.
fn local(at: Timestamp, zone: &TimeZone) -> String {
    let name = zone.iana_name().unwrap_or("UTC");
    format!("{} {name}", at.to_zoned(zone.clone()).strftime("%a %-d %b %Y at %H:%M"))
}
