//! The tracelift program.

fn main() {}
