//! Runs a compiled program: arena, launches, threads, weights.

#![deny(unsafe_code)]

mod context;
mod error;
mod machine;
pub mod probe;
mod program;
mod run;
mod team;

pub use context::Context;
pub use error::RunError;
pub use machine::{ALIGNMENT, AlignedBytes};
pub use program::{Entry, Launch, Plan, Port, Program, Slot};
