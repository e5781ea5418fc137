//! Text to graph: one line of a graph's body.

use std::sync::Arc;

use tracelift_tensor::{Bytes, Scalar, Tensor};

use super::{
    ParseCode,
    lex::{Kind, Token},
    parse::{Parser, Step, Stop},
};
use crate::{AttributeTexts, Constant, ConstantData, NodeKind, Op, Provenance, TensorType, Value};

/// One `%name: type` on the left of a line.
struct Binding {
    token: Token,
    name: String,
    ty: Option<TensorType>,
}

/// The right side of a line.
enum Right {
    Constant(ConstantData),
    /// Operands are `None` where their own definition has a mistake.
    Apply(Op, Vec<Option<Argument>>),
}

enum Argument {
    Value(Value),
    /// A number, of the type of the last value beside it.
    Literal(Token),
}

/// The nesting of lists allowed in a constant: one level per axis.
const MAX_DEPTH: usize = super::parse::MAX_RANK;

impl<'t> Parser<'t, '_> {
    /// A line that defines a parameter or the results of a node.
    pub(super) fn statement(&mut self) -> Step<()> {
        match self.peek().kind.clone() {
            Kind::Global(name) => self.parameter(name),
            Kind::Value(_) => self.definition(),
            _ => Err(self.unexpected("a value, a parameter, 'return' or '}'")),
        }
    }

    /// `@name: type`, or `@name: type = constant(…)`.
    fn parameter(&mut self, name: String) -> Step<()> {
        let token = self.advance();
        let value = self.parameter_value(&token, &name);
        if self.parameters.insert(name, value.as_ref().ok().copied()).is_some() {
            let found = format!("a second {}", self.text_of(&token));
            self.report(&token, ParseCode::DuplicateName, found, "a name not used above", None);
        }
        value.map(|_| ())
    }

    fn parameter_value(&mut self, token: &Token, name: &str) -> Step<Value> {
        self.expect(':')?;
        let ty = self.ty()?;
        let data = if self.eat('=') {
            match self.right(std::slice::from_ref(&ty))? {
                Right::Constant(data) => data,
                Right::Apply(..) => {
                    let found = "an operator".to_string();
                    let code = ParseCode::Syntax;
                    return Err(self.report(token, code, found, "constant(…)", None));
                }
            }
        } else {
            ConstantData::Dense(self.beside(token, name, &ty)?)
        };
        let constant = Constant { parameter: Some(name.into()), data };
        let value = self.graph.add_constant(constant, ty, origin(token));
        self.lines.insert(value.node, token.line);
        Ok(value)
    }

    /// The tensor of a name that lies beside the text.
    fn beside(&mut self, token: &Token, name: &str, ty: &TensorType) -> Step<Tensor> {
        let Some(tensor) = (self.data)(name) else {
            let (found, expected) = (format!("no tensor '{name}'"), "its data beside the text");
            return Err(self.report(token, ParseCode::Data, found, expected, None));
        };
        let found = TensorType::new(tensor.dtype(), tensor.shape());
        if found == *ty {
            return Ok(tensor);
        }
        let (found, expected) = (format!("a tensor '{name}' of {found}"), ty.to_string());
        Err(self.report(token, ParseCode::Data, found, &expected, None))
    }

    /// `%a: type, %b: type = operator(…)`.
    fn definition(&mut self) -> Step<()> {
        let mut bindings = Vec::new();
        let values = self.bindings(&mut bindings).and_then(|()| self.bound(&bindings));
        for (k, binding) in bindings.into_iter().enumerate() {
            let value = values.as_ref().ok().and_then(|v| v.get(k).copied());
            self.define(&binding.token, binding.name, value);
        }
        values.map(|_| ())
    }

    fn bindings(&mut self, bindings: &mut Vec<Binding>) -> Step<()> {
        loop {
            let token = self.peek().clone();
            let Kind::Value(name) = token.kind.clone() else {
                return Err(self.unexpected("a value, such as %x: f32[2]"));
            };
            self.advance();
            bindings.push(Binding { token, name, ty: None });
            self.expect(':')?;
            let ty = self.ty()?;
            if let Some(binding) = bindings.last_mut() {
                binding.ty = Some(ty);
            }
            if !self.eat(',') {
                return self.expect('=');
            }
        }
    }

    /// Adds the node; no values where an operand has a mistake of its own.
    fn bound(&mut self, bindings: &[Binding]) -> Step<Vec<Value>> {
        let types: Vec<TensorType> = bindings.iter().filter_map(|b| b.ty.clone()).collect();
        let token = &bindings[0].token;
        let (kind, operands) = match self.right(&types)? {
            Right::Constant(data) => {
                (NodeKind::Constant(Constant { parameter: None, data }), Vec::new())
            }
            Right::Apply(op, arguments) => {
                let Some(arguments) = arguments.into_iter().collect::<Option<Vec<_>>>() else {
                    return Ok(Vec::new());
                };
                (NodeKind::Op(op), self.operands(arguments)?)
            }
        };
        let id = self.graph.add(kind, &operands, types, origin(token), None);
        self.graph.set_names(id, bindings.iter().map(|b| &b.name));
        self.lines.insert(id, token.line);
        Ok(self.graph.values(id).collect())
    }

    fn right(&mut self, types: &[TensorType]) -> Step<Right> {
        let token = self.peek().clone();
        let name = self.word("an operator or 'constant'")?;
        self.expect('(')?;
        if name != "constant" {
            return self.application(&token, name);
        }
        let [ty] = types else {
            let found = format!("{} results", types.len());
            return Err(self.report(&token, ParseCode::Syntax, found, "one result", None));
        };
        let data = self.constant(ty)?;
        self.expect(')')?;
        Ok(Right::Constant(data))
    }

    /// A number, a list of numbers, or the name of a tensor beside the text.
    fn constant(&mut self, ty: &TensorType) -> Step<ConstantData> {
        let token = self.peek().clone();
        if let Kind::Global(name) = &token.kind {
            self.advance();
            return Ok(ConstantData::Dense(self.beside(&token, name, ty)?));
        }
        if !self.is_mark('[') {
            return Ok(ConstantData::Splat(self.scalar(ty)?));
        }
        let (mut bytes, mut count) = (Vec::new(), 0usize);
        self.list(ty, 0, &mut |scalar| {
            count += 1;
            bytes.extend_from_slice(&scalar.to_bits().to_le_bytes()[..ty.dtype.size_bytes()]);
        })?;
        let extents = ty.shape.as_consts();
        let tensor =
            extents.and_then(|shape| Tensor::from_bytes(ty.dtype, &shape, Bytes::from(bytes)).ok());
        tensor.map(ConstantData::Dense).ok_or_else(|| {
            let (found, expected) = (format!("{count} numbers"), format!("those of {ty}"));
            self.report(&token, ParseCode::Number, found, &expected, None)
        })
    }

    fn list(&mut self, ty: &TensorType, depth: usize, each: &mut dyn FnMut(Scalar)) -> Step<()> {
        if depth > MAX_DEPTH {
            return Err(self.unexpected("fewer nested lists"));
        }
        self.expect('[')?;
        while !self.eat(']') {
            if self.is_mark('[') {
                self.list(ty, depth + 1, each)?;
            } else {
                each(self.scalar(ty)?);
            }
            if !self.eat(',') && !self.is_mark(']') {
                return Err(self.unexpected("',' or ']'"));
            }
        }
        Ok(())
    }

    fn is_number(&self) -> bool {
        match self.peek().kind {
            Kind::Number => true,
            Kind::Word => matches!(self.text_of(self.peek()), "true" | "false" | "inf" | "nan"),
            _ => false,
        }
    }

    fn scalar(&mut self, ty: &TensorType) -> Step<Scalar> {
        if !self.is_number() {
            return Err(self.unexpected("a number"));
        }
        let token = self.advance();
        self.number(&token, ty)
    }

    fn number(&mut self, token: &Token, ty: &TensorType) -> Step<Scalar> {
        let text = self.text_of(token);
        Scalar::parse(ty.dtype, text).map_err(|_| {
            let expected = format!("a number of dtype {}", ty.dtype);
            self.report(token, ParseCode::Number, format!("'{text}'"), &expected, None)
        })
    }

    fn application(&mut self, token: &Token, name: &str) -> Step<Right> {
        let (mut arguments, mut texts) = (Vec::new(), AttributeTexts::new());
        while !self.eat(')') {
            self.argument(&mut arguments, &mut texts)?;
            if !self.eat(',') && !self.is_mark(')') {
                return Err(self.unexpected("',' or ')'"));
            }
        }
        match Op::parse(name, &texts) {
            Some(Ok(op)) => Ok(Right::Apply(op, arguments)),
            Some(Err(error)) => {
                let (found, expected) = (format!("{name}: {error}"), "its attributes");
                Err(self.report(token, ParseCode::Attribute, found, expected, None))
            }
            None => {
                let hint = nearest(name, Op::ALL.iter().map(|(name, ..)| *name));
                let hint = hint.map(|name| format!("did you mean {name}?"));
                let (code, found) = (ParseCode::UnknownOperator, format!("'{name}'"));
                Err(self.report(token, code, found, "an operator", hint))
            }
        }
    }

    /// An operand or an attribute.
    fn argument(
        &mut self,
        arguments: &mut Vec<Option<Argument>>,
        texts: &mut AttributeTexts,
    ) -> Step<()> {
        if self.is_number() {
            let literal = Argument::Literal(self.advance());
            arguments.push(Some(literal));
            return Ok(());
        }
        let token = self.peek().clone();
        match &token.kind {
            Kind::Value(_) | Kind::Global(_) => {
                let value = self.value()?;
                arguments.push(value.map(Argument::Value));
                Ok(())
            }
            Kind::Text(_) => {
                self.advance();
                self.attribute(&token, "spec", self.text_of(&token), texts)
            }
            Kind::Word => {
                self.advance();
                self.expect('=')?;
                let raw = self.attribute_text()?;
                self.attribute(&token, self.text_of(&token), raw, texts)
            }
            _ => Err(self.unexpected("a value, a number or an attribute")),
        }
    }

    fn attribute_text(&mut self) -> Step<&'t str> {
        let start = self.peek().start;
        let mut end = start;
        while !self.is_mark(',') && !self.is_mark(')') {
            match self.peek().kind {
                Kind::Mark('[' | '(') => drop(self.balanced()?),
                Kind::End | Kind::Mark(']' | '{' | '}' | '=') => {
                    return Err(self.unexpected("',' or ')'"));
                }
                _ => drop(self.advance()),
            }
            end = self.end_of_last();
        }
        if end == start {
            Err(self.unexpected("an attribute's setting"))
        } else {
            Ok(self.slice(start, end))
        }
    }

    fn attribute(
        &mut self,
        token: &Token,
        name: &str,
        raw: &str,
        texts: &mut AttributeTexts,
    ) -> Step<()> {
        if texts.insert(name.to_string(), raw.to_string()).is_none() {
            return Ok(());
        }
        let found = format!("a second {name}");
        Err(self.report(token, ParseCode::Attribute, found, "each attribute once", None))
    }

    /// A value by name; `None` where its definition has a mistake.
    fn value(&mut self) -> Step<Option<Value>> {
        let token = self.peek().clone();
        let (name, known) = match &token.kind {
            Kind::Value(name) => (name, &self.values),
            Kind::Global(name) => (name, &self.parameters),
            _ => return Err(self.unexpected("a value or a parameter")),
        };
        if let Some(&value) = known.get(name) {
            self.advance();
            return Ok(value);
        }
        let sigil = if matches!(token.kind, Kind::Value(_)) { '%' } else { '@' };
        let hint = nearest(name, known.keys().map(String::as_str));
        let hint = hint.map(|name| format!("did you mean {sigil}{}?", super::quoted(name)));
        let found = self.text_of(&token).to_string();
        let expected = "a name defined above";
        self.advance();
        self.report(&token, ParseCode::UnknownName, found, expected, hint);
        Ok(None)
    }

    /// The operands of a node; numbers take the type of the last value.
    fn operands(&mut self, arguments: Vec<Argument>) -> Step<Vec<Value>> {
        let anchor = arguments.iter().rev().find_map(|argument| match argument {
            Argument::Value(value) => Some(self.graph.ty(*value).clone()),
            Argument::Literal(_) => None,
        });
        let operand = |argument| match argument {
            Argument::Value(value) => Ok(value),
            Argument::Literal(token) => self.literal(&token, anchor.as_ref()),
        };
        arguments.into_iter().map(operand).collect()
    }

    fn literal(&mut self, token: &Token, anchor: Option<&TensorType>) -> Step<Value> {
        let Some(ty) = anchor else {
            let (found, expected) = (format!("'{}'", self.text_of(token)), "a value beside it");
            let hint = Some("a number takes the type of a value; write a constant".to_string());
            return Err(self.report(token, ParseCode::Number, found, expected, hint));
        };
        let scalar = self.number(token, ty)?;
        let constant = Constant { parameter: None, data: ConstantData::Splat(scalar) };
        let value = self.graph.add_constant(constant, ty.clone(), origin(token));
        self.lines.insert(value.node, token.line);
        Ok(value)
    }

    /// `return %a, name: %b`.
    pub(super) fn results(&mut self) -> Step<()> {
        self.advance();
        if self.peek().first {
            return Ok(());
        }
        loop {
            let name: Arc<str> = match self.peek().kind.clone() {
                Kind::Text(name) => name.into(),
                Kind::Word => {
                    let token = self.peek().clone();
                    self.text_of(&token).into()
                }
                _ => "".into(),
            };
            if !name.is_empty() || matches!(self.peek().kind, Kind::Text(_)) {
                self.advance();
                self.expect(':')?;
            }
            if let Some(value) = self.value()? {
                self.graph.add_result(&name, value);
            }
            if !self.eat(',') {
                break;
            }
        }
        if self.peek().first {
            Ok(())
        } else {
            Err::<(), Stop>(self.unexpected("',' or the end of the line"))
        }
    }
}

/// A node of a text comes from its line.
fn origin(token: &Token) -> Provenance {
    Provenance::at(&format!("line {}", token.line), "")
}

/// The known name nearest to a misspelt one, where one is near.
fn nearest<'n>(name: &str, known: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    const MAX_LENGTH: usize = 64;
    const MAX_KNOWN: usize = 1_000;
    if name.len() > MAX_LENGTH {
        return None;
    }
    let near = known.take(MAX_KNOWN).filter(|k| k.len() <= MAX_LENGTH);
    let near = near.map(|k| (edits(name.as_bytes(), k.as_bytes()), k));
    near.filter(|(d, _)| *d <= 2 && *d < name.len()).min().map(|(_, k)| k)
}

/// The insertions, deletions and replacements between two texts.
fn edits(a: &[u8], b: &[u8]) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}
