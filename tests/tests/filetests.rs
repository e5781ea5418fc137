//! Runs `filetests/**/*.graph`: text in, text out.
//!
//! The first line names the mode, `// test: MODE ARGUMENT…`. A mode gives the lines of its output,
//! compared with the lines after `// =>`, and its errors by line, compared with the comments
//! `// error: …` on these lines. `BLESS=1` rewrites the output expected.

use std::{
    collections::BTreeSet,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use tracelift::ir::{parse_graph, text::ParseErrors};

/// What a test does; a new mode is a row of [`MODES`].
type Mode = fn(&Case) -> Result<Outcome, String>;

const MODES: &[(&str, Mode)] = &[("parse", parse), ("print", print), ("verify", parse)];

/// A file under test.
struct Case {
    text: String,
    /// The words after the mode.
    arguments: Vec<String>,
}

/// What a mode gives.
#[derive(Default)]
struct Outcome {
    /// Compared with the lines after `// =>`.
    output: String,
    /// Line and message, compared with the `// error:` comments.
    errors: BTreeSet<(usize, String)>,
}

/// Reports everything wrong with a graph, its form or its meaning.
fn parse(case: &Case) -> Result<Outcome, String> {
    no_arguments(case)?;
    let errors = parse_graph(&case.text, &mut |_| None).err().map_or_else(BTreeSet::new, by_line);
    Ok(Outcome { errors, ..Outcome::default() })
}

fn by_line(errors: ParseErrors) -> BTreeSet<(usize, String)> {
    let form = errors.errors.iter().map(|e| {
        let hint = e.hint.as_ref().map_or(String::new(), |hint| format!(" ({hint})"));
        let message = format!("{}: found {}, expected {}", e.code.code(), e.found, e.expected);
        (e.at.line as usize, message + &hint)
    });
    let meaning = errors
        .violations
        .iter()
        .map(|v| (v.line.map_or(0, |line| line as usize), format!("{}: {}", v.subject, v.message)));
    form.chain(meaning).collect()
}

/// Prints the graph.
fn print(case: &Case) -> Result<Outcome, String> {
    no_arguments(case)?;
    let graph = parse_graph(&case.text, &mut |_| None).map_err(|errors| errors.to_string())?;
    Ok(Outcome { output: graph.to_string(), ..Outcome::default() })
}

fn no_arguments(case: &Case) -> Result<(), String> {
    match case.arguments.as_slice() {
        [] => Ok(()),
        other => Err(format!("arguments {other:?}, expected none")),
    }
}

const EXPECTED: &str = "// =>";
const ERROR: &str = "// error: ";

fn run(path: &Path) -> Result<(), String> {
    let text = fs::read_to_string(path).map_err(|e| e.to_string())?;
    let first = text.lines().next().unwrap_or("");
    let directive = first.strip_prefix("// test: ").ok_or("line 1: expected // test: MODE")?;
    let mut words = directive.split_whitespace().map(str::to_string);
    let name = words.next().unwrap_or_default();
    let Some((_, mode)) = MODES.iter().find(|(known, _)| *known == name) else {
        let known: Vec<&str> = MODES.iter().map(|(known, _)| *known).collect();
        return Err(format!("mode '{name}', expected one of {}", known.join(", ")));
    };
    let case = Case { arguments: words.collect(), text };
    let outcome = mode(&case)?;
    let expected = expected_errors(&case.text);
    if outcome.errors != expected {
        return Err(difference(&outcome.errors, &expected));
    }
    compare_output(path, &case.text, &outcome.output)
}

fn expected_errors(text: &str) -> BTreeSet<(usize, String)> {
    let lines = text.lines().enumerate();
    let errors = lines.flat_map(|(k, line)| {
        line.split(ERROR).skip(1).map(move |message| (k + 1, message.trim().to_string()))
    });
    errors.collect()
}

fn difference(found: &BTreeSet<(usize, String)>, expected: &BTreeSet<(usize, String)>) -> String {
    let mut out = "other errors than expected".to_string();
    for (line, message) in expected.difference(found) {
        let _ = write!(out, "\n  missing     line {line}: {message}");
    }
    for (line, message) in found.difference(expected) {
        let _ = write!(out, "\n  unexpected  line {line}: {message}");
    }
    out
}

fn compare_output(path: &Path, text: &str, output: &str) -> Result<(), String> {
    let is_expected = |line: &&str| line.starts_with(EXPECTED);
    let expected: Vec<&str> = text.lines().filter(is_expected).collect();
    let found: Vec<String> =
        output.lines().map(|line| format!("{EXPECTED} {line}").trim_end().to_string()).collect();
    if found == expected {
        return Ok(());
    }
    if std::env::var_os("BLESS").is_some() {
        let kept: Vec<&str> = text.lines().filter(|line| !is_expected(line)).collect();
        let blessed = format!("{}\n{}\n", kept.join("\n").trim_end(), found.join("\n"));
        return fs::write(path, blessed).map_err(|e| e.to_string());
    }
    Err(format!("found\n{}\nexpected\n{}", found.join("\n"), expected.join("\n")))
}

fn collect(folder: &Path, out: &mut Vec<PathBuf>) {
    let entries = fs::read_dir(folder).expect("the folder of filetests is readable");
    for entry in entries {
        let path = entry.expect("the folder of filetests is readable").path();
        if path.is_dir() {
            collect(&path, out);
        } else if path.extension().is_some_and(|e| e == "graph") {
            out.push(path);
        }
    }
}

#[test]
fn every_file_gives_what_it_says() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("filetests");
    let mut paths = Vec::new();
    collect(&root, &mut paths);
    paths.sort();
    assert!(!paths.is_empty(), "there are filetests in {}", root.display());
    let failures: Vec<String> = paths
        .iter()
        .filter_map(|path| {
            let name = path.strip_prefix(&root).unwrap_or(path).display();
            run(path).err().map(|error| format!("{name}: {error}"))
        })
        .collect();
    assert!(failures.is_empty(), "{} of {}:\n{}", failures.len(), paths.len(), failures.join("\n"));
}
