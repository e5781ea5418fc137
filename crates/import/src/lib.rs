//! Readers of ONNX files and Hugging Face checkpoints.

#![forbid(unsafe_code)]

mod error;
pub mod external;
mod onnx;
pub mod wire;

pub use error::{ImportError, Problem, Subject};
pub use onnx::{
    ImportOptions, SupportedOperator, import_onnx, import_onnx_bytes, supported_operators,
};
