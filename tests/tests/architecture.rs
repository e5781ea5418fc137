//! Holds the table of crates in `docs/architecture.md` against the workspace.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use cargo_metadata::{Metadata, MetadataCommand, Package};

/// What each crate may depend on directly: folder to folders, from the table.
type Table = BTreeMap<String, BTreeSet<String>>;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

fn metadata() -> Metadata {
    MetadataCommand::new().current_dir(root()).no_deps().exec().unwrap()
}

/// The words in backticks, without the folder `crates/`.
fn quoted(cell: &str) -> BTreeSet<String> {
    let words = cell.split('`').skip(1).step_by(2);
    words.map(|word| word.trim_start_matches("crates/").to_string()).collect()
}

fn table() -> Table {
    let text = fs::read_to_string(root().join("docs/architecture.md")).unwrap();
    let section = text.split("\n## Crates\n").nth(1).expect("the page has a section on crates");
    let section = section.split("\n## ").next().unwrap();
    let rows = section.lines().filter(|line| line.starts_with("| `"));
    rows.map(|row| {
        let cells: Vec<&str> = row.trim_matches('|').split('|').collect();
        let [krate, _, depends] = cells[..] else { panic!("a row has three cells: {row}") };
        (quoted(krate).pop_first().expect("the row names a crate"), quoted(depends))
    })
    .collect()
}

/// A crate's allowed dependencies with everything below them.
fn closure(table: &Table, folder: &str) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    let mut open = vec![folder.to_string()];
    while let Some(next) = open.pop() {
        for below in &table[&next] {
            if all.insert(below.clone()) {
                open.push(below.clone());
            }
        }
    }
    all
}

/// The folder of a package, without `crates/`.
fn folder(package: &Package) -> String {
    let root = root();
    let folder = package.manifest_path.parent().unwrap().as_std_path();
    let relative = folder.canonicalize().unwrap().strip_prefix(&root).unwrap().to_path_buf();
    relative.to_string_lossy().trim_start_matches("crates/").to_string()
}

#[test]
fn the_table_lists_every_crate_and_no_other() {
    let found: BTreeSet<String> = metadata().packages.iter().map(folder).collect();
    let listed: BTreeSet<String> = table().into_keys().collect();
    assert_eq!(listed, found);
}

#[test]
fn crates_depend_only_on_what_the_table_allows() {
    let (table, metadata) = (table(), metadata());
    let folders: BTreeMap<String, String> =
        metadata.packages.iter().map(|p| (p.name.to_string(), folder(p))).collect();
    let mut wrong = Vec::new();
    for package in &metadata.packages {
        let own = folder(package);
        let mut allowed = closure(&table, &own);
        assert!(!allowed.contains(&own), "{own} depends on itself");
        // A crate's own tests may name it again, with other features.
        allowed.insert(own.clone());
        let used = package.dependencies.iter().filter_map(|d| folders.get(&d.name));
        wrong.extend(used.filter(|u| !allowed.contains(*u)).map(|used| format!("{own} → {used}")));
    }
    assert_eq!(wrong, [""; 0], "dependencies that docs/architecture.md does not allow");
}

#[test]
fn every_crate_is_named_after_its_folder() {
    for package in metadata().packages {
        let folder = folder(&package);
        let expected = match folder.as_str() {
            "tracelift" | "xtask" => folder,
            _ => format!("tracelift-{folder}"),
        };
        assert_eq!(package.name.as_str(), expected);
    }
}

#[test]
fn only_backend_names_cranelift_and_the_assembler() {
    let mut users = BTreeSet::new();
    for package in &metadata().packages {
        let is_generator = |name: &str| name.starts_with("cranelift") || name == "iced-x86";
        if package.dependencies.iter().any(|d| is_generator(&d.name)) {
            users.insert(folder(package));
        }
    }
    assert_eq!(users, BTreeSet::from(["backend".to_string()]));
}

#[test]
fn only_the_graph_names_petgraph() {
    let root = root();
    let mut users = BTreeSet::new();
    for package in &metadata().packages {
        if package.dependencies.iter().any(|d| d.name == "petgraph") {
            let source = package.manifest_path.parent().unwrap().join("src");
            naming(source.as_std_path(), "petgraph", &root, &mut users);
        }
    }
    assert_eq!(users, BTreeSet::from(["crates/ir/src/graph.rs".to_string()]));
}

/// Collects the sources of a folder that name a crate.
fn naming(folder: &Path, name: &str, root: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            naming(&path, name, root, found);
        } else if fs::read_to_string(&path).unwrap().contains(&format!("{name}::")) {
            let path = path.canonicalize().unwrap();
            found.insert(path.strip_prefix(root).unwrap().to_string_lossy().into_owned());
        }
    }
}

#[test]
fn files_that_the_page_points_to_exist() {
    let text = fs::read_to_string(root().join("docs/architecture.md")).unwrap();
    let files: Vec<&str> = text.split('`').filter(|word| word.ends_with(".rs")).collect();
    assert!(files.len() > 10);
    let missing: Vec<&&str> = files.iter().filter(|file| !root().join(file).is_file()).collect();
    assert_eq!(missing, [&""; 0]);
}
