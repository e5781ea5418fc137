//! Every block of graph or kernel text in `docs/` and the README parses, verifies and is canonical.

use std::{fs, path::Path};

use tracelift::{
    ir::{Op, parse_graph},
    loops,
};

/// A fenced block: its page, its line, its language, its text.
struct Block {
    place: String,
    language: String,
    text: String,
}

fn pages() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut pages = vec![("README.md".to_string(), root.join("README.md"))];
    for entry in fs::read_dir(root.join("docs")).unwrap() {
        let path = entry.unwrap().path();
        pages.push((path.file_name().unwrap().to_string_lossy().into_owned(), path));
    }
    pages.into_iter().map(|(name, path)| (name, fs::read_to_string(path).unwrap())).collect()
}

fn blocks() -> Vec<Block> {
    let mut blocks = Vec::new();
    for (page, text) in pages() {
        let mut open: Option<Block> = None;
        for (k, line) in text.lines().enumerate() {
            match (line.strip_prefix("```"), &mut open) {
                (Some(language), None) => {
                    let (place, language) = (format!("{page}:{}", k + 1), language.to_string());
                    open = Some(Block { place, language, text: String::new() });
                }
                (Some(_), Some(_)) => blocks.extend(open.take()),
                (None, Some(block)) => block.text += &format!("{line}\n"),
                (None, None) => {}
            }
        }
        assert!(open.is_none(), "{page}: a block does not end");
    }
    blocks
}

fn of_language(language: &str) -> Vec<Block> {
    let blocks: Vec<Block> = blocks().into_iter().filter(|b| b.language == language).collect();
    assert!(!blocks.is_empty(), "the pages show some {language}");
    blocks
}

fn without_comments(text: &str) -> String {
    let lines = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    lines.map(|line| format!("{line}\n")).collect()
}

#[test]
fn graphs_parse_and_are_canonical() {
    for block in of_language("graph") {
        match parse_graph(&block.text, &mut |_| None) {
            Ok(graph) => {
                assert_eq!(graph.to_string(), without_comments(&block.text), "{}", block.place)
            }
            Err(errors) => panic!("{}: {errors}", block.place),
        }
    }
}

#[test]
fn kernels_verify_and_are_canonical() {
    for block in of_language("kernel") {
        let kernel = match loops::parse(&block.text) {
            Ok(kernel) => kernel,
            Err(error) => panic!("{}: {error}", block.place),
        };
        if let Err(violations) = loops::verify(&kernel) {
            panic!("{}: {violations:#?}", block.place);
        }
        assert_eq!(kernel.to_string(), block.text, "{}", block.place);
    }
}

#[test]
fn blocks_without_a_language_are_no_graphs() {
    for block in blocks().iter().filter(|b| !["graph", "kernel"].contains(&b.language.as_str())) {
        let is_text = ["graph @", "kernel @"].iter().any(|start| block.text.starts_with(start));
        assert!(!is_text, "{}: the block does not say what it is", block.place);
    }
}

#[test]
fn operators_that_the_page_on_the_language_names_exist() {
    let (_, page) = pages().into_iter().find(|(name, _)| name == "ir.md").unwrap();
    let table = page.split("\n## Structures\n").nth(1).unwrap().split("\n## ").next().unwrap();
    for row in table.lines().filter(|line| line.starts_with("| `")) {
        let operators = row.trim_end_matches('|').rsplit('|').next().unwrap();
        for name in operators.split('`').skip(1).step_by(2) {
            assert!(Op::ALL.iter().any(|(known, ..)| *known == name), "{name}");
        }
    }
}

#[test]
fn links_between_pages_hold() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for (page, text) in pages() {
        let folder = if page == "README.md" { root.clone() } else { root.join("docs") };
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let file = target.split('#').next().unwrap();
            if !file.is_empty() && !file.contains("://") {
                assert!(folder.join(file).exists(), "{page}: {target}");
            }
        }
    }
}
