//! Moving traffic between the stable Service and the canary Service.

pub mod gateway;
