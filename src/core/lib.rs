//! The decisions of Steelyard: values in, values out. This crate has no runtime and no client, so
//! every rule in it can be tested, simulated and model-checked without a cluster.
//!
//! The modules depend downwards only:
//! 1. [`analysis`]: measurements, tallies and verdicts. Numbers only.
//! 2. [`traffic`]: what a route looks like at a weight, and as the user wrote it.
//! 3. [`api`]: the custom resources, as users write and read them.
//! 4. [`policy`]: a policy as written in, a policy that can be run out, with every error at once.
//! 5. [`engine`]: [`engine::decide`] turns a [`engine::Snapshot`] into a [`engine::Decision`].

pub mod analysis;
pub mod api;
pub mod engine;
pub mod policy;
pub mod traffic;
