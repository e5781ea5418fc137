//! Text to expression.

use rustc_hash::FxHashMap;
use tracelift_tensor::{DType, Scalar};

use super::share_dtype;
use crate::{Expr, ExprBuilder, ExprId, Op};

/// Calls may nest this deep.
const DEEPEST: usize = 100;

/// Text that is not an expression.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("byte {offset}: found {found}, expected {expected}")]
pub struct ParseExprError {
    /// Where, in bytes from the start of the text.
    pub offset: usize,
    /// What stands there.
    pub found: String,
    /// What should.
    pub expected: String,
}

impl Expr {
    /// Reads the text form; input `xk` has dtype `inputs[k]`.
    ///
    /// # Errors
    /// When the text is not an expression, names an input that is not there, or operands do not fit.
    pub fn parse(text: &str, inputs: &[DType]) -> Result<Expr, ParseExprError> {
        let names = FxHashMap::default();
        let builder = ExprBuilder::default();
        let mut parser = Parser { text, at: 0, inputs, names, builder, depth: 0 };
        let root = parser.bindings_and_root()?;
        Ok(parser.builder.finish(root))
    }
}

/// An operand: a node, or a literal whose dtype its siblings tell.
#[derive(Clone, Copy)]
enum Operand<'t> {
    Node(ExprId),
    Bare { text: &'t str, offset: usize },
}

struct Parser<'t> {
    text: &'t str,
    at: usize,
    inputs: &'t [DType],
    names: FxHashMap<&'t str, ExprId>,
    builder: ExprBuilder,
    depth: usize,
}

type Result<T, E = ParseExprError> = std::result::Result<T, E>;

impl<'t> Parser<'t> {
    fn error(&self, offset: usize, expected: impl Into<String>) -> ParseExprError {
        let rest = &self.text[offset..];
        let end = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
        let found = match (end, rest.chars().next()) {
            (_, None) => "the end".to_string(),
            (0, Some(c)) => format!("'{c}'"),
            _ => format!("'{}'", &rest[..end]),
        };
        ParseExprError { offset, found, expected: expected.into() }
    }

    fn skip_space(&mut self) {
        let rest = &self.text[self.at..];
        self.at += rest.len() - rest.trim_start().len();
    }

    fn eat(&mut self, mark: char) -> bool {
        self.skip_space();
        let found = self.text[self.at..].starts_with(mark);
        self.at += if found { mark.len_utf8() } else { 0 };
        found
    }

    fn expect(&mut self, mark: char) -> Result<()> {
        if self.eat(mark) { Ok(()) } else { Err(self.error(self.at, format!("'{mark}'"))) }
    }

    /// A run of letters, digits and `_ . : + -`, and where it starts.
    fn word(&mut self, expected: &str) -> Result<(&'t str, usize)> {
        self.skip_space();
        let (text, start) = (self.text, self.at);
        let rest = &text[start..];
        let end = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
        if end == 0 {
            return Err(self.error(start, expected));
        }
        self.at += end;
        Ok((&rest[..end], start))
    }

    fn bindings_and_root(&mut self) -> Result<ExprId> {
        loop {
            let (word, start) = self.word("an expression")?;
            if word != "let" {
                self.at = start;
                break;
            }
            let (name, start) = self.word("a name")?;
            let is_taken = self.names.contains_key(name);
            if is_taken || numbered(name, 'x').is_some() || numbered(name, 'i').is_some() {
                return Err(self.error(start, "a name not in use"));
            }
            self.expect('=')?;
            let value = self.whole_expression()?;
            self.expect(';')?;
            self.names.insert(name, value);
        }
        let root = self.whole_expression()?;
        self.skip_space();
        if self.at < self.text.len() {
            return Err(self.error(self.at, "the end"));
        }
        Ok(root)
    }

    fn whole_expression(&mut self) -> Result<ExprId> {
        let operand = self.operand()?;
        self.resolve(operand, None)
    }

