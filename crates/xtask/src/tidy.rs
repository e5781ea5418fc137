//! `tidy`: the rules of style that a program can check.
//!
//! In: every text file of the tree.  Out: violations with file and line, and warnings.

mod functions;
mod mask;
mod rules;

use std::{
    fmt, fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};

pub use mask::Masked;

/// A source as the rules see it.
pub struct Source<'a> {
    /// The path from the top of the repository, with `/`.
    pub path: &'a str,
    /// The text.
    pub text: &'a str,
    /// The text with code and comments told apart; empty where the file is no Rust.
    pub masked: Masked,
}

/// Something a rule found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finding {
    /// The file.
    pub path: String,
    /// The line, from 1; 0 for the whole file.
    pub line: usize,
    /// What is wrong.
    pub message: String,
    /// Whether it is only a warning.
    pub is_warning: bool,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.is_warning { "warning" } else { "error" };
        match self.line {
            0 => write!(f, "{}: {kind}: {}", self.path, self.message),
            line => write!(f, "{}:{line}: {kind}: {}", self.path, self.message),
        }
    }
}

/// Checks the whole tree.
///
/// # Errors
/// When a file cannot be read or a rule is violated; all violations are printed before.
pub fn main(root: &Path) -> anyhow::Result<()> {
    let mut files = Vec::new();
    collect(root, &mut files)?;
    files.sort();
    let mut findings = Vec::new();
    for file in &files {
        let relative = file.strip_prefix(root).expect("files lie below the root");
        let path = relative.to_string_lossy().replace('\\', "/");
        let text = fs::read_to_string(file).with_context(|| format!("reading {path}"))?;
        findings.extend(check(&path, &text));
    }
    for finding in &findings {
        println!("{finding}");
    }
    let n_errors = findings.iter().filter(|f| !f.is_warning).count();
    let n_warnings = findings.len() - n_errors;
    println!("tidy: {} files, {n_errors} errors, {n_warnings} warnings", files.len());
    if n_errors > 0 {
        bail!("{n_errors} violations of the style");
    }
    Ok(())
}

/// Everything the rules find in one file.
pub fn check(path: &str, text: &str) -> Vec<Finding> {
    let masked = if path.ends_with(".rs") { Masked::of(text) } else { Masked::default() };
    let source = Source { path, text, masked };
    rules::RULES.iter().flat_map(|rule| rule(&source)).collect()
}

/// The kinds of file that people write here.
const EXTENSIONS: [&str; 7] = ["rs", "toml", "md", "graph", "py", "sh", "c"];

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("listing {}", folder.display()))? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() {
            if name != "target" && !name.starts_with('.') {
                collect(&path, files)?;
            }
        } else if path.extension().is_some_and(|e| EXTENSIONS.iter().any(|known| e == *known)) {
            files.push(path);
        }
    }
    Ok(())
}
