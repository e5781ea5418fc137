//! Everything that can go wrong between a file and an answer.

use std::path::PathBuf;

use tracelift_backend::{BackendError, LowerError};
use tracelift_frontend::TraceError;
use tracelift_import::ImportError;
use tracelift_ir::{EvalError, TypeError};
use tracelift_passes::PassError;
use tracelift_runtime::RunError;
use tracelift_tensor::{FileError, TargetError};

/// An error of any stage, with the stage's own words.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A model file cannot be imported.
    #[error(transparent)]
    Import(#[from] ImportError),
    /// A graph file cannot be read.
    #[error(transparent)]
    Graph(#[from] tracelift_ir::text::GraphFileError),
    /// A data file cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// A function cannot be traced.
    #[error(transparent)]
    Trace(#[from] TraceError),
    /// A pass failed or was misnamed.
    #[error(transparent)]
    Pass(#[from] PassError),
    /// The extents given do not fit the graph.
    #[error("TL0701: graph @{graph} does not fit these extents: {error}")]
    Bind {
        /// The graph's name.
        graph: String,
        /// What does not fit.
        error: TypeError,
    },
    /// A graph has no kernels.
    #[error(transparent)]
    Lower(#[from] LowerError),
    /// No code can be made.
    #[error(transparent)]
    Backend(#[from] BackendError),
    /// The machine is not supported.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// Inputs do not fit the graph.
    #[error(transparent)]
    Inputs(#[from] EvalError),
    /// A run was refused.
    #[error(transparent)]
    Run(#[from] RunError),
    /// A file is no model.
    #[error(
        "TL0702: {}: not a model file\n  expected: a name ending in .onnx or .graph\n  \
         hint:     dump any model as text with `tracelift dump MODEL --stage graph`",
        path.display()
    )]
    UnknownFormat {
        /// The file.
        path: PathBuf,
    },
}
