//! steelyard
fn main() {}
