//! What can go wrong with a model file.
//!
//! Codes `TL02xx` belong to this crate and keep their meaning.

use std::{fmt, path::PathBuf};

use tracelift_tensor::FileError;

/// A model that cannot be imported.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// The file cannot be read; the message and its code come from the reader.
    #[error(transparent)]
    File(#[from] FileError),
    /// The bytes are not those of the format.
    #[error("TL0201: {path}: {found}, expected {expected}")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What stands there.
        found: String,
        /// What the format asks for.
        expected: &'static str,
    },
    /// The file is of a version that is not known here.
    #[error("TL0202: {path}: {what} is {found}, expected {expected}")]
    Version {
        /// The file.
        path: PathBuf,
        /// What has the version, such as `the IR version`.
        what: String,
        /// The version in the file.
        found: i64,
        /// The versions known.
        expected: String,
    },
    /// Decoding would take more memory than a limit allows.
    #[error(
        "TL0203: {path}: decoding takes about {needed_bytes} bytes beside the file, \
         expected at most {limit_bytes} (hint: store tensors as raw or external data)"
    )]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// An estimate of the memory needed.
        needed_bytes: u64,
        /// The limit.
        limit_bytes: u64,
    },
    /// Parts of the model cannot be imported; every one that was found is listed.
    #[error("TL0210: {path}: {}", Listing(.problems))]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// What was found, in file order.
        problems: Vec<Problem>,
    },
}

/// The part of a model that a problem is about.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Subject {
    /// A node, with the name of its operator.
    Node {
        /// The node's name; may be empty.
        name: String,
        /// The operator, such as `Conv`; of another domain than ONNX's own, `domain.Name`.
        op_type: String,
    },
    /// An initializer or another constant.
    Tensor {
        /// The tensor's name; may be empty.
        name: String,
    },
    /// A value that enters, leaves or flows inside a graph.
    Value {
        /// The value's name.
        name: String,
    },
    /// The model as a whole.
    Model,
}

/// One thing that cannot be imported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where it is.
    pub subject: Subject,
    /// What was found, as a clause: `mode 'cubic' is not supported`.
    pub what: String,
    /// What would be accepted, such as `supported: nearest, linear`; may be empty.
    pub hint: String,
    /// The graph inputs whose values at compile time would help; usually none.
    pub inputs: Vec<String>,
}

impl Problem {
    /// A problem of a part of the model, without a hint.
    pub fn new(subject: Subject, what: impl Into<String>) -> Problem {
        Problem { subject, what: what.into(), hint: String::new(), inputs: Vec::new() }
    }

    /// A problem of a node.
    pub fn node(name: &str, op_type: &str, what: impl Into<String>) -> Problem {
        Problem::new(Subject::Node { name: name.into(), op_type: op_type.into() }, what)
    }

    /// A problem of a tensor.
    pub fn tensor(name: &str, what: impl Into<String>) -> Problem {
        Problem::new(Subject::Tensor { name: name.into() }, what)
    }

    /// The same problem with a hint.
    pub fn with_hint(self, hint: impl Into<String>) -> Problem {
        Problem { hint: hint.into(), ..self }
    }

    /// The same problem with the inputs whose values would help.
    pub fn with_inputs(self, inputs: Vec<String>) -> Problem {
        Problem { inputs, ..self }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Subject::Node { name, op_type } if name.is_empty() => {
                write!(f, "unnamed node of operator {}", Shown(op_type))
            }
            Subject::Node { name, .. } => write!(f, "node '{}'", Shown(name)),
            Subject::Tensor { name } => write!(f, "tensor '{}'", Shown(name)),
            Subject::Value { name } => write!(f, "value '{}'", Shown(name)),
            Subject::Model => f.write_str("the model"),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.subject, self.what)?;
        if self.hint.is_empty() { Ok(()) } else { write!(f, " ({})", self.hint) }
    }
}

/// A name from a hostile file: without control characters and of bounded length.
pub(crate) struct Shown<'a>(pub &'a str);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const LONGEST: usize = 200;
        for c in self.0.chars().take(LONGEST) {
            if c.is_control() { write!(f, "{}", c.escape_default())? } else { write!(f, "{c}")? }
        }
        if self.0.chars().nth(LONGEST).is_some() { f.write_str("…") } else { Ok(()) }
    }
}

/// Problems as a headline and one line each.
struct Listing<'a>(&'a [Problem]);

impl fmt::Display for Listing<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const MOST: usize = 100;
        let count = self.0.len();
        let is_node = |p: &Problem| matches!(p.subject, Subject::Node { .. });
        let noun = if self.0.iter().all(is_node) { "node" } else { "part" };
        write!(f, "{count} {noun}{} cannot be imported", if count == 1 { "" } else { "s" })?;
        for problem in self.0.iter().take(MOST) {
            write!(f, "\n  {problem}")?;
        }
        match count.checked_sub(MOST) {
            None | Some(0) => Ok(()),
            Some(rest) => write!(f, "\n  … and {rest} more"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unsupported(problems: Vec<Problem>) -> String {
        ImportError::Unsupported { path: "resnet50.onnx".into(), problems }.to_string()
    }

    #[test]
    fn problems_are_listed_one_per_line() {
        let text = unsupported(vec![
            Problem::node("Resize_141", "Resize", "mode 'cubic' is not supported")
                .with_hint("supported: nearest, linear"),
            Problem::node("", "Loop", "operator Loop is not supported"),
        ]);
        let expected = "TL0210: resnet50.onnx: 2 nodes cannot be imported\n  \
            node 'Resize_141': mode 'cubic' is not supported (supported: nearest, linear)\n  \
            unnamed node of operator Loop: operator Loop is not supported";
        assert_eq!(text, expected);
    }

    #[test]
    fn hostile_names_and_counts_keep_messages_short() {
        let name = format!("\u{1b}[2J\n{}", "x".repeat(10_000));
        let text = unsupported(vec![Problem::tensor(&name, "broken"); 1000]);
        assert!(text.starts_with("TL0210: resnet50.onnx: 1000 parts cannot be imported"));
        assert!(text.ends_with("\n  … and 900 more"));
        assert_eq!(text.lines().count(), 102);
        assert!(!text.contains('\u{1b}') && text.len() < 40_000);
    }
}
