//! The ONNX backend tests: every published case imported, run and compared.
//!
//! In: the folder `onnx/backend/test/data` of the wheel `onnx==1.22.0`, the last one that holds the
//! node cases as files.  Out: counts per family, the reasons of refusals, and the list of cases that
//! pass, which a committed list is held against.
//!
//! Most node cases have no initializers: shapes, axes and pads arrive as inputs. Where importing a
//! case fails because such an operand is not known, the case's own value of it is given and the
//! import tried again; those cases are counted as specialised.

mod case;
mod compare;
mod family;
mod report;

use std::{
    collections::BTreeSet,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
};

use tracelift::testing::{Engine, engines, jits};
use tracelift_import::{ImportError, ImportOptions, import_onnx};
use tracelift_ir::Graph;
use tracelift_tensor::Tensor;

use case::{Case, DataSet};
use report::{Entry, Report};

/// What became of a case.
pub enum Outcome {
    /// The results agree.
    Pass {
        /// Whether operands were given as values.
        is_specialised: bool,
    },
    /// The results differ, or something panicked.
    Wrong(String),
    /// The importer or the engine says that it cannot.
    Refused(String),
}

/// The settings of the command.
struct Settings {
    engine: &'static dyn Engine,
    data: PathBuf,
    filter: String,
    list: Option<PathBuf>,
    update: bool,
    verbose: bool,
}

const USAGE: &str = "usage: cargo xtask onnx-node-tests [--data DIR] [--engine NAME] [--filter TEXT] \
                     [--list FILE [--update]] [--verbose]\n\
                     --data: onnx/backend/test/data of the unpacked wheel onnx==1.22.0";

/// Runs the command.
///
/// # Errors
/// When the arguments or the data cannot be read, a case gives a wrong answer, or the passing cases
/// are not those of the list.
pub fn main(arguments: &[String]) -> Result<(), String> {
    let settings = parse(arguments)?;
    let mut report = Report::default();
    for suite in ["node", "simple", "pytorch-converted", "pytorch-operator"] {
        for case in case::find(&settings.data, suite, &settings.filter)? {
            let outcome = run_case(settings.engine, &case);
            let family = family::of(&settings.data, &case);
            report.add(Entry { name: case.full_name(), class: case.class(), family, outcome });
        }
    }
    println!("engine: {}", settings.engine.name());
    report.print(settings.verbose);
    if let Some(list) = &settings.list {
        hold_against(list, &report.passing(), settings.update)?;
    }
    match report.n_wrong() {
        0 => Ok(()),
        n => Err(format!("{n} cases give a wrong answer")),
    }
}

fn parse(arguments: &[String]) -> Result<Settings, String> {
    let mut settings = Settings {
        engine: &jits()[0],
        data: PathBuf::new(),
        filter: String::new(),
        list: None,
        update: false,
        verbose: false,
    };
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        let mut value = || rest.next().ok_or(format!("{argument} takes a value\n{USAGE}"));
        match argument.as_str() {
            "--data" => settings.data = value()?.into(),
            "--filter" => settings.filter = value()?.clone(),
            "--list" => settings.list = Some(value()?.into()),
            "--engine" => settings.engine = engine(value()?)?,
            "--update" => settings.update = true,
            "--verbose" => settings.verbose = true,
            other => return Err(format!("unknown argument '{other}'\n{USAGE}")),
        }
    }
    match settings.data.join("node").is_dir() {
        true => Ok(settings),
        false => Err(format!("'{}' has no folder 'node'\n{USAGE}", settings.data.display())),
    }
}

fn engine(name: &str) -> Result<&'static dyn Engine, String> {
    let known: Vec<&str> = engines().iter().map(|e| e.name()).collect();
    let found = engines().into_iter().find(|e| e.name() == name);
    found.ok_or_else(|| format!("unknown engine '{name}' (known: {})", known.join(", ")))
}

/// Imports and runs every data set of a case.
fn run_case(engine: &dyn Engine, case: &Case) -> Outcome {
    let sets = match case.data_sets() {
        Ok(sets) => sets,
        Err(reason) => return Outcome::Refused(reason),
    };
    let mut is_specialised = false;
    for set in &sets {
        match catch_unwind(AssertUnwindSafe(|| run_set(engine, case, set))) {
            Ok(Outcome::Pass { is_specialised: this }) => is_specialised |= this,
            Ok(other) => return other,
            Err(_) => return Outcome::Wrong("panicked".into()),
        }
    }
    Outcome::Pass { is_specialised }
}

fn run_set(engine: &dyn Engine, case: &Case, set: &DataSet) -> Outcome {
    let (graph, given) = match import(&case.model_path(), set) {
        Ok(imported) => imported,
        Err(reason) => return Outcome::Refused(reason),
    };
    let name = |v: tracelift_ir::Value| graph.node(v.node).names[0].to_string();
    let inputs: Vec<Tensor> =
        graph.inputs().filter_map(|v| set.inputs.get(&name(v)).cloned()).collect();
    let found = match engine.run(&graph, &inputs) {
        Ok(found) => found,
        Err(reason) => return Outcome::Refused(reason.to_string()),
    };
    match compare::first_difference(&found, &set.outputs) {
        Some(difference) => Outcome::Wrong(difference),
        None => Outcome::Pass { is_specialised: !given.is_empty() },
    }
}

/// Imports a model; inputs without whose value it is refused become constants.
fn import(path: &Path, set: &DataSet) -> Result<(Graph, BTreeSet<String>), String> {
    let mut options = ImportOptions::default();
    loop {
        let error = match import_onnx(path, &options) {
            Ok(graph) => return Ok((graph, options.values.into_keys().collect())),
            Err(error) => error,
        };
        let ImportError::Unsupported { problems, .. } = &error else {
            return Err(error.to_string());
        };
        let wanted = problems.iter().flat_map(|p| &p.inputs);
        let known = wanted.filter_map(|name| Some((name.clone(), set.inputs.get(name)?.clone())));
        let before = options.values.len();
        options.values.extend(known);
        if options.values.len() == before {
            let reasons: Vec<String> = problems.iter().map(|p| p.to_string()).collect();
            return Err(reasons.join("; "));
        }
    }
}

/// Compares the cases that pass with those of a list, or writes the list.
fn hold_against(list: &Path, passing: &[String], update: bool) -> Result<(), String> {
    let describe = |error: std::io::Error| format!("{}: {error}", list.display());
    if update {
        let text: String = passing.iter().map(|name| format!("{name}\n")).collect();
        return std::fs::write(list, text).map_err(describe);
    }
    let text = std::fs::read_to_string(list).map_err(describe)?;
    let expected: BTreeSet<&str> = text.lines().filter(|l| !l.is_empty()).collect();
    let found: BTreeSet<&str> = passing.iter().map(String::as_str).collect();
    if expected == found {
        return Ok(());
    }
    let mut message = format!("the cases that pass are not those of {}", list.display());
    expected
        .difference(&found)
        .for_each(|name| message += &format!("\n  no longer passes: {name}"));
    found.difference(&expected).for_each(|name| message += &format!("\n  passes now: {name}"));
    Err(message)
}
