//! Parser of dimensions: `2*B*T + floordiv(T, 2) - 1`.

use tracelift_tensor::Dim;

/// A dimension that does not parse.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("dimension '{text}': {problem} at byte {at}")]
pub struct DimError {
    text: String,
    problem: &'static str,
    at: usize,
}

/// Nesting allowed before a text is refused.
const MAX_DEPTH: usize = 64;

struct Parser<'t> {
    text: &'t str,
    at: usize,
    depth: usize,
}

/// Reads what `Dim`'s `Display` writes.
///
/// # Errors
/// When the text is not an expression.
pub fn parse_dim(text: &str) -> Result<Dim, DimError> {
    let mut parser = Parser { text, at: 0, depth: 0 };
    let dim = parser.sum()?;
    parser.skip_space();
    if parser.at < text.len() { Err(parser.error("expected the end")) } else { Ok(dim) }
}

impl Parser<'_> {
    fn error(&self, problem: &'static str) -> DimError {
        DimError { text: self.text.to_string(), problem, at: self.at }
    }

    fn skip_space(&mut self) {
        let rest = &self.text[self.at..];
        self.at += rest.len() - rest.trim_start().len();
    }

    fn eat(&mut self, token: &str) -> bool {
        self.skip_space();
        let found = self.text[self.at..].starts_with(token);
        if found {
            self.at += token.len();
        }
        found
    }

    fn sum(&mut self) -> Result<Dim, DimError> {
        let negative = self.eat("-");
        let mut sum = self.product()?;
        if negative {
            sum = Dim::from(0) - sum;
        }
        loop {
            if self.eat("+") {
                sum = sum + self.product()?;
            } else if self.eat("-") {
                sum = sum - self.product()?;
            } else {
                return Ok(sum);
            }
        }
    }

    fn product(&mut self) -> Result<Dim, DimError> {
        let mut product = self.factor()?;
        while self.eat("*") {
            product = product * self.factor()?;
        }
        Ok(product)
    }

    fn factor(&mut self) -> Result<Dim, DimError> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(self.error("nesting too deep"));
        }
        let dim = self.factor_inner();
        self.depth -= 1;
        dim
    }

    fn factor_inner(&mut self) -> Result<Dim, DimError> {
        if self.eat("(") {
            let inner = self.sum()?;
            return if self.eat(")") { Ok(inner) } else { Err(self.error("expected ')'")) };
        }
        self.skip_space();
        let rest = &self.text[self.at..];
        let word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
        let len = rest.find(|c| !word(c)).unwrap_or(rest.len());
        let token = &rest[..len];
        if token.is_empty() {
            return Err(self.error("expected a number or a symbol"));
        }
        if token.starts_with(|c: char| c.is_ascii_digit()) {
            let value: i64 = token.parse().map_err(|_| self.error("expected a number"))?;
            self.at += len;
            return Ok(Dim::from(value));
        }
        self.at += len;
        if token == "floordiv" && self.eat("(") {
            let numerator = self.sum()?;
            if !self.eat(",") {
                return Err(self.error("expected ','"));
            }
            let divisor = self.sum()?;
            if !self.eat(")") {
                return Err(self.error("expected ')'"));
            }
            return numerator.floor_div(&divisor).ok_or_else(|| self.error("division by zero"));
        }
        Ok(Dim::symbol(token))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn printed_dimensions_parse_back() {
        for text in ["0", "-3", "2*B*T + floordiv(B + 1, 2) - 1", "B", "-B + T"] {
            let dim = parse_dim(text).unwrap();
            assert_eq!(parse_dim(&dim.to_string()).unwrap(), dim, "{text}");
        }
    }

    #[test]
    fn bad_dimensions_are_refused() {
        for text in ["", "2*", "floordiv(B, 0)", "B B", "99999999999999999999", "((("] {
            assert!(parse_dim(text).is_err(), "{text}");
        }
        assert!(parse_dim(&"(".repeat(10_000)).is_err());
    }
}
