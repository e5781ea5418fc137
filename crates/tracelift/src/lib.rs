//! Tracelift: a static-graph compiler for neural networks.
//!
//! A model is loaded from a file or traced from Rust, compiled for this machine, and run:
//!
//! ```no_run
//! use tracelift::prelude::*;
//!
//! # fn main() -> Result<(), tracelift::Error> {
//! let model = tracelift::load("model.onnx")?.compile(&Options::default())?;
//! let image = Tensor::splat(Scalar::F32(0.5), &[1, 3, 224, 224]);
//! let outputs = model.run(&[image])?;
//! # Ok(())
//! # }
//! ```
//!
//! The same for a traced function:
//!
//! ```
//! use tracelift::prelude::*;
//!
//! # fn main() -> Result<(), tracelift::Error> {
//! let graph = trace("double", &[("x", f32([2, 2]))], |[x]| x * 2.0)?;
//! let model = Model::from_graph(graph).compile(&Options::default())?;
//! let y = model.run(&[Tensor::new(&[2, 2], &[1.0f32, 2.0, 3.0, 4.0])])?;
//! assert_eq!(y[0].to_vec::<f32>(), [2.0, 4.0, 6.0, 8.0]);
//! # Ok(())
//! # }
//! ```

#![forbid(unsafe_code)]

mod compiled;
mod error;
mod model;
pub mod pipeline;
pub mod testing;

pub use compiled::{Compiled, Specialised};
pub use error::Error;
pub use model::{LoadOptions, Model, load, load_with};
pub use pipeline::{Options, Report};

pub use tracelift_backend as backend;
pub use tracelift_frontend as frontend;
pub use tracelift_import as import;
pub use tracelift_ir as ir;
pub use tracelift_loops as loops;
pub use tracelift_passes as passes;
pub use tracelift_runtime as runtime;
pub use tracelift_scalar as scalar;
pub use tracelift_tensor as tensor;

/// What most programs use.
pub mod prelude {
    pub use crate::{Compiled, LoadOptions, Model, Options, load};
    pub use tracelift_frontend::{Var, f32, f64, i32, i64, nn, trace};
    pub use tracelift_tensor::{DType, Scalar, Target, Tensor};
}
