//! Gates: a rollout waits at one until it opens.

mod webhook;
mod window;

use std::ops::Range;

use jiff::{Timestamp, tz::TimeZone};

pub(super) use webhook::hear;
use window::Door;

use super::pass::Pass;
use crate::{
    api,
    policy::{Gate, Stage, Valid},
};

/// Who or what opened a gate, and what it said.
pub(super) struct Key {
    /// A person, a webhook, a window.
    pub(super) by: String,
    /// The words of a webhook.
    pub(super) said: Option<String>,
}

/// What opens this gate now; else the wait is named. A person's opens by `spec.promote`, which the step looks at first.
pub(super) fn open(pass: &mut Pass, valid: &Valid, gate: &Gate) -> Option<Key> {
    match gate {
        Gate::Person(message) => {
            pass.wait("Gate", format!("waiting for a person to promote this step: {message}"));
            None
        }
        Gate::Window(window) => match window::at(window, pass.s.now) {
            Door::Open => Some(Key { by: "its window".to_owned(), said: None }),
            Door::Shut(opens) => {
                let when = local(opens, &window.zone);
                pass.wait_until("Window", format!("the window is shut; it opens on {when}"), opens);
                None
            }
        },
        Gate::Webhook(hook) => webhook::open(pass, valid, hook),
    }
}

/// A moment as people of this zone tell it.
fn local(at: Timestamp, zone: &TimeZone) -> String {
    let name = zone.iana_name().unwrap_or("UTC");
    format!("{} {name}", at.to_zoned(zone.clone()).strftime("%a %-d %b %Y at %H:%M"))
}

/// Writes down who or what opened the gates among these stages, counted from 0.
pub(super) fn opened(pass: &mut Pass, valid: &Valid, stages: Range<usize>, key: &Key) {
    let at = Some(pass.s.now);
    let Key { by, said } = key;
    for step in stages.filter(|step| matches!(valid.stages.get(*step), Some(Stage::Gate(_)))) {
        let opened = api::Opened { step: step + 1, by: by.clone(), at, said: said.clone() };
        pass.trial().gates.push(opened);
    }
    pass.trial().asked = None;
}
