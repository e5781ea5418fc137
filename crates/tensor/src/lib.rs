//! Host tensors, dtypes, shapes with symbolic dimensions, and the files that hold them.
//!
//! This crate is the vocabulary all others share; it depends on none of them.

#![deny(unsafe_code)]

mod dim;
mod dtype;
mod tensor;

pub use bytes::Bytes;
pub use dim::{Bindings, Dim, floor_div};
pub use dtype::{DType, Element, Scalar, ScalarParseError, UnknownDType};
pub use tensor::{SizeMismatch, Tensor, checked_count, for_each_index, linear};
