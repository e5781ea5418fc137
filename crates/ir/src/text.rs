//! The text form of graphs.
//!
//! ```text
//! graph @scale(%x: f32[B, 2]) -> f32[B, 2] {
//!   @gain: f32[B, 2]
//!   %y: f32[B, 2] = mul(%x, @gain)
//!   %z: f32[B, 2] = add(%y, 1.0)
//!   return %z
//! }
//! ```
//! `%` names a value, `@` a parameter or the graph; names other than letters, digits, `_` and `.`
//! stand in quotes. A number as an operand is a constant of the type of the node's last operand
//! that is no number. Parameters and large constants lie beside the text, by name.

mod dim;
mod error;
mod file;
mod lex;
mod names;
mod parse;
mod print;
mod statement;
#[cfg(test)]
mod tests;

pub use dim::parse_dim;
pub use error::{ParseCode, ParseError, ParseErrors, Position};
pub use file::{GraphFileError, read_graph_file, write_graph_file};
pub(crate) use lex::is_word;
pub use names::data_beside;
pub(crate) use names::{Names, quoted};
pub(crate) use parse::MAX_RANK;
pub use parse::{DataSource, Parsed, parse_graph, parse_graph_unverified};
pub use print::PrintOptions;
pub(crate) use print::application;
