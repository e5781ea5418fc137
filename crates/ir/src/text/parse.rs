//! Text to graph: the outline of a graph, its signature, and recovery after mistakes.

use std::collections::{BTreeMap, HashMap};

use tracelift_tensor::Tensor;

use super::{
    ParseCode, ParseError, ParseErrors, Position,
    lex::{Kind, MAX_ERRORS, Token, lex, position},
};
use crate::{
    Attribute as _, Graph, NodeId, Shape, TensorType, Value,
    verify::{Violation, verify},
};

/// Gives the tensor of a name that lies beside the text; `None` where there is none.
pub type DataSource<'d> = dyn FnMut(&str) -> Option<Tensor> + 'd;

/// The most axes of a type.
pub(crate) const MAX_RANK: usize = 64;

/// Reads a graph and verifies it.
///
/// # Errors
/// When the text is not of the form, a tensor it names is missing, or the graph is not valid; all
/// that is wrong is reported.
pub fn parse_graph(text: &str, data: &mut DataSource<'_>) -> Result<Graph, ParseErrors> {
    let parsed = parse_graph_unverified(text, data)?;
    match parsed.verify() {
        Ok(()) => Ok(parsed.graph),
        Err(violations) => Err(ParseErrors { violations, ..ParseErrors::default() }),
    }
}

/// A graph as a text says it: its nodes have the types declared, whether they follow or not.
#[derive(Clone, Debug)]
pub struct Parsed {
    /// The graph.
    pub graph: Graph,
    /// The line of each node.
    pub lines: BTreeMap<NodeId, u32>,
    /// The line of the `return`.
    return_line: u32,
    /// The types of the results as the signature declares them.
    declared: Vec<TensorType>,
}

impl Parsed {
    /// Verifies the graph against its rules and its signature; violations carry their line.
    ///
    /// # Errors
    /// When there is any violation; all are reported, in order of their lines.
    pub fn verify(&self) -> Result<(), Vec<Violation>> {
        let mut violations = verify(&self.graph).err().unwrap_or_default();
        for violation in &mut violations {
            violation.line = violation.node.and_then(|id| self.lines.get(&id)).copied();
        }
        let found: Vec<TensorType> =
            self.graph.results().iter().map(|r| self.graph.ty(r.value).clone()).collect();
        if found != self.declared {
            violations.push(Violation::signature(
                &self.graph,
                &self.declared,
                &found,
                self.return_line,
            ));
        }
        violations.sort_by_key(|v| v.line);
        if violations.is_empty() { Ok(()) } else { Err(violations) }
    }
}

/// Reads a graph without verifying it.
///
/// # Errors
/// When the text is not of the form or a tensor it names is missing; all mistakes are reported.
pub fn parse_graph_unverified(
    text: &str,
    data: &mut DataSource<'_>,
) -> Result<Parsed, ParseErrors> {
    let (tokens, errors) = lex(text);
    let mut parser = Parser {
        text,
        tokens,
        at: 0,
        graph: Graph::default(),
        values: HashMap::new(),
        parameters: HashMap::new(),
        lines: BTreeMap::new(),
        data,
        errors,
    };
    let outline = parser.graph();
    let Parser { graph, lines, mut errors, .. } = parser;
    errors.sort_by_key(|e| e.at);
    match outline {
        Ok((return_line, declared)) if errors.is_empty() => {
            Ok(Parsed { graph, lines, return_line, declared })
        }
        _ => Err(ParseErrors { errors, violations: Vec::new() }),
    }
}

/// A mistake has been reported; the rest of the line says nothing.
#[derive(Debug)]
pub(super) struct Stop;

pub(super) type Step<T> = Result<T, Stop>;

pub(super) struct Parser<'t, 'd> {
    text: &'t str,
    tokens: Vec<Token>,
    at: usize,
    pub graph: Graph,
    /// Values by name; `None` where the definition has a mistake.
    pub values: HashMap<String, Option<Value>>,
    pub parameters: HashMap<String, Option<Value>>,
    pub lines: BTreeMap<NodeId, u32>,
    pub data: &'d mut DataSource<'d>,
    errors: Vec<ParseError>,
}

