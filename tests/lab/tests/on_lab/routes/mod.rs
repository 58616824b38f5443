//! Several routes that name one Service, edits of routes during a rollout, and what a gateway
//! supports.

mod edits;
mod features;
mod together;
