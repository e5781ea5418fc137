//! ONNX models as graphs.
//!
//! In: a model file and [`ImportOptions`].  Out: a [`Graph`], or every reason why not.
//! Not here: the file format ([`crate::wire`]) and optimisation.
//!
//! Each operator has one converter and one row in its family's table. Shapes, axes, pads and the
//! like are part of the graph language's operators, so integer operands in such a place have to be
//! known at compile time: as initializers, by evaluation, or given through
//! [`ImportOptions::values`].

mod activation;
mod arithmetic;
mod attributes;
mod compare;
mod constant;
mod conv;
mod einsum;
mod emitter;
mod failure;
mod gather;
mod matmul;
mod movement;
mod node_cx;
mod normalization;
mod pool;
mod reduction;
mod registry;
mod scope;
mod shape;
mod signature;
mod slice_pad;
mod symbolic;
mod walk;
mod window;

use std::{collections::BTreeMap, path::Path};

use bytes::Bytes;
use tracelift_ir::Graph;
use tracelift_tensor::Tensor;

pub use registry::{SupportedOperator, supported_operators};

use crate::{
    ImportError,
    wire::{Model, decode_model, read_model},
};

/// The rows of each family.
const FAMILIES: &[&[registry::Row]] = &[
    activation::ROWS,
    arithmetic::ROWS,
    compare::ROWS,
    constant::ROWS,
    conv::ROWS,
    gather::ROWS,
    matmul::ROWS,
    movement::ROWS,
    normalization::ROWS,
    pool::ROWS,
    reduction::ROWS,
    shape::ROWS,
    slice_pad::ROWS,
];

/// What a model file leaves open.
#[derive(Debug, Clone, Default)]
pub struct ImportOptions {
    /// Extents of symbolic dimensions, by the names the file uses.
    pub dims: BTreeMap<String, usize>,
    /// Values of inputs, which then are constants and no inputs.
    pub values: BTreeMap<String, Tensor>,
}

/// Imports a model file; parameters share the bytes of the mapped file.
///
/// # Errors
/// When the file cannot be read or is malformed; when parts of the model cannot be imported, all of
/// which are listed.
pub fn import_onnx(path: &Path, options: &ImportOptions) -> Result<Graph, ImportError> {
    import_model(&read_model(path)?, options)
}

/// Imports a model from memory; it has no files beside it.
///
/// # Errors
/// As [`import_onnx`]; `path` serves messages only.
pub fn import_onnx_bytes(
    bytes: Bytes,
    path: &Path,
    options: &ImportOptions,
) -> Result<Graph, ImportError> {
    import_model(&decode_model(bytes, path)?, options)
}

fn import_model(model: &Model, options: &ImportOptions) -> Result<Graph, ImportError> {
    let mut walk = walk::Walk::new(model, options);
    walk.run();
    if !walk.problems.is_empty() {
        let path = model.path.clone();
        return Err(ImportError::Unsupported { path, problems: walk.problems });
    }
    let mut graph = walk.emitter.graph;
    graph.remove_dead();
    Ok(graph)
}
