//! Graph to loops to machine code: schedule, memory plan, code generation, JIT and object files.

#![deny(unsafe_code)]

mod disassemble;
pub mod emit;
mod error;
mod executable;
mod jit;
mod lower;
mod memory_plan;
mod module;
mod object;
mod plan_check;
mod program;
mod recipe;
mod target;

pub use disassemble::{UnitCode, assembled_units, assembly_text, clif_text};
pub use emit::scratch_bytes;
pub use error::BackendError;
pub use jit::JitCode;
pub use lower::{
    Group, GroupKind, LowerError, LowerOptions, Lowered, Step, Storage, StorageId, StorageKind,
    lower,
};
pub use memory_plan::{MemoryPlan, PlanViolation, check_memory_plan, plan_memory};
pub use module::{CompileOptions, define_kernels};
pub use object::{compile_object, header};
pub use program::make_plan;
pub use recipe::{Fill, Pack, Recipe, StridedCopy, Transform, make_constants};
pub use target::{CodeModel, target_isa};
