//! What a run refuses.

use tracelift_tensor::DType;

/// Inputs or outputs that a program does not take.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// Another number of inputs or outputs.
    #[error("TL0500: expected {expected} {what}, found {found}")]
    Count {
        /// `inputs` or `outputs`.
        what: &'static str,
        /// The number the program has.
        expected: usize,
        /// The number given.
        found: usize,
    },
    /// A buffer of another size.
    #[error("TL0501: {what} '{name}' has {expected} bytes, found {found}")]
    Size {
        /// `input` or `output`.
        what: &'static str,
        /// The name of the input or output.
        name: String,
        /// The bytes the program has.
        expected: usize,
        /// The bytes given.
        found: usize,
    },
    /// A tensor of another type.
    #[error("TL0502: input '{name}' is {expected}{expected_shape:?}, found {found}{found_shape:?}")]
    Type {
        /// The name of the input.
        name: String,
        /// The dtype the program takes.
        expected: DType,
        /// The shape the program takes.
        expected_shape: Vec<usize>,
        /// The dtype given.
        found: DType,
        /// The shape given.
        found_shape: Vec<usize>,
    },
    /// A context made for another program.
    #[error("TL0503: the context belongs to another program")]
    ForeignContext,
}
