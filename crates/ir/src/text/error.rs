//! What can be wrong with the text of a graph.

use std::fmt;

use crate::verify::Violation;

/// A place in a text, counted from 1.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Position {
    /// The line.
    pub line: u32,
    /// The column, in characters.
    pub column: u32,
}

/// The stable code of a mistake in a text.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum ParseCode {
    /// A token where another is expected.
    Syntax,
    /// Characters that form no token.
    Character,
    /// A value or parameter that is not defined above.
    UnknownName,
    /// A name defined twice.
    DuplicateName,
    /// An operator that does not exist.
    UnknownOperator,
    /// An attribute that is missing, unknown, repeated or ill-formed.
    Attribute,
    /// A type that does not parse.
    Type,
    /// A number that does not fit its dtype, or numbers that do not fit their type.
    Number,
    /// A tensor beside the text that is not there or has another type.
    Data,
}

impl ParseCode {
    /// The code as shown, such as `TL0301`.
    pub fn code(self) -> &'static str {
        match self {
            ParseCode::Syntax => "TL0301",
            ParseCode::Character => "TL0302",
            ParseCode::UnknownName => "TL0303",
            ParseCode::DuplicateName => "TL0304",
            ParseCode::UnknownOperator => "TL0305",
            ParseCode::Attribute => "TL0306",
            ParseCode::Type => "TL0307",
            ParseCode::Number => "TL0308",
            ParseCode::Data => "TL0309",
        }
    }
}

/// One mistake in a text.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub struct ParseError {
    /// What kind of mistake it is.
    pub code: ParseCode,
    /// Where it is.
    pub at: Position,
    /// What stands there.
    pub found: String,
    /// What could stand there.
    pub expected: String,
    /// What may be meant.
    pub hint: Option<String>,
}

impl fmt::Display for ParseError {
    /// Writes `TL0303: line 3, column 14: found %y, expected a value defined above (did you mean %x?)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Position { line, column }, code) = (self.at, self.code.code());
        let ParseError { found, expected, .. } = self;
        write!(f, "{code}: line {line}, column {column}: found {found}, expected {expected}")?;
        match &self.hint {
            Some(hint) => write!(f, " ({hint})"),
            None => Ok(()),
        }
    }
}

/// Everything wrong with a text: its form, or else the graph it says.
#[derive(Clone, PartialEq, Debug, Default, thiserror::Error)]
pub struct ParseErrors {
    /// Mistakes of form, in order of their places.
    pub errors: Vec<ParseError>,
    /// What the graph violates; empty while the form is wrong.
    pub violations: Vec<Violation>,
}

impl fmt::Display for ParseErrors {
    /// Writes one mistake per line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let errors = self.errors.iter().map(ParseError::to_string);
        let violations = self.violations.iter().map(Violation::to_string);
        let lines: Vec<String> = errors.chain(violations).collect();
        f.write_str(&lines.join("\n"))
    }
}
