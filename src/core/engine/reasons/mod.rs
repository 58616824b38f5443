//! Every reason that a Rollout, its conditions and its Events report, as an enum with data. The
//! name of the variant is the reason, `Display` is the message, and `help` is the text in the docs.
//!
//! Decisions compare these values, never their text. `docs/reasons.md` is generated from them.

mod event;
mod evidence;
mod failure;
mod newer_epoch;
mod page;
mod refusal;
mod wait;
mod withdrawal;

pub use event::{During, Ended, EventKind, EventReason, Ignored, Opener, PromotedBy};
pub use evidence::{Evidence, Lack, Obstacle, Rejection};
pub use failure::{Failure, FailureKind, Recalled};
pub use newer_epoch::NewerEpoch;
pub use page::{Entry, Place, all, help, page};
pub use refusal::{
    Conflict, NameTooLong, NoRoute, NoService, NotYetSupported, PolicyNotFound, Refusal, RefusalKind,
    Unweighable,
};
pub use wait::{
    Draining, Endpoints, NativeRollout, Paused, Pods, Router, Stable, Unfit, Unrunnable, WaitKind, WaitReason,
};
pub use withdrawal::{Withdrawal, WithdrawalKind};
