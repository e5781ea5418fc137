//! What is measured: single kernels, a small network against the same by hand, whole models.
//!
//! `cargo bench -p tracelift-bench` times them; `cargo xtask bars` holds them against what the
//! machine can do and against other engines.

#![forbid(unsafe_code)]

pub mod by_hand;
pub mod kernels;
pub mod mlp;
pub mod models;
mod runnable;

pub use runnable::Runnable;
