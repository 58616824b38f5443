//! Gates: a rollout waits at one until it opens.
mod window;
