//! Models before compilation: graphs with where they came from.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Instant,
};

use tracelift_import::{ImportOptions, import_onnx};
use tracelift_ir::{Graph, text::read_graph_file};
use tracelift_tensor::Tensor;

use crate::{Compiled, Error, Options};

/// What is fixed while a file is read.
#[derive(Clone, Debug, Default)]
pub struct LoadOptions {
    /// Extents of symbolic dimensions, by name.
    pub dims: BTreeMap<String, usize>,
    /// Values of inputs, which then are constants and no inputs.
    pub values: BTreeMap<String, Tensor>,
}

/// A graph, not yet compiled.
#[derive(Clone, Debug)]
pub struct Model {
    graph: Graph,
    path: Option<PathBuf>,
    load_seconds: f64,
}

/// Loads an ONNX file (`.onnx`) or a graph in text form (`.graph`).
///
/// # Errors
/// When the file cannot be read; lists everything in it that is not supported.
pub fn load(path: impl AsRef<Path>) -> Result<Model, Error> {
    load_with(path, &LoadOptions::default())
}

/// Loads a model with some extents and inputs fixed.
///
/// # Errors
/// As [`load`].
pub fn load_with(path: impl AsRef<Path>, options: &LoadOptions) -> Result<Model, Error> {
    let path = path.as_ref();
    let start = Instant::now();
    let graph = match path.extension().and_then(|e| e.to_str()) {
        Some("onnx") => {
            let (dims, values) = (options.dims.clone(), options.values.clone());
            import_onnx(path, &ImportOptions { dims, values })?
        }
        Some("graph") => read_graph_file(path)?,
        _ => return Err(Error::UnknownFormat { path: path.to_path_buf() }),
    };
    let load_seconds = start.elapsed().as_secs_f64();
    Ok(Model { graph, path: Some(path.to_path_buf()), load_seconds })
}

impl Model {
    /// A model of a graph built or traced in Rust.
    pub fn from_graph(graph: Graph) -> Model {
        Model { graph, path: None, load_seconds: 0.0 }
    }

    /// The graph as loaded.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// The file it came from.
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// The seconds it took to load.
    pub fn load_seconds(&self) -> f64 {
        self.load_seconds
    }

    /// Compiles for the machine that the options say.
    ///
    /// A graph with symbolic dimensions is compiled when it first runs, once for each set of
    /// extents it meets.
    ///
    /// # Errors
    /// When a stage fails.
    pub fn compile(&self, options: &Options) -> Result<Compiled, Error> {
        Compiled::new(self.graph.clone(), options.clone())
    }
}
