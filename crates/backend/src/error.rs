//! What code generation refuses.

use tracelift_tensor::DType;

/// A program that cannot be compiled for its target.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackendError {
    /// The target lacks an instruction that the program's meaning needs.
    #[error("TL0400: kernel '{kernel}': target {target} has no instruction for {operation}")]
    MissingInstruction {
        /// The kernel's name.
        kernel: String,
        /// The target's name.
        target: String,
        /// What it lacks.
        operation: String,
    },
    /// An operation without code for its operands.
    #[error("TL0401: kernel '{kernel}': no code for {op} of {dtype}")]
    UnsupportedOp {
        /// The kernel's name.
        kernel: String,
        /// The operation's name.
        op: &'static str,
        /// The dtype of its first operand.
        dtype: DType,
    },
    /// The code generator refused a target.
    #[error("TL0402: target {target}: {reason}")]
    Target {
        /// The target's name.
        target: String,
        /// What Cranelift says.
        reason: String,
    },
    /// A plan that does not fit its kernels.
    #[error("TL0404: launch {launch} ({label}): {reason}")]
    Plan {
        /// The number of the launch.
        launch: usize,
        /// What it computes.
        label: String,
        /// What does not fit.
        reason: String,
    },
    /// The code generator failed on a function or module.
    #[error("TL0403: {place}: {reason}")]
    CodeGenerator {
        /// The kernel or stage.
        place: String,
        /// What Cranelift says.
        reason: String,
    },
}

impl BackendError {
    /// A failure of Cranelift at a place.
    pub(crate) fn code_generator(place: &str, reason: impl std::fmt::Display) -> BackendError {
        BackendError::CodeGenerator { place: place.to_string(), reason: reason.to_string() }
    }
}
