//! Models with what the command line fixes in them.

use std::collections::BTreeMap;

use anyhow::bail;
use tracelift::{
    Error, LoadOptions, Model,
    import::ImportError,
    ir::{Graph, Value},
    load_with,
    tensor::{Bindings, Tensor},
};

use crate::{
    arguments::ModelArgs,
    declared::{Settings, check_symbol, declared_inputs, parse_extent, resolve},
};

/// A loaded model.
pub struct Source {
    /// The model.
    pub model: Model,
    /// Extents of dimensions that are still symbols in the model's graph.
    pub dims: BTreeMap<String, usize>,
    /// The names of the model's inputs in order, with those that have become constants.
    pub input_names: Vec<String>,
    /// The inputs that have become constants because an operator needs their values.
    pub fixed: Vec<String>,
}

/// Loads the model.
///
/// # Errors
/// When it cannot be loaded, or a setting does not fit it.
pub fn load(arguments: &ModelArgs) -> anyhow::Result<Source> {
    load_for(arguments, &BTreeMap::new())
}

/// Loads the model; inputs without whose values it is refused become constants, where `data` has
/// them under their name or as `in_0`, `in_1` and so on.
///
/// # Errors
/// As [`load`].
pub fn load_for(arguments: &ModelArgs, data: &BTreeMap<String, Tensor>) -> anyhow::Result<Source> {
    let path = &arguments.model;
    if path.extension().is_some_and(|e| e == "onnx") {
        load_onnx(arguments, data)
    } else {
        let model = load_with(path, &LoadOptions::default())?;
        let (symbols, input_names) = (symbols(model.graph()), input_names(model.graph()));
        let mut dims = BTreeMap::new();
        for setting in &arguments.settings {
            check_symbol(&setting.name, &symbols, std::iter::empty())?;
            dims.insert(setting.name.clone(), parse_extent(setting)?);
        }
        Ok(Source { model, dims, input_names, fixed: Vec::new() })
    }
}

fn load_onnx(arguments: &ModelArgs, data: &BTreeMap<String, Tensor>) -> anyhow::Result<Source> {
    let path = &arguments.model;
    let mut names = None;
    let mut settings = Settings::default();
    if !arguments.settings.is_empty() {
        let inputs = declared_inputs(path)?;
        settings = resolve(&inputs, &arguments.settings)?;
        names = Some(inputs.into_iter().map(|input| input.name).collect());
    }
    let Settings { dims, values } = settings;
    let mut options = LoadOptions { dims, values };
    let mut fixed = Vec::new();
    let model = loop {
        let error = match load_with(path, &options) {
            Ok(model) => break model,
            Err(error) => error,
        };
        let wanted = wanted_inputs(&error);
        if names.is_none() && !wanted.is_empty() && !data.is_empty() {
            names = Some(declared_inputs(path)?.into_iter().map(|input| input.name).collect());
        }
        let given = wanted.iter().filter(|name| !options.values.contains_key(**name));
        let found: Vec<(String, Tensor)> = given
            .filter_map(|name| {
                Some(((*name).clone(), find(data, names.as_deref()?, name)?.clone()))
            })
            .collect();
        if found.is_empty() {
            return Err(error.into());
        }
        fixed.extend(found.iter().map(|(name, _)| name.clone()));
        options.values.extend(found);
    };
    let input_names = names.unwrap_or_else(|| input_names(model.graph()));
    Ok(Source { model, dims: options.dims, input_names, fixed })
}

/// The inputs whose values would help a model that was refused.
fn wanted_inputs(error: &Error) -> Vec<&String> {
    match error {
        Error::Import(ImportError::Unsupported { problems, .. }) => {
            let mut wanted: Vec<&String> = problems.iter().flat_map(|p| &p.inputs).collect();
            wanted.sort();
            wanted.dedup();
            wanted
        }
        _ => Vec::new(),
    }
}

/// The tensor of an input, under its name or its number.
fn find<'a>(
    data: &'a BTreeMap<String, Tensor>,
    names: &[String],
    name: &str,
) -> Option<&'a Tensor> {
    let by_number = || {
        let at = names.iter().position(|n| n == name)?;
        data.get(&format!("in_{at}"))
    };
    data.get(name).or_else(by_number)
}

/// The name of an input.
pub fn input_name(graph: &Graph, value: Value) -> String {
    graph.node(value.node).names.first().map_or_else(String::new, |name| name.to_string())
}

fn input_names(graph: &Graph) -> Vec<String> {
    graph.inputs().map(|value| input_name(graph, value)).collect()
}

fn symbols(graph: &Graph) -> std::collections::BTreeSet<String> {
    graph.symbols().iter().map(|s| s.to_string()).collect()
}

impl Source {
    /// The graph with the extents that are set.
    ///
    /// # Errors
    /// When the extents do not fit the graph.
    pub fn graph(&self) -> anyhow::Result<Graph> {
        let graph = self.model.graph();
        if self.dims.is_empty() || graph.symbols().is_empty() {
            return Ok(graph.clone());
        }
        let bindings: Bindings =
            self.dims.iter().map(|(name, value)| (name.as_str().into(), *value)).collect();
        let name = graph.name().to_string();
        Ok(graph.bind(&bindings).map_err(|error| Error::Bind { graph: name, error })?)
    }

    /// As [`Source::graph`], without symbols.
    ///
    /// # Errors
    /// When extents are missing, all of which are listed, or do not fit.
    pub fn exact_graph(&self) -> anyhow::Result<Graph> {
        let graph = self.graph()?;
        require_exact(&graph)?;
        Ok(graph)
    }
}

/// Refuses a graph with symbols.
///
/// # Errors
/// Lists the symbols.
pub fn require_exact(graph: &Graph) -> anyhow::Result<()> {
    let symbols = symbols(graph);
    if symbols.is_empty() {
        return Ok(());
    }
    let names: Vec<&str> = symbols.iter().map(String::as_str).collect();
    let hints: Vec<String> = names.iter().map(|name| format!("--set {name}=1")).collect();
    bail!(
        "graph @{} has dimensions without a value\n  found:    {}\n  expected: a value for each\n  \
         hint:     {}",
        graph.name(),
        names.join(", "),
        hints.join(" ")
    )
}
