//! The kernel language: loop nests, index maps and tile programs, with text form, verifier and interpreter.

#![forbid(unsafe_code)]

mod kernel;
mod tile;

pub use kernel::{Axis, AxisId, Buffer, BufferId, BufferKind, Kernel, Place, Stmt};
pub use tile::{Inst, Tile, ValueId, Variance};
