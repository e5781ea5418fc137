//! Why one node cannot be converted.

use tracelift_ir::TypeError;

/// What is wrong with a node; the walk adds which node it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    /// What was found, as a clause.
    pub what: String,
    /// What would be accepted; may be empty.
    pub hint: String,
    /// The graph inputs whose values would help.
    pub inputs: Vec<String>,
}

/// The result of converting something.
pub(crate) type Converted<T> = Result<T, Failure>;

impl Failure {
    /// A failure without a hint.
    pub fn new(what: impl Into<String>) -> Failure {
        Failure { what: what.into(), hint: String::new(), inputs: Vec::new() }
    }

    /// The same with a hint.
    pub fn with_hint(self, hint: impl Into<String>) -> Failure {
        Failure { hint: hint.into(), ..self }
    }
}

impl From<TypeError> for Failure {
    fn from(error: TypeError) -> Failure {
        Failure::new(error.0)
    }
}

impl From<String> for Failure {
    fn from(what: String) -> Failure {
        Failure::new(what)
    }
}

/// Returns a [`Failure`] unless a condition holds.
macro_rules! ensure {
    ($condition:expr, $($message:tt)*) => {
        if !$condition {
            return Err($crate::onnx::failure::Failure::new(format!($($message)*)));
        }
    };
}
pub(crate) use ensure;
