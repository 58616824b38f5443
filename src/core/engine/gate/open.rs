//! Whether a gate opens now.

use jiff::{Timestamp, tz::TimeZone};

use super::{
    key::Key,
    webhook,
    window::{self, Door},
};
use crate::{
    engine::{
        reasons::WaitReason,
        reconcile::{EndsBy, Flow, Reconcile, Since},
    },
    policy::{Gate, Valid},
};

/// What opens this gate now; else the wait is named. A person's opens by `spec.promote`, which the step
/// looks at first.
pub(in crate::engine) fn open(r: &mut Reconcile, valid: &Valid, gate: &Gate) -> Flow<Key> {
    let (reason, end) = match gate {
        Gate::Person(message) => (WaitReason::Gate { message: message.clone() }, EndsBy::Person),
        Gate::Window(window) => match window::at(window, r.now()) {
            Door::Open => return Flow::Continue(Key { by: "its window".to_owned(), said: None }),
            Door::Shut(opens) => {
                (WaitReason::Window { opens: local(opens, &window.zone) }, EndsBy::Deadline(opens))
            }
        },
        Gate::Webhook(hook) => return webhook::open(r, valid, hook),
    };
    r.wait(&reason, Since::FirstReported, end)
}

/// A moment as people of this zone write it.
fn local(at: Timestamp, zone: &TimeZone) -> String {
    let name = zone.iana_name().unwrap_or("UTC");
    format!("{} {name}", at.to_zoned(zone.clone()).strftime("%a %-d %b %Y at %H:%M"))
}
