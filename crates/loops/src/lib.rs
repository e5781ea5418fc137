//! The kernel language: loop nests, index maps and tile programs, with text form, verifier and interpreter.

#![forbid(unsafe_code)]

mod cost;
mod error;
mod interpret;
mod kernel;
#[cfg(test)]
mod samples;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
mod text;
mod tile;
mod verify;

pub use cost::{Cost, cost, flops_at_most};
pub use error::ParseError;
pub use interpret::{interpret, interpret_tasks};
pub use kernel::{Axis, AxisId, Buffer, BufferId, BufferKind, Kernel, Place, Stmt};
pub use text::parse;
pub use tile::{Inst, Tile, ValueId, Variance};
pub use verify::{Rule, Violation, bounds_under, proves_disjoint_writes, verify};
