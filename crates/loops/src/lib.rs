//! The kernel language: loop nests, index maps and tile programs, with text form, verifier and interpreter.

#![forbid(unsafe_code)]

mod interpret;
mod kernel;
#[cfg(test)]
mod samples;
mod tile;
mod verify;

pub use interpret::{interpret, interpret_tasks};
pub use kernel::{Axis, AxisId, Buffer, BufferId, BufferKind, Kernel, Place, Stmt};
pub use tile::{Inst, Tile, ValueId, Variance};
pub use verify::{Rule, Violation, proves_disjoint_writes, verify};
