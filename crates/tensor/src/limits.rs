//! Limits on what a file may ask for, shared by every reader.

/// The most axes a tensor in a file may have; numpy has the same limit.
pub const MAX_RANK: usize = 64;

/// The most bytes that one archive may inflate to.
pub const MAX_INFLATED_BYTES: u64 = 4 << 30;
