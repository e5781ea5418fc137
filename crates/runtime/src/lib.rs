//! Runs a compiled program: arena, launches, threads, weights.

#![deny(unsafe_code)]

mod program;

pub use program::{Entry, Launch, Plan, Port, Slot};
