//! The rules, one function each.

use super::{Finding, Source, functions::functions, mask::is_word};

/// A rule: what it finds in one file.
pub type Rule = fn(&Source<'_>) -> Vec<Finding>;

/// Every rule.
pub const RULES: &[Rule] = &[
    white_space,
    header,
    file_name,
    file_size,
    function_size,
    words_of_code,
    words_of_comments,
    unsafe_code,
];

const FILE_LINES: usize = 800;
const FILE_LINES_WANTED: usize = 500;
const FUNCTION_LINES: usize = 80;

/// Functions that may be longer, because they are one flat `match` or table: file, name, reason.
const LONG_FUNCTIONS: &[(&str, &str, &str)] = &[];

/// Words that unfinished or silenced code has.
const FORBIDDEN_IN_CODE: &[&str] =
    &["todo!", "unimplemented!", "dbg!", "#[ignore", "allow(dead_code)"];

/// Words that unfinished work leaves in comments.
const FORBIDDEN_IN_COMMENTS: &[&str] = &["TODO", "FIXME", "XXX", "HACK"];

/// The crates with unsafe code, and the modules that hold it.
const UNSAFE_MODULES: &[(&str, &[&str])] = &[
    ("runtime", &["machine.rs"]),
    ("backend", &["executable.rs"]),
    ("tensor", &["mapped_file.rs"]),
];

impl Source<'_> {
    fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    fn error(&self, line: usize, message: impl Into<String>) -> Finding {
        let (path, message) = (self.path.to_string(), message.into());
        Finding { path, line, message, is_warning: false }
    }

    fn warning(&self, line: usize, message: impl Into<String>) -> Finding {
        Finding { is_warning: true, ..self.error(line, message) }
    }
}

fn white_space(source: &Source<'_>) -> Vec<Finding> {
    let mut found = Vec::new();
    for (k, line) in source.text.lines().enumerate() {
        // Tests of lexers spell white space out, so that every blank at a line's end is a slip.
        if line.ends_with([' ', '\t', '\r']) {
            found.push(source.error(k + 1, "white space at the end of the line"));
        }
    }
    if !source.text.is_empty() && !source.text.ends_with('\n') {
        found.push(source.error(0, "the last line does not end"));
    }
    found
}

fn header(source: &Source<'_>) -> Vec<Finding> {
    if !source.is_rust() || source.text.starts_with("//! ") {
        return Vec::new();
    }
    vec![source.error(1, "the file does not begin with '//! ' and what it is")]
}

fn file_name(source: &Source<'_>) -> Vec<Finding> {
    let name = source.path.rsplit('/').next().unwrap_or_default();
    let vague = ["mod.rs", "utils.rs", "util.rs", "helpers.rs", "misc.rs"].contains(&name);
    vague
        .then(|| source.error(0, "the name does not say what is in the file"))
        .into_iter()
        .collect()
}

fn file_size(source: &Source<'_>) -> Vec<Finding> {
    let n_lines = source.text.lines().count();
    match n_lines {
        _ if !source.is_rust() => vec![],
        n if n > FILE_LINES => vec![source.error(0, format!("{n} lines, at most {FILE_LINES}"))],
        n if n > FILE_LINES_WANTED => {
            vec![source.warning(0, format!("{n} lines, wanted at most {FILE_LINES_WANTED}"))]
        }
        _ => vec![],
    }
}

fn function_size(source: &Source<'_>) -> Vec<Finding> {
    let is_exempt = |name: &str| {
        LONG_FUNCTIONS.iter().any(|(path, long, _)| *path == source.path && *long == name)
    };
    let long = functions(&source.masked.code).into_iter().filter(|f| f.n_lines > FUNCTION_LINES);
    long.filter(|f| !is_exempt(&f.name))
        .map(|f| {
            let message = format!("fn {}: {} lines, at most {FUNCTION_LINES}", f.name, f.n_lines);
            source.error(f.line, message)
        })
        .collect()
}

fn words_of_code(source: &Source<'_>) -> Vec<Finding> {
    find_words(source, &source.masked.code, FORBIDDEN_IN_CODE)
}