    /// The node of an operand whose siblings have `dtype`.
    fn resolve(&mut self, operand: Operand<'t>, dtype: Option<DType>) -> Result<ExprId> {
        let (text, offset) = match operand {
            Operand::Node(id) => return Ok(id),
            Operand::Bare { text, offset } => (text, offset),
        };
        let is_bool = matches!(text, "true" | "false");
        let Some(dtype) = dtype.or(is_bool.then_some(DType::Bool)) else {
            return Err(self.error(offset, format!("a literal with its dtype, such as f32:{text}")));
        };
        let scalar = Scalar::parse(dtype, text)
            .map_err(|_| self.error(offset, format!("a literal of dtype {dtype}")))?;
        Ok(self.builder.constant(scalar))
    }

    fn operand(&mut self) -> Result<Operand<'t>> {
        let (word, offset) = self.word("an expression")?;
        if self.eat('(') {
            return self.call(word, offset).map(Operand::Node);
        }
        if let Some(id) = self.names.get(word) {
            return Ok(Operand::Node(*id));
        }
        if let Some(k) = numbered(word, 'x') {
            let dtype = self.inputs.get(k as usize).copied();
            let dtype = dtype.ok_or_else(|| {
                self.error(offset, format!("one of {} inputs, counted from x0", self.inputs.len()))
            })?;
            return Ok(Operand::Node(self.builder.input(k, dtype)));
        }
        if let Some(axis) = numbered(word, 'i') {
            return Ok(Operand::Node(self.builder.index(axis)));
        }
        if let Some((name, value)) = word.split_once(':')
            && let Ok(dtype) = name.parse::<DType>()
        {
            let bare = Operand::Bare { text: value, offset };
            return self.resolve(bare, Some(dtype)).map(Operand::Node);
        }
        let is_number = word.starts_with(|c: char| c.is_ascii_digit() || c == '-');
        if is_number || matches!(word, "true" | "false" | "inf" | "nan") || word.starts_with("nan:")
        {
            return Ok(Operand::Bare { text: word, offset });
        }
        Err(self.error(offset, "an input, an index, a name, a literal or a call"))
    }

    fn call(&mut self, name: &str, offset: usize) -> Result<ExprId> {
        let op = operation(name).ok_or_else(|| self.error(offset, "an operation"))?;
        if self.depth == DEEPEST {
            return Err(self.error(offset, format!("at most {DEEPEST} nested calls")));
        }
        self.depth += 1;
        let mut operands = Vec::new();
        while operands.is_empty() || self.eat(',') {
            operands.push(self.operand()?);
        }
        self.expect(')')?;
        self.depth -= 1;
        let operands = self.resolve_all(op, &operands)?;
        self.builder.try_apply(op, &operands).map_err(|e| {
            let mut error = self.error(offset, format!("operands that fit: {e}"));
            error.found = format!("'{name}'");
            error
        })
    }

    fn resolve_all(&mut self, op: Op, operands: &[Operand<'t>]) -> Result<Vec<ExprId>> {
        let known: Vec<Option<DType>> = (0..operands.len())
            .map(|k| {
                operands.iter().enumerate().find_map(|(other, operand)| match operand {
                    Operand::Node(id) if share_dtype(op, k, other) => {
                        Some(self.builder.dtype_of(*id))
                    }
                    _ => None,
                })
            })
            .collect();
        operands.iter().zip(known).map(|(operand, dtype)| self.resolve(*operand, dtype)).collect()
    }
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | ':' | '+' | '-')
}

/// The number after a letter, as in `x12`, written as it would be printed.
fn numbered(word: &str, letter: char) -> Option<u32> {
    let digits = word.strip_prefix(letter)?;
    let number: u32 = digits.parse().ok()?;
    (number.to_string() == digits).then_some(number)
}

fn operation(name: &str) -> Option<Op> {
    match name.split_once('.') {
        Some(("cast", dtype)) => dtype.parse().ok().map(Op::Cast),
        Some(("bitcast", dtype)) => dtype.parse().ok().map(Op::Bitcast),
        Some(_) => None,
        None => Op::ALL.iter().copied().find(|op| op.name() == name),
    }
}
