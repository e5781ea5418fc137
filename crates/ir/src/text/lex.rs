//! The tokens of the text form.

use super::{ParseCode, ParseError, Position};

/// The most mistakes reported for one text.
pub(super) const MAX_ERRORS: usize = 200;

/// What a token is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// A keyword, operator, dtype, symbol or attribute name.
    Word,
    /// `%name`, with the name.
    Value(String),
    /// `@name`, with the name.
    Global(String),
    /// A number.
    Number,
    /// A quoted text, with its content.
    Text(String),
    /// One character of punctuation.
    Mark(char),
    /// `->`.
    Arrow,
    /// The end of the text.
    End,
}

/// A token and its place.
#[derive(Clone, Debug)]
pub(super) struct Token {
    pub kind: Kind,
    /// The byte range in the text.
    pub start: usize,
    pub end: usize,
    /// The line, from 1.
    pub line: u32,
    /// Whether it is the first on its line.
    pub first: bool,
}

/// Whether a name prints without quotes.
pub(super) fn is_plain(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(is_name_byte)
}

/// Whether a name is a word: a plain name that does not begin like a number.
pub(crate) fn is_word(name: &str) -> bool {
    is_plain(name) && name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
}

fn is_name_byte(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b == b'_' || b == b'.'
}

/// The place of a byte of the text.
pub(super) fn position(text: &str, at: usize, line: u32) -> Position {
    let line_start = text[..at].rfind('\n').map_or(0, |k| k + 1);
    let column = text[line_start..at].chars().count() + 1;
    Position { line, column: u32::try_from(column).unwrap_or(u32::MAX) }
}

struct Lexer<'t> {
    text: &'t str,
    at: usize,
    line: u32,
    first: bool,
    tokens: Vec<Token>,
    errors: Vec<ParseError>,
}

/// Splits a text into tokens, the last of which is [`Kind::End`], and lists what forms none.
pub(super) fn lex(text: &str) -> (Vec<Token>, Vec<ParseError>) {
    let mut lexer =
        Lexer { text, at: 0, line: 1, first: true, tokens: Vec::new(), errors: Vec::new() };
    while lexer.skip_blank() {
        lexer.token();
    }
    lexer.push(Kind::End, lexer.at);
    (lexer.tokens, lexer.errors)
}

