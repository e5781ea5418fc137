//! Finds functions and their lengths.

use super::mask::is_word;

/// A function with a body.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Function {
    /// Its name.
    pub name: String,
    /// The line of its `fn`, from 1.
    pub line: usize,
    /// The number of lines to its closing brace.
    pub n_lines: usize,
}

/// The functions of a source, whose literals and comments are blank.
pub fn functions(code: &str) -> Vec<Function> {
    let chars: Vec<char> = code.chars().collect();
    let mut lines = vec![1; chars.len()];
    for k in 1..chars.len() {
        lines[k] = lines[k - 1] + usize::from(chars[k - 1] == '\n');
    }
    let starts = (0..chars.len()).filter(|&k| is_keyword(&chars, k));
    let found = starts.filter_map(|start| {
        let name_at = (start + 2..chars.len()).find(|&k| !chars[k].is_whitespace())?;
        let name: String = chars[name_at..].iter().copied().take_while(|c| is_word(*c)).collect();
        let end = body_end(&chars, name_at)?;
        let n_lines = lines[end] - lines[start] + 1;
        (!name.is_empty()).then_some(Function { name, line: lines[start], n_lines })
    });
    found.collect()
}

/// Whether the word `fn` stands at a position.
fn is_keyword(chars: &[char], at: usize) -> bool {
    let begins = at == 0 || !is_word(chars[at - 1]);
    begins
        && chars[at..].starts_with(&['f', 'n'])
        && chars.get(at + 2).is_some_and(|c| c.is_whitespace())
}

/// The closing brace of the body that begins behind a position; `None` where there is no body.
fn body_end(chars: &[char], from: usize) -> Option<usize> {
    let mut brackets = 0;
    let mut braces = 0;
    for (at, c) in chars.iter().enumerate().skip(from) {
        match c {
            '(' | '[' => brackets += 1,
            ')' | ']' => brackets -= 1,
            ';' if brackets == 0 && braces == 0 => return None,
            '{' => braces += 1,
            '}' => {
                braces -= 1;
                // Braces inside brackets before the body are those of constants.
                if braces <= 0 && brackets <= 0 {
                    return Some(at);
                }
            }
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_count_from_fn_to_brace() {
        let code = "trait T {\n  fn no_body(x: [u8; 3]);\n}\nfn one() {}\npub fn two<'a>(\n  x: &'a u8,\n) -> u8\n{\n  if x { 1 } else { 2 }\n}\n";
        let found = functions(code);
        let short: Vec<(&str, usize, usize)> =
            found.iter().map(|f| (f.name.as_str(), f.line, f.n_lines)).collect();
        assert_eq!(short, [("one", 4, 1), ("two", 5, 6)]);
    }

    #[test]
    fn a_type_of_function_is_none() {
        assert_eq!(functions("type F = fn (u8) -> u8;\nstruct S { f: fn(u8) }"), []);
    }
}
