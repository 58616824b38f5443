//! The node agent replaces kubelet and the container runtime, so that a lab needs no container
//! engine.
//!
//! A pod is a set of processes on this machine that listen on the pod's IP; in the lab's network
//! namespace the whole pod range is local. What a controller sees of a pod is the same as with
//! kubelet: conditions, container states, probes with kubelet's numbers, restarts with
//! `CrashLoopBackOff`, image errors, grace periods. Isolation of containers is left out: no images
//! (a program runs in place of each image), no limits, no security contexts, no user ids, no
//! network policy. A pod with volumes sees them in a separate mount namespace (see [`mounts`]).
//!
//! There is one task per pod ([`pod`]) and one per container ([`container`]), so that a slow or
//! failing pod does not block others. When an agent starts, it ends the processes that an earlier
//! agent left running (recorded with pid and start time in the agent's directory) and starts the
//! containers of those pods again, counted as one restart each.

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