fn words_of_comments(source: &Source<'_>) -> Vec<Finding> {
    find_words(source, &source.masked.comments, FORBIDDEN_IN_COMMENTS)
}

fn find_words(source: &Source<'_>, text: &str, words: &[&str]) -> Vec<Finding> {
    let mut found = Vec::new();
    for (k, line) in text.lines().enumerate() {
        for word in words {
            let is_whole = |at: usize| !line[..at].chars().next_back().is_some_and(is_word);
            if line.match_indices(word).any(|(at, _)| is_whole(at)) {
                found.push(source.error(k + 1, format!("'{word}' is not for finished code")));
            }
        }
    }
    found
}

/// Crates forbid unsafe code; some deny it, and allow it in the modules listed.
fn unsafe_code(source: &Source<'_>) -> Vec<Finding> {
    let code = &source.masked.code;
    let mut found = Vec::new();
    let (krate, file) =
        match source.path.strip_prefix("crates/").and_then(|p| p.split_once("/src/")) {
            Some((krate, file)) => (krate, file),
            None => ("", source.path),
        };
    let listed = UNSAFE_MODULES.iter().find(|(name, _)| *name == krate);
    let is_root = ["src/lib.rs", "src/main.rs"].iter().any(|root| source.path.ends_with(root));
    let expected =
        if listed.is_some() { "#![deny(unsafe_code)]" } else { "#![forbid(unsafe_code)]" };
    if is_root && !code.contains(expected) {
        found.push(source.error(0, format!("the crate does not say {expected}")));
    }
    let may = listed.is_some_and(|(_, modules)| modules.contains(&file));
    if !may && code.contains("allow(unsafe_code)") {
        found.push(source.error(0, "unsafe code is allowed outside the modules listed for it"));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::check;

    fn messages(path: &str, text: &str) -> Vec<String> {
        check(path, text).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_tidy_file_has_no_findings() {
        assert_eq!(
            messages("crates/a/src/b.rs", "//! It.\n\nfn f() { g(\"todo!()\") } // dbg!\n"),
            [""; 0]
        );
        assert_eq!(messages("docs/a.md", "# TODO lists\n"), [""; 0]);
    }

    #[test]
    fn every_rule_finds_its_slip() {
        let long = format!("//! It.\nfn f() {{\n{}}}\n", "    g();\n".repeat(80));
        let huge = format!("//! It.\n{}", "// Line.\n".repeat(800));
        let cases = [
            ("x.md", "a \n", "x.md:1: error: white space at the end of the line"),
            ("x.md", "a", "x.md: error: the last line does not end"),
            (
                "x.rs",
                "fn f() {}\n",
                "x.rs:1: error: the file does not begin with '//! ' and what it is",
            ),
            (
                "a/utils.rs",
                "//! It.\n",
                "a/utils.rs: error: the name does not say what is in the file",
            ),
            ("x.rs", &huge, "x.rs: error: 801 lines, at most 800"),
            ("x.rs", &huge[..huge.len() / 10 * 7], "x.rs: error: the last line does not end"),
            ("x.rs", &long, "x.rs:2: error: fn f: 82 lines, at most 80"),
            ("x.rs", "//! It.\n#[ignore]\n", "x.rs:2: error: '#[ignore' is not for finished code"),
            ("x.rs", "//! It.\n// FIXME now\n", "x.rs:2: error: 'FIXME' is not for finished code"),
            (
                "crates/a/src/lib.rs",
                "//! It.\n",
                "crates/a/src/lib.rs: error: the crate does not say #![forbid(unsafe_code)]",
            ),
            (
                "crates/runtime/src/team.rs",
                "//! It.\n#![allow(unsafe_code)]\n",
                "crates/runtime/src/team.rs: error: unsafe code is allowed outside the modules listed for it",
            ),
        ];
        for (path, text, expected) in cases {
            assert!(messages(path, text).contains(&expected.to_string()), "{expected}");
        }
    }

    #[test]
    fn a_long_file_is_a_warning_first() {
        let text = format!("//! It.\n{}", "// Line.\n".repeat(500));
        assert_eq!(messages("x.rs", &text), ["x.rs: warning: 501 lines, wanted at most 500"]);
    }
}
