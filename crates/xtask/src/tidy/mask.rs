//! Tells code from comments and literals, so that rules about code do not read strings.

/// A Rust source twice, line by line as long as the original: once with only its code, once with
/// only its comments; everything else is blank.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Masked {
    /// The code, contents of literals left out.
    pub code: String,
    /// The comments.
    pub comments: String,
}

/// What a stretch of source is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Code,
    Comment,
    Literal,
}

impl Masked {
    /// Masks a source.
    pub fn of(text: &str) -> Masked {
        let chars: Vec<char> = text.chars().collect();
        let mut masked = Masked::default();
        let mut at = 0;
        while at < chars.len() {
            let (end, kind) = stretch(&chars, at);
            for &c in &chars[at..end] {
                let keep = |wanted| if kind == wanted || c == '\n' { c } else { ' ' };
                masked.code.push(keep(Kind::Code));
                masked.comments.push(keep(Kind::Comment));
            }
            at = end;
        }
        masked
    }
}

/// The end and the kind of what begins at a position.
fn stretch(chars: &[char], at: usize) -> (usize, Kind) {
    let next = |k: usize| chars.get(at + k).copied();
    match (chars[at], next(1)) {
        ('/', Some('/')) => (find(chars, at, '\n'), Kind::Comment),
        ('/', Some('*')) => (block_end(chars, at), Kind::Comment),
        ('"', _) => (string_end(chars, at + 1), Kind::Literal),
        ('\'', Some('\\')) => (find(chars, at + 3, '\'').saturating_add(1), Kind::Literal),
        ('\'', Some(_)) if next(2) == Some('\'') => (at + 3, Kind::Literal),
        (c, _) if is_word(c) => word_or_raw(chars, at),
        _ => (at + 1, Kind::Code),
    }
}

/// A whole word, or the raw string that its `r`, `br` or `cr` begins.
fn word_or_raw(chars: &[char], at: usize) -> (usize, Kind) {
    let end = (at..chars.len()).find(|&k| !is_word(chars[k])).unwrap_or(chars.len());
    let word: String = chars[at..end].iter().collect();
    let n_hashes = chars[end..].iter().take_while(|&&c| c == '#').count();
    let quote = end + n_hashes;
    if !["r", "br", "cr"].contains(&word.as_str()) || chars.get(quote) != Some(&'"') {
        return (end, Kind::Code);
    }
    let closes = |k: &usize| {
        chars[*k] == '"' && chars[k + 1..].iter().take_while(|&&c| c == '#').count() >= n_hashes
    };
    let close = (quote + 1..chars.len()).find(closes);
    (close.map_or(chars.len(), |k| k + 1 + n_hashes), Kind::Literal)
}

/// Whether a character may be part of a name.
pub fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn find(chars: &[char], from: usize, wanted: char) -> usize {
    (from..chars.len()).find(|&k| chars[k] == wanted).unwrap_or(chars.len() - 1)
}

fn string_end(chars: &[char], mut at: usize) -> usize {
    while at < chars.len() && chars[at] != '"' {
        at += if chars[at] == '\\' { 2 } else { 1 };
    }
    (at + 1).min(chars.len())
}

/// The end of a block comment; these nest.
fn block_end(chars: &[char], mut at: usize) -> usize {
    let mut depth = 0;
    while at + 1 < chars.len() {
        match (chars[at], chars[at + 1]) {
            ('/', '*') => (depth, at) = (depth + 1, at + 2),
            ('*', '/') => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            return at;
        }
    }
    chars.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_and_comments_are_no_code() {
        let masked =
            Masked::of("a(\"x // y\"); // said \"so\"\nb('\"', r#\"fn \"q\" {\"#, '\\'')/* c */");
        assert_eq!(
            masked.code.split_whitespace().collect::<Vec<_>>(),
            ["a(", ");", "b(", ",", ",", ")"]
        );
        assert_eq!(
            masked.comments.split_whitespace().collect::<Vec<_>>(),
            ["//", "said", "\"so\"", "/*", "c", "*/"]
        );
        assert_eq!(masked.code.lines().count(), 2);
    }

    #[test]
    fn lifetimes_are_code() {
        assert_eq!(Masked::of("fn f<'a>(x: &'a str) {}").code, "fn f<'a>(x: &'a str) {}");
        assert_eq!(Masked::of("'\\u{1F600}' x").code.trim(), "x");
    }
}
