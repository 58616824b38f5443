//! Every reason that a Rollout, its conditions and its Events report: an enum with data, whose name is
//! the word for programs, whose `Display` is the sentence for people, and whose `help` is the docs'.
//!
//! Decisions compare these values, never their text. `docs/reasons.md` is generated from them.

mod event;
mod evidence;
mod failure;
mod page;
mod refusal;
mod wait;
mod withdrawal;

pub use event::{Ended, EventKind, EventReason, Opener, PromotedBy};
pub use evidence::{Evidence, Obstacle};
pub use failure::{Failure, FailureKind, Missed, Recalled};
pub use page::{Entry, Place, all, help, page};
pub use refusal::{
    Conflict, NameTooLong, NoRoute, NoService, NotYetSupported, PolicyNotFound, Refusal, RefusalKind,
    Unweighable,
};
pub use wait::{
    Draining, Endpoints, NativeRollout, Paused, Pods, ReplicaSets, Router, Settling, Stable, Unfit, WaitKind,
    WaitReason,
};
pub use withdrawal::{Withdrawal, WithdrawalKind};
