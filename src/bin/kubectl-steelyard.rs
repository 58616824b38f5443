//! kubectl-steelyard
fn main() {}
