//! What can go wrong when passes run.

use std::path::PathBuf;

use tracelift_ir::TypeError;

/// A pass, a pipeline or its options that do not work.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PassError {
    /// A name that no pass has.
    #[error("unknown pass '{found}' (known: {known})")]
    Unknown {
        /// The name found.
        found: String,
        /// The names there are.
        known: String,
    },
    /// A rewrite built something ill-typed.
    #[error("pass {pass}, law {law}: {error}")]
    Type {
        /// The pass.
        pass: &'static str,
        /// The law, or what was being built.
        law: &'static str,
        /// What does not fit.
        error: TypeError,
    },
    /// A law changed the type of a result.
    #[error("pass {pass}, law {law}: result is {found}, expected {expected}")]
    ResultType {
        /// The pass.
        pass: &'static str,
        /// The law.
        law: &'static str,
        /// The type built.
        found: String,
        /// The type of what it replaces.
        expected: String,
    },
    /// Laws that undo one another.
    #[error("pass {pass} does not come to rest; its last law was {law}")]
    Diverged {
        /// The pass.
        pass: &'static str,
        /// The law applied last.
        law: &'static str,
    },
    /// The graph is not well-formed.
    #[error("invalid graph after {pass}:\n{violations}")]
    Invalid {
        /// The pass that ran last; `input` before the first.
        pass: &'static str,
        /// What the verifier found.
        violations: String,
    },
    /// A pass changed the graph and said it did not.
    #[error("pass {pass} changed the graph but reported that it had not")]
    Untrue {
        /// The pass.
        pass: &'static str,
    },
    /// A dump that cannot be written.
    #[error("{}: {error}", path.display())]
    Dump {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
}
