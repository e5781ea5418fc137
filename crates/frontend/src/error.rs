//! Mistakes in traced programs: stable codes, places, what was found and what was expected.

use std::{fmt, panic::Location};

use tracelift_ir::TypeError;

/// The kind of a mistake; each has a stable code.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum MistakeKind {
    /// An operator refused its operands for a reason without a code of its own.
    Operator,
    /// A layer's input has another number of features or channels than its parameters.
    LayerInput,
    /// Shapes that do not broadcast.
    Broadcast,
    /// A reshape to another number of elements.
    Reshape,
    /// An axis outside the rank, or named twice.
    Axis,
    /// Operands of different dtypes, or a dtype that the operator does not take.
    DType,
    /// A tensor with too few or too many axes.
    Rank,
    /// Extents that must agree and do not.
    Extent,
    /// A setting that cannot be, such as a stride of 0.
    Setting,
    /// Tensors of two traces in one operator.
    ForeignTrace,
    /// Two inputs of one name, or a name that cannot be written in text form.
    Signature,
}

impl MistakeKind {
    /// The stable code, such as `TL0401`.
    pub fn code(self) -> &'static str {
        match self {
            MistakeKind::Operator => "TL0400",
            MistakeKind::LayerInput => "TL0401",
            MistakeKind::Broadcast => "TL0402",
            MistakeKind::Reshape => "TL0403",
            MistakeKind::Axis => "TL0404",
            MistakeKind::DType => "TL0405",
            MistakeKind::Rank => "TL0406",
            MistakeKind::Extent => "TL0407",
            MistakeKind::Setting => "TL0408",
            MistakeKind::ForeignTrace => "TL0409",
            MistakeKind::Signature => "TL0410",
        }
    }
}

/// What is wrong with an application of an operator or a layer, before its place is known.
#[derive(Clone, Debug)]
pub(crate) struct Fault {
    pub(crate) kind: MistakeKind,
    pub(crate) message: String,
    pub(crate) found: String,
    pub(crate) expected: String,
    pub(crate) hint: String,
}

impl Fault {
    pub(crate) fn new(kind: MistakeKind, message: impl Into<String>) -> Fault {
        let empty = String::new;
        Fault { kind, message: message.into(), found: empty(), expected: empty(), hint: empty() }
    }

    pub(crate) fn found(mut self, found: impl Into<String>) -> Fault {
        self.found = found.into();
        self
    }

    pub(crate) fn expected(mut self, expected: impl Into<String>) -> Fault {
        self.expected = expected.into();
        self
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Fault {
        self.hint = hint.into();
        self
    }
}

impl From<TypeError> for Fault {
    fn from(error: TypeError) -> Fault {
        Fault::new(MistakeKind::Operator, error.0)
    }
}

/// One mistake in a traced program.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Mistake {
    /// What kind of mistake it is.
    pub kind: MistakeKind,
    /// The line to look at: where the operator is applied, or where a layer inside a
    /// [`Sequential`](crate::nn::Sequential) is constructed.
    pub place: &'static Location<'static>,
    /// The other line of a layer, with its role: where it was constructed or applied.
    pub also: Option<(&'static str, &'static Location<'static>)>,
    /// The module path, such as `features.0`; empty outside modules.
    pub module: String,
    /// The operator or layer and what is wrong, in one line.
    pub message: String,
    /// What was found; empty where the message says it all.
    pub found: String,
    /// What was expected; empty where the message says it all.
    pub expected: String,
    /// What to change; may be empty.
    pub hint: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error[{}]: {}: {}", self.kind.code(), self.place, self.message)?;
        let mut line = |label: &str, text: &str| match text {
            "" => Ok(()),
            _ => write!(f, "\n  {label:<9} {text}"),
        };
        line("found:", &self.found)?;
        line("expected:", &self.expected)?;
        line("hint:", &self.hint)?;
        line("module:", &self.module)?;
        match self.also {
            Some((role, place)) => line(&format!("{role}:"), &place.to_string()),
            None => Ok(()),
        }
    }
}

/// Every independent mistake of a traced program, in the order in which they were made.
///
/// What is computed from a mistaken value is not reported again.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{}", self.mistakes.iter().map(Mistake::to_string).collect::<Vec<_>>().join("\n"))]
pub struct TraceError {
    /// The mistakes; at least one.
    pub mistakes: Vec<Mistake>,
}
