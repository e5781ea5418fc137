//! What can be wrong with a kernel's text.
//!
//! Codes `TL05xx` belong to this crate and keep their meaning.

/// A text that is no kernel.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseError {
    /// Something stands where something else should.
    #[error("TL0501: line {line}, column {column}: found {found}, expected {expected}")]
    Unexpected {
        /// The line, counted from 1.
        line: usize,
        /// The character in its line, counted from 1.
        column: usize,
        /// What stands there.
        found: String,
        /// What could stand there.
        expected: String,
    },
}
