//! The node agent: a stand-in for kubelet and container runtime, so that a lab needs no container engine.
//!
//! A pod is a set of processes of this machine that are told the pod's own IP; in the lab's network namespace the
//! whole pod range is local. What a controller can see of a pod is as kubelet does it: conditions, container states,
//! probes by their numbers, restarts with `CrashLoopBackOff`, image errors, grace periods. What isolates containers
//! is left out: no images (a name stands for a program), no limits, no security contexts, no user ids, no network
//! policy. A pod with volumes sees them in a mount namespace of its own (see [`mounts`]).
//!
//! One task per pod ([`pod`]), one per container ([`container`]); a slow or failing pod holds up no other.
//! An agent that starts ends what an earlier one left running (recorded with pid and start time in its folder), then
//! starts those pods' containers anew, counted as a restart each.

mod address;
mod api;
mod args;
mod backoff;
mod check;
mod container;
pub mod control;
mod env;
mod events;
mod host;
mod image;
mod logs;
mod mounts;
mod node;
mod pod;
mod probe;
mod process;
mod resume;
mod run;
mod status;
mod supervise;
mod volumes;
mod writer;

pub use args::{Args, Image};
pub use run::{AgentError, run};
