//! A place in a text, and the small things that are read there.

use std::collections::BTreeMap;

use tracelift_scalar::{IndexExpr, IndexTerm};

use crate::ParseError;

/// How deep statements and index expressions may nest.
pub(super) const MAX_DEPTH: usize = 64;

/// A place in a text; what is read skips space and comments before it.
pub(super) struct Cursor<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Cursor<'t> {
    pub fn new(text: &'t str) -> Cursor<'t> {
        Cursor { text, at: 0 }
    }

    fn rest(&self) -> &'t str {
        &self.text[self.at..]
    }

    /// Moves to the next thing and returns its position.
    pub fn next_at(&mut self) -> usize {
        loop {
            self.at += self.rest().len() - self.rest().trim_start().len();
            if !self.rest().starts_with("//") {
                return self.at;
            }
            self.at += self.rest().find('\n').unwrap_or(self.rest().len());
        }
    }

    /// The error of finding something else than expected at a position.
    pub fn error_at(&self, at: usize, expected: &str) -> ParseError {
        let rest = &self.text[at..];
        let name_end = |start: usize| {
            let length = rest[start..].find(|c| !is_word(c)).unwrap_or(rest.len() - start);
            start + length
        };
        let found = match rest.chars().next() {
            None => "the end of the text".to_string(),
            Some('%' | '@') => format!("'{}'", &rest[..name_end(1)]),
            Some(c) if is_word(c) => format!("'{}'", &rest[..name_end(0)]),
            Some(c) => format!("'{c}'"),
        };
        self.error_for(at, found, expected)
    }

    /// An error at a position with what was found in words.
    pub fn error_for(&self, at: usize, found: String, expected: &str) -> ParseError {
        let before = &self.text[..at];
        let line_start = before.rfind('\n').map_or(0, |k| k + 1);
        ParseError::Unexpected {
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
            found,
            expected: expected.to_string(),
        }
    }

    pub fn error<T>(&mut self, expected: &str) -> Result<T, ParseError> {
        let at = self.next_at();
        Err(self.error_at(at, expected))
    }

    /// Reads a mark if it stands here.
    pub fn eat(&mut self, mark: &str) -> bool {
        self.next_at();
        let found = self.rest().starts_with(mark);
        self.at += if found { mark.len() } else { 0 };
        found
    }

    pub fn expect(&mut self, mark: &str) -> Result<(), ParseError> {
        if self.eat(mark) { Ok(()) } else { self.error(&format!("'{mark}'")) }
    }

    /// Reads a word if it stands here as a whole.
    pub fn eat_word(&mut self, word: &str) -> bool {
        self.next_at();
        let found = self.rest().strip_prefix(word).is_some_and(|r| !r.starts_with(is_word));
        self.at += if found { word.len() } else { 0 };
        found
    }

    pub fn expect_word(&mut self, word: &str) -> Result<(), ParseError> {
        if self.eat_word(word) { Ok(()) } else { self.error(&format!("'{word}'")) }
    }

    pub fn is_at_end(&mut self) -> bool {
        self.next_at() == self.text.len()
    }

    fn take(&mut self, belongs: impl Fn(char) -> bool) -> &'t str {
        self.next_at();
        let length = self.rest().find(|c| !belongs(c)).unwrap_or(self.rest().len());
        let out = &self.rest()[..length];
        self.at += length;
        out
    }

    /// Letters, digits, `_` and `.`, at least one.
    pub fn word(&mut self, expected: &str) -> Result<&'t str, ParseError> {
        let at = self.next_at();
        match self.take(|c| is_word(c) || c == '.') {
            "" => Err(self.error_at(at, expected)),
            word => Ok(word),
        }
    }

    /// A name behind a mark such as `%`, with its position.
    pub fn marked(&mut self, mark: char, what: &str) -> Result<(usize, &'t str), ParseError> {
        let at = self.next_at();
        let expected = format!("{what} such as {mark}x");
        if !self.rest().starts_with(mark) {
            return Err(self.error_at(at, &expected));
        }
        self.at += mark.len_utf8();
        let adjacent = self.rest().starts_with(is_word);
        if !adjacent {
            return Err(self.error_at(at, &expected));
        }
        Ok((at, self.take(is_word)))
    }

    /// The text of a literal: everything that a number, `nan:0x…` or a truth value may contain.
    pub fn literal(&mut self) -> &'t str {
        self.take(|c| is_word(c) || matches!(c, '.' | ':' | '+' | '-'))
    }

    /// An integer, perhaps negative, within the range of a type.
    pub fn integer<T: TryFrom<i128>>(&mut self, expected: &str) -> Result<T, ParseError> {
        let at = self.next_at();
        let sign = if self.eat("-") { -1 } else { 1 };
        let digits = self.take(|c| c.is_ascii_digit());
        let value = digits.parse::<i128>().ok().and_then(|v| T::try_from(sign * v).ok());
        value.ok_or_else(|| self.error_at(at, expected))
    }

    pub fn is_at_digit(&mut self) -> bool {
        self.next_at();
        self.rest().starts_with(|c: char| c.is_ascii_digit())
    }

    /// `item, item, …` up to a closing mark, perhaps none.
    pub fn list<T>(
        &mut self,
        close: &str,
        mut item: impl FnMut(&mut Self) -> Result<T, ParseError>,
    ) -> Result<Vec<T>, ParseError> {
        let mut out = Vec::new();
        if self.eat(close) {
            return Ok(out);
        }
        loop {
            out.push(item(self)?);
            if self.eat(close) {
                return Ok(out);
            }
            if !self.eat(",") {
                return self.error(&format!("',' or '{close}'"));
            }
        }
    }

    /// An index expression over named axes.
    pub fn expr(
        &mut self,
        axis: &dyn Fn(&str) -> Option<usize>,
        depth: usize,
    ) -> Result<IndexExpr, ParseError> {
        let start = self.next_at();
        let mut constant = 0i128;
        let mut terms: BTreeMap<IndexTerm, i128> = BTreeMap::new();
        let mut sign = if self.eat("-") { -1 } else { 1 };
        loop {
            let has_number = self.is_at_digit();
            let coefficient: i128 =
                if has_number { self.integer::<u64>("an integer of 64 bits")?.into() } else { 1 };
            if has_number && !self.eat("*") {
                constant = constant.saturating_add(sign * coefficient);
            } else {
                let term = self.term(axis, depth)?;
                let sum = terms.entry(term).or_insert(0);
                *sum = sum.saturating_add(sign * coefficient);
            }
            sign = match (self.eat("+"), self.eat("-")) {
                (true, false) => 1,
                (false, true) => -1,
                (true, true) => return self.error("a term"),
                (false, false) => break,
            };
        }
        let too_large = || self.error_for(start, "a number".into(), "one that fits 64 bits");
        let narrow = |c: i128| i64::try_from(c).map_err(|_| too_large());
        let terms = terms.into_iter().filter(|(_, c)| *c != 0);
        Ok(IndexExpr {
            constant: narrow(constant)?,
            terms: terms.map(|(t, c)| Ok((t, narrow(c)?))).collect::<Result<_, ParseError>>()?,
        })
    }

    fn term(
        &mut self,
        axis: &dyn Fn(&str) -> Option<usize>,
        depth: usize,
    ) -> Result<IndexTerm, ParseError> {
        let at = self.next_at();
        let word = self.word("an axis, a number, floordiv or mod")?;
        if !matches!(word, "floordiv" | "mod") || !self.eat("(") {
            let known = axis(word).map(IndexTerm::Axis);
            return known.ok_or_else(|| self.error_at(at, "an axis declared above"));
        }
        if depth == 0 {
            return Err(self.error_at(at, &format!("at most {MAX_DEPTH} levels")));
        }
        let inner = Box::new(self.expr(axis, depth - 1)?);
        self.expect(",")?;
        let divisor_at = self.next_at();
        let divisor: i64 = self.integer("a positive divisor")?;
        if divisor <= 0 {
            return Err(self.error_at(divisor_at, "a positive divisor"));
        }
        self.expect(")")?;
        Ok(if word == "mod" {
            IndexTerm::Rem(inner, divisor)
        } else {
            IndexTerm::Div(inner, divisor)
        })
    }
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}