impl<'t> Lexer<'t> {
    fn rest(&self) -> &'t str {
        &self.text[self.at..]
    }

    fn byte(&self, ahead: usize) -> u8 {
        self.text.as_bytes().get(self.at + ahead).copied().unwrap_or(0)
    }

    /// Skips blanks and comments; whether anything is left.
    fn skip_blank(&mut self) -> bool {
        loop {
            match self.byte(0) {
                b'\n' => {
                    self.line = self.line.saturating_add(1);
                    self.first = true;
                    self.at += 1;
                }
                b' ' | b'\t' | b'\r' => self.at += 1,
                b'/' if self.byte(1) == b'/' => {
                    self.at += self.rest().find('\n').unwrap_or(self.rest().len());
                }
                _ => return self.at < self.text.len(),
            }
        }
    }

    fn push(&mut self, kind: Kind, start: usize) {
        self.tokens.push(Token { kind, start, end: self.at, line: self.line, first: self.first });
        self.first = false;
    }

    fn token(&mut self) {
        let start = self.at;
        match self.byte(0) {
            b'%' => self.name(Kind::Value),
            b'@' => self.name(Kind::Global),
            b'"' => {
                if let Some(content) = self.quoted() {
                    self.push(Kind::Text(content), start);
                }
            }
            b'-' if self.byte(1) == b'>' => {
                self.at += 2;
                self.push(Kind::Arrow, start);
            }
            b'-' if self.byte(1).is_ascii_digit() => self.number(),
            b'-' if self.rest()[1..].starts_with("inf") => self.number(),
            b if b.is_ascii_digit() => self.number(),
            b if is_name_byte(b) => self.word(),
            b if b"()[]{},:=+-*".contains(&b) => {
                self.at += 1;
                self.push(Kind::Mark(char::from(b)), start);
            }
            _ => self.unknown(),
        }
    }

    /// Skips characters that form no token up to the next blank, as one mistake.
    fn unknown(&mut self) {
        let start = self.at;
        let len = self.rest().find(char::is_whitespace).unwrap_or(self.rest().len());
        self.at += len.max(1);
        let found = self.text[start..self.at].escape_debug().to_string();
        self.error(start, found, "a name, number, text or punctuation");
    }

    fn error(&mut self, start: usize, found: String, expected: &str) {
        if self.errors.len() >= MAX_ERRORS {
            return;
        }
        self.errors.push(ParseError {
            code: ParseCode::Character,
            at: position(self.text, start, self.line),
            found: format!("'{found}'"),
            expected: expected.to_string(),
            hint: None,
        });
    }

    fn name(&mut self, kind: fn(String) -> Kind) {
        let start = self.at;
        self.at += 1;
        if self.byte(0) == b'"' {
            if let Some(name) = self.quoted() {
                self.push(kind(name), start);
            }
            return;
        }
        let len = self.rest().bytes().take_while(|b| is_name_byte(*b)).count();
        self.at += len;
        if len == 0 {
            let sigil = self.text[start..self.at].to_string();
            return self.error(start, sigil, "a name after it");
        }
        self.push(kind(self.text[start + 1..self.at].to_string()), start);
    }

    fn word(&mut self) {
        let start = self.at;
        self.at += self.rest().bytes().take_while(|b| is_name_byte(*b)).count();
        let payload = &self.text[start..self.at] == "nan" && self.rest().starts_with(":0x");
        if payload {
            self.at += 1 + self.rest()[1..].bytes().take_while(u8::is_ascii_alphanumeric).count();
        }
        self.push(if payload { Kind::Number } else { Kind::Word }, start);
    }

    fn number(&mut self) {
        let start = self.at;
        self.at += 1;
        loop {
            let exponent = matches!(self.text.as_bytes()[self.at - 1], b'e' | b'E');
            match self.byte(0) {
                b if is_name_byte(b) => self.at += 1,
                b'+' | b'-' if exponent => self.at += 1,
                _ => break,
            }
        }
        self.push(Kind::Number, start);
    }

    /// Reads a JSON string; `None` after reporting a malformed one.
    fn quoted(&mut self) -> Option<String> {
        let start = self.at;
        let line = self.rest().find('\n').map_or(self.text.len(), |k| self.at + k);
        self.at += 1;
        while self.at < line && self.byte(0) != b'"' {
            self.at += if self.byte(0) == b'\\' { 2 } else { 1 };
        }
        self.at = (self.at + 1).min(line);
        while !self.text.is_char_boundary(self.at) {
            self.at += 1;
        }
        let raw = &self.text[start..self.at];
        let content = serde_json::from_str(raw).ok();
        if content.is_none() {
            let found = raw.chars().take(40).collect();
            self.error(start, found, "a text in quotes on one line, escaped as in JSON");
        }
        content
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(text: &str) -> Vec<Kind> {
        lex(text).0.into_iter().map(|t| t.kind).collect()
    }

    #[test]
    fn numbers_words_and_names_are_told_apart() {
        use Kind::*;
        let text = r#"%a.0: -1e-5 nan:0x7fc00001 -inf @"x/y:0" -> 2*B // rest"#;
        let expected = [
            Value("a.0".into()),
            Mark(':'),
            Number,
            Number,
            Number,
            Global("x/y:0".into()),
            Arrow,
            Number,
            Mark('*'),
            Word,
            End,
        ];
        assert_eq!(kinds(text), expected);
    }

    #[test]
    fn what_forms_no_token_is_reported_once_and_skipped() {
        let (tokens, errors) = lex("%a §§§ \"open\n%\u{e9} b");
        assert_eq!(tokens.len(), 3);
        let places: Vec<(u32, u32)> = errors.iter().map(|e| (e.at.line, e.at.column)).collect();
        assert_eq!(places, [(1, 4), (1, 8), (2, 1), (2, 2)]);
    }

    #[test]
    fn any_bytes_lex_without_panic() {
        for text in ["\"\\", "\"\\\u{e9}", "%\"\u{e9}", "-", "@", "\"a\\\n\"", "nan:0x", "1e-"] {
            lex(text);
        }
    }
}
