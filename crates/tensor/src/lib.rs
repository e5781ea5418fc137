//! Host tensors, dtypes, shapes with symbolic dimensions, and the files that hold them.
//!
//! This crate is the vocabulary all others share; it depends on none of them.

#![deny(unsafe_code)]

mod dim;
mod dtype;
mod error;
pub mod half;
mod limits;
mod mapped_file;
mod npy_header;
pub mod npz;
mod pages;
mod replaced_file;
pub mod safetensors_file;
mod target;
mod tensor;

pub use bytes::Bytes;
pub use dim::{Bindings, Dim, floor_div};
pub use dtype::{DType, Element, Scalar, ScalarParseError, UnknownDType};
pub use error::FileError;
pub use limits::{MAX_INFLATED_BYTES, MAX_RANK};
pub use mapped_file::{
    Populator, Word, map_file, map_open_file, prefetch, release_freed, release_mapped, transpose,
};
pub use pages::Pages;
pub use target::{IsaLevel, Target, TargetError};
pub use tensor::{SizeMismatch, Tensor, checked_count, for_each_index, linear};
