//! Graph to loops to machine code: schedule, memory plan, code generation, JIT and object files.

#![deny(unsafe_code)]

mod lower;

pub use lower::{
    Group, GroupKind, LowerError, Lowered, Step, Storage, StorageId, StorageKind, lower,
};
