//! The generated pages: `docs/operators.md`, `docs/passes.md` and `docs/onnx.md`.
//!
//! In: the specifications in the sources of operators, passes and importer.  Out: Markdown.

use std::{collections::BTreeMap, fmt::Write, fs, path::Path};

use anyhow::{Context, bail};
use tracelift::{
    import::supported_operators,
    ir::{AttributeError, AttributeTexts, Op},
    passes::{self, pipelines},
};

const NOTE: &str = "<!-- Written by `cargo xtask docs` from the sources; change those. -->\n";

/// Writes the pages, or checks that they are what would be written.
///
/// # Errors
/// When a page cannot be read or written, or is stale.
pub fn main(root: &Path, check: bool) -> anyhow::Result<()> {
    let mut stale = Vec::new();
    for (name, text) in
        [("operators.md", operators()), ("passes.md", passes()), ("onnx.md", onnx())]
    {
        let path = root.join("docs").join(name);
        if check {
            let found = fs::read_to_string(&path).unwrap_or_default();
            if found != text {
                stale.push(name);
            }
        } else {
            fs::write(&path, text).with_context(|| format!("writing {}", path.display()))?;
        }
    }
    if !stale.is_empty() {
        bail!("stale pages in docs/: {}; run `cargo xtask docs`", stale.join(", "));
    }
    Ok(())
}

fn operators() -> String {
    let mut out = format!("{NOTE}\n# Operators\n\n");
    let of_role = |wanted| Op::ALL.iter().filter(move |(_, _, primitive)| *primitive == wanted);
    let (n_primitives, n_composites) = (of_role(true).count(), of_role(false).count());
    let _ = writeln!(
        out,
        "{n_primitives} primitives have a meaning of their own; {n_composites} composites are said \
         in terms of others.\nConstraints are numbered: an error cites the number. Attributes \
         without a default are required."
    );
    for (title, primitive) in [("Primitives", true), ("Composites", false)] {
        let mut sorted: Vec<_> = of_role(primitive).collect();
        sorted.sort();
        let _ = writeln!(out, "\n## {title}");
        for (name, doc, _) in sorted {
            let _ = writeln!(out, "\n### `{name}`\n\n{}", specification(doc));
            let attributes = attributes(name);
            if !attributes.is_empty() {
                let _ = writeln!(out, "\nAttributes: {attributes}.");
            }
        }
    }
    out
}

/// A specification in Markdown: constraints and named parts are items of one list.
fn specification(doc: &str) -> String {
    let mut out = String::new();
    let mut in_list = false;
    for line in doc.trim_end().lines().map(|line| line.strip_prefix(' ').unwrap_or(line)) {
        let parts = ["Result:", "Results:", "Gradient:", "Source:"];
        let begins = line.starts_with("(C") || parts.iter().any(|part| line.starts_with(part));
        if begins {
            let gap = if in_list { "" } else { "\n" };
            out = format!("{}\n{gap}- {line}", out.trim_end());
            in_list = true;
        } else if in_list && !line.is_empty() && !out.ends_with("\n\n") {
            let _ = write!(out, "\n  {}", line.trim_start());
        } else {
            in_list &= line.is_empty();
            let _ = write!(out, "\n{line}");
        }
    }
    out.trim().to_string()
}

/// The attributes of an operator as a list of names.
fn attributes(name: &str) -> String {
    // Reading an attribute that no operator has lists those that this one has.
    let unknown: AttributeTexts = BTreeMap::from([("?".to_string(), String::new())]);
    match Op::parse(name, &unknown) {
        Some(Err(AttributeError::Unknown { known, .. })) if !known.is_empty() => {
            known.split(", ").map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
        }
        _ => String::new(),
    }
}

fn passes() -> String {
    let mut out = format!("{NOTE}\n# Passes\n\n");
    out += "A pass takes a verified graph and leaves one, keeps its signature and, within tolerance, \
            its values.\nA pipeline is a list of passes; `--passes a,b` runs others in its place.\n";
    for (name, list, purpose) in [
        ("default", pipelines::DEFAULT, "What every compilation runs."),
        ("minimal", pipelines::MINIMAL, "The least that lowering needs."),
    ] {
        let steps: Vec<String> = list.iter().map(|pass| format!("[`{pass}`](#{pass})")).collect();
        let _ = writeln!(out, "\n## Pipeline `{name}`\n\n{purpose}\n\n{}.", steps.join(" → "));
    }
    for entry in passes::all() {
        let _ = writeln!(out, "\n## `{}`\n\n{}", entry.name(), entry.doc().trim_end());
    }
    out
}

fn onnx() -> String {
    let list = supported_operators();
    let mut out = format!("{NOTE}\n# ONNX operators\n\n");
    let _ = writeln!(
        out,
        "{} operators can be imported. What else a model needs is reported all at once, with the \
         names of the nodes.\nAn operand that is a shape, axes, pads or a count must be known at \
         compile time; `--set NAME=…` gives\nthe value of an input.\n\n\
         | operator | operator sets | not supported of it |\n|---|---|---|",
        list.len()
    );
    for operator in list {
        let domain = if operator.domain.is_empty() { "" } else { ", of " };
        let (first, last) = operator.opsets;
        let notes = operator.notes.replace('|', "\\|");
        let name = operator.name;
        let _ = writeln!(out, "| `{name}`{domain}{} | {first}–{last} | {notes} |", operator.domain);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generated_pages_are_current() {
        main(&crate::root(), true).unwrap();
    }

    #[test]
    fn constraints_become_items() {
        let doc = " Joins.\n\n (C1) One\n line more.\n (C2) Two.\n\n Result: that.\n";
        let expected = "Joins.\n\n- (C1) One\n  line more.\n- (C2) Two.\n- Result: that.";
        assert_eq!(specification(doc), expected);
        assert_eq!(attributes("softmax"), "`axis`");
        assert_eq!(attributes("neg"), "");
    }
}
