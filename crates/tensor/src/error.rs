//! What can go wrong with a file that holds tensors.
//!
//! Codes `TL01xx` belong to this crate and keep their meaning.

use std::{io, path::PathBuf};

/// A file of tensors that cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// The operating system refused.
    #[error("TL0101: {path}: {action} failed: {reason}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What was tried, such as `opening`.
        action: &'static str,
        /// The operating system's answer.
        reason: io::Error,
    },
    /// The path leads to something that has no fixed bytes.
    #[error("TL0102: {path}: found {found}, expected a regular file")]
    NotRegular {
        /// The path.
        path: PathBuf,
        /// What it leads to, such as `a directory`.
        found: &'static str,
    },
    /// The bytes are not those of the format.
    #[error("TL0103: {path}: {what}: found {found}, expected {expected}")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The part concerned, such as `array 'x'`.
        what: String,
        /// What stands there.
        found: String,
        /// What the format asks for.
        expected: String,
    },
    /// An array's element type has no dtype here.
    #[error("TL0104: {path}: {what}: dtype {found} is not supported (supported: {supported})")]
    UnsupportedDType {
        /// The file.
        path: PathBuf,
        /// The array, such as `array 'x'`.
        what: String,
        /// The dtype as the file spells it.
        found: String,
        /// What could stand instead.
        supported: &'static str,
    },
    /// The file asks for more than a limit allows.
    #[error("TL0105: {path}: {what}: {found} exceeds the limit of {limit}")]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The part concerned.
        what: String,
        /// The amount asked for, with its unit.
        found: String,
        /// The limit, with its unit.
        limit: String,
    },
    /// Two tensors bear one name.
    #[error("TL0106: {path}: two tensors are named '{name}', expected distinct names")]
    DuplicateName {
        /// The file.
        path: PathBuf,
        /// The name.
        name: String,
    },
}

impl FileError {
    /// Turns an operating-system error during `action` on `path` into a `FileError`.
    pub(crate) fn io(path: &std::path::Path, action: &'static str) -> impl Fn(io::Error) -> Self {
        move |reason| FileError::Io { path: path.to_path_buf(), action, reason }
    }
}