impl<'t> Parser<'t, '_> {
    pub fn peek(&self) -> &Token {
        // The last token is the end, and `advance` never passes it.
        &self.tokens[self.at]
    }

    pub fn advance(&mut self) -> Token {
        let token = self.peek().clone();
        self.at = (self.at + 1).min(self.tokens.len() - 1);
        token
    }

    /// Where the token before the next one ends, in bytes.
    pub fn end_of_last(&self) -> usize {
        self.at.checked_sub(1).map_or(0, |last| self.tokens[last].end)
    }

    /// The text of a range of bytes.
    pub fn slice(&self, start: usize, end: usize) -> &'t str {
        &self.text[start..end]
    }

    pub fn text_of(&self, token: &Token) -> &'t str {
        self.slice(token.start, token.end)
    }

    pub fn place(&self, token: &Token) -> Position {
        position(self.text, token.start, token.line)
    }

    /// Reports a mistake at a token.
    pub fn report(
        &mut self,
        token: &Token,
        code: ParseCode,
        found: String,
        expected: &str,
        hint: Option<String>,
    ) -> Stop {
        if self.errors.len() < MAX_ERRORS {
            let (at, expected) = (self.place(token), expected.to_string());
            self.errors.push(ParseError { code, at, found, expected, hint });
        }
        Stop
    }

    /// Reports that something else is expected at the next token.
    pub fn unexpected(&mut self, expected: &str) -> Stop {
        let token = self.peek().clone();
        let found = match token.kind {
            Kind::End => "the end of the text".to_string(),
            _ => format!("'{}'", self.text_of(&token)),
        };
        self.report(&token, ParseCode::Syntax, found, expected, None)
    }

    pub fn is_mark(&self, mark: char) -> bool {
        self.peek().kind == Kind::Mark(mark)
    }

    pub fn eat(&mut self, mark: char) -> bool {
        let found = self.is_mark(mark);
        if found {
            self.advance();
        }
        found
    }

    pub fn expect(&mut self, mark: char) -> Step<()> {
        if self.eat(mark) { Ok(()) } else { Err(self.unexpected(&format!("'{mark}'"))) }
    }

    pub fn word(&mut self, expected: &str) -> Step<&'t str> {
        match self.peek().kind {
            Kind::Word => {
                let token = self.advance();
                Ok(self.text_of(&token))
            }
            _ => Err(self.unexpected(expected)),
        }
    }

    /// The whole text; gives the line of the `return` and the declared result types.
    fn graph(&mut self) -> Step<(u32, Vec<TensorType>)> {
        if self.is_weights_line() {
            self.skip_line();
        }
        let signature = self.signature();
        if signature.is_err() {
            self.recover();
        }
        let mut return_line = None;
        loop {
            let start = self.at;
            match &self.peek().kind {
                Kind::Mark('}') => break,
                Kind::End => return Err(self.unexpected("'}'")),
                Kind::Word if self.text_of(self.peek()) == "return" => {
                    let line = self.peek().line;
                    if return_line.replace(line).is_some() {
                        self.unexpected("'}' after the first return");
                    }
                    if self.results().is_err() {
                        self.recover();
                    }
                }
                _ => {
                    if self.statement().is_err() {
                        if self.at == start {
                            self.advance();
                        }
                        self.recover();
                    }
                }
            }
        }
        if return_line.is_none() {
            self.unexpected("a return");
        }
        self.advance();
        if self.peek().kind != Kind::End {
            return Err(self.unexpected("the end of the text after a graph"));
        }
        Ok((return_line.unwrap_or(0), signature?))
    }

    fn is_weights_line(&self) -> bool {
        self.peek().kind == Kind::Word && self.text_of(self.peek()) == "weights"
    }

    fn skip_line(&mut self) {
        self.advance();
        while !self.peek().first && self.peek().kind != Kind::End {
            self.advance();
        }
    }

    /// Skips to the next line that can begin a statement.
    fn recover(&mut self) {
        loop {
            let token = self.peek();
            let begins = match &token.kind {
                Kind::End => return,
                Kind::Value(_) | Kind::Global(_) | Kind::Mark('}') => true,
                Kind::Word => self.text_of(token) == "return",
                _ => false,
            };
            if token.first && begins {
                return;
            }
            self.advance();
        }
    }

    fn signature(&mut self) -> Step<Vec<TensorType>> {
        if self.peek().kind != Kind::Word || self.text_of(self.peek()) != "graph" {
            return Err(self.unexpected("'graph'"));
        }
        self.advance();
        let Kind::Global(name) = self.peek().kind.clone() else {
            return Err(self.unexpected("the graph's name, such as @main"));
        };
        self.advance();
        self.graph.set_name(&name);
        self.expect('(')?;
        while !self.is_mark(')') {
            self.input()?;
            if !self.eat(',') && !self.is_mark(')') {
                return Err(self.unexpected("',' or ')'"));
            }
        }
        self.expect(')')?;
        if self.peek().kind != Kind::Arrow {
            return Err(self.unexpected("'->' and the types of the results"));
        }
        self.advance();
        let types = self.result_types()?;
        self.expect('{')?;
        Ok(types)
    }

    fn result_types(&mut self) -> Step<Vec<TensorType>> {
        if !self.eat('(') {
            return Ok(vec![self.ty()?]);
        }
        let mut types = Vec::new();
        while !self.eat(')') {
            types.push(self.ty()?);
            if !self.eat(',') && !self.is_mark(')') {
                return Err(self.unexpected("',' or ')'"));
            }
        }
        Ok(types)
    }

    fn input(&mut self) -> Step<()> {
        let token = self.peek().clone();
        let Kind::Value(name) = token.kind.clone() else {
            return Err(self.unexpected("an input, such as %x: f32[2]"));
        };
        self.advance();
        let ty = self.expect(':').and_then(|()| self.ty());
        let value = ty.map(|ty| self.graph.add_input(&name, ty));
        let known = value.as_ref().ok().copied();
        if let Some(value) = known {
            self.lines.insert(value.node, token.line);
        }
        self.define(&token, name, known);
        value.map(|_| ())
    }

    /// Makes a value known by name; one with a mistake as well, so that its uses are not mistakes.
    pub fn define(&mut self, token: &Token, name: String, value: Option<Value>) {
        if self.values.insert(name, value).is_some() {
            let found = format!("a second {}", self.text_of(token));
            self.report(token, ParseCode::DuplicateName, found, "a name not used above", None);
        }
    }

    /// A type, such as `f32[B, 3]`.
    pub fn ty(&mut self) -> Step<TensorType> {
        let token = self.peek().clone();
        let word = self.word("a type, such as f32[2]")?;
        let Ok(dtype) = word.parse::<tracelift_tensor::DType>() else {
            let known = "bool, u8 to u64, i8 to i64, f32 or f64";
            return Err(self.report(&token, ParseCode::Type, format!("'{word}'"), known, None));
        };
        if !self.is_mark('[') {
            return Err(self.unexpected("'[' and the extents"));
        }
        let raw = self.balanced()?;
        match Shape::parse(raw).filter(|shape| shape.rank() <= MAX_RANK) {
            Some(shape) => Ok(TensorType::new(dtype, shape)),
            None => {
                let found = format!("'{raw}'");
                let expected = "at most 64 extents, such as [2, B, floordiv(T, 2)]";
                Err(self.report(&token, ParseCode::Type, found, expected, None))
            }
        }
    }

    /// The text up to the bracket that closes the next one, brackets included.
    pub fn balanced(&mut self) -> Step<&'t str> {
        let start = self.peek().start;
        let mut depth = 0usize;
        loop {
            match self.peek().kind {
                Kind::Mark('[' | '(') => depth += 1,
                Kind::Mark(']' | ')') => depth -= 1,
                // None of these stands inside a type or an attribute.
                Kind::End | Kind::Arrow | Kind::Value(_) | Kind::Global(_) => depth = 0,
                Kind::Mark('{' | '}' | '=') => depth = 0,
                _ => {}
            }
            if depth == 0 && !self.is_mark(']') && !self.is_mark(')') {
                return Err(self.unexpected("',' or a closing bracket"));
            }
            let end = self.advance().end;
            if depth == 0 {
                return Ok(self.slice(start, end));
            }
        }
    }
}
