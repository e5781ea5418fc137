//! What can be wrong with a graph.

/// An operator and operands that do not fit; the message begins with the violated constraint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct TypeError(pub String);

impl TypeError {
    /// An operator given the wrong number of operands.
    pub fn arity(expected: &str, found: usize) -> TypeError {
        TypeError(format!("expected {expected}, found {found} operands"))
    }
}

/// Returns a [`TypeError`] unless a condition holds.
#[macro_export]
macro_rules! require {
    ($condition:expr, $($message:tt)*) => {
        if !$condition {
            return Err($crate::TypeError(format!($($message)*)));
        }
    };
}

/// An operator without a derivative.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GradError {
    /// No rule is defined for this operator.
    #[error("operator {0} has no gradient")]
    Undefined(&'static str),
    /// A rule built something ill-typed.
    #[error("gradient of {0}: {1}")]
    Type(&'static str, TypeError),
}

/// A graph that cannot be evaluated with the inputs given.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EvalError {
    /// Another number of inputs than the graph takes.
    #[error("graph @{graph} takes {expected} inputs, found {found}")]
    InputCount {
        /// The graph's name.
        graph: String,
        /// The number it takes.
        expected: usize,
        /// The number found.
        found: usize,
    },
    /// An input of another type than declared.
    #[error("input %{name}: expected {expected}, found {found}")]
    InputType {
        /// The input's name.
        name: String,
        /// The declared type.
        expected: String,
        /// The type found.
        found: String,
    },
}
