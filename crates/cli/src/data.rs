//! Tensors in files: inputs, and outputs to compare with.

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use tracelift::{
    import::wire::read_tensor,
    ir::{Graph, GraphResult, TensorType},
    tensor::{
        Tensor,
        npz::{read_npy, read_npz},
        safetensors_file::read_safetensors,
    },
};

use crate::source::{Source, input_name};

/// Tensors by name.
pub type Tensors = BTreeMap<String, Tensor>;

/// Reads a `.npz` or `.safetensors` file, or a folder.
///
/// A folder has `NAME.npy` files, or the `input_0.pb` and `output_0.pb` files of ONNX's test data,
/// which are named `in_0` and `out_0` here.
///
/// # Errors
/// When a file cannot be read or is of another kind.
pub fn read_tensors(path: &Path) -> anyhow::Result<Tensors> {
    if path.is_dir() {
        return read_folder(path);
    }
    let tensors = match path.extension().and_then(OsStr::to_str) {
        Some("npz") => read_npz(path)?,
        Some("safetensors") => read_safetensors(path)?,
        _ => bail!(
            "{}: not a file of tensors\n  expected: a name ending in .npz or .safetensors, or a \
             folder of .npy or .pb files",
            path.display()
        ),
    };
    Ok(tensors.into_iter().collect())
}

fn read_folder(folder: &Path) -> anyhow::Result<Tensors> {
    let entries = fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    let mut tensors = Tensors::new();
    for entry in entries {
        let path: PathBuf = entry.with_context(|| folder.display().to_string())?.path();
        let (Some(stem), Some(extension)) =
            (path.file_stem().and_then(OsStr::to_str), path.extension().and_then(OsStr::to_str))
        else {
            continue;
        };
        match (extension, stem.split_once('_')) {
            ("npy", _) => tensors.insert(stem.to_string(), read_npy(&path)?),
            ("pb", Some(("input", k))) => tensors.insert(format!("in_{k}"), read_tensor(&path)?),
            ("pb", Some(("output", k))) => tensors.insert(format!("out_{k}"), read_tensor(&path)?),
            _ => None,
        };
    }
    if tensors.is_empty() {
        bail!(
            "{}: the folder has no tensors\n  expected: NAME.npy, input_0.pb or output_0.pb",
            folder.display()
        );
    }
    Ok(tensors)
}

/// The inputs of a graph, found by name or as `in_0`, `in_1` and so on.
///
/// # Errors
/// Lists the inputs that are missing.
pub fn inputs_of(source: &Source, tensors: &Tensors, from: &Path) -> anyhow::Result<Vec<Tensor>> {
    let graph = source.model.graph();
    let (mut found, mut missing) = (Vec::new(), Vec::new());
    for value in graph.inputs() {
        let name = input_name(graph, value);
        let numbered = numbered(tensors, "in", source.input_names.iter().position(|n| *n == name));
        match choose(graph.ty(value), [tensors.get(&name), numbered]) {
            Some(tensor) => found.push(tensor.clone()),
            None => {
                let at = source.input_names.iter().position(|n| *n == name).unwrap_or_default();
                missing.push(format!("{name}: {} (or in_{at})", graph.ty(value)));
            }
        }
    }
    if missing.is_empty() {
        return Ok(found);
    }
    bail!(
        "{}: inputs are missing\n  expected: {}\n  found:    {}",
        from.display(),
        missing.join("\n            "),
        list(tensors)
    )
}

/// The expected results of a graph, found by name or as `out_0`, `out_1` and so on; one where the
/// file has it.
pub fn expected_of(graph: &Graph, tensors: &Tensors) -> Vec<Option<Tensor>> {
    let results = graph.results().iter().enumerate();
    let find = |(k, result): (usize, &GraphResult)| {
        let candidates = [tensors.get(&*result.name), numbered(tensors, "out", Some(k))];
        choose(graph.ty(result.value), candidates).cloned()
    };
    results.map(find).collect()
}

fn numbered<'a>(tensors: &'a Tensors, prefix: &str, k: Option<usize>) -> Option<&'a Tensor> {
    tensors.get(&format!("{prefix}_{}", k?))
}

/// The first candidate of a type, or the first of all where none is.
///
/// A file may hold something else under the name: a batch of samples, with the first as `in_0`.
fn choose<'a>(ty: &TensorType, candidates: [Option<&'a Tensor>; 2]) -> Option<&'a Tensor> {
    let fits = |tensor: &&Tensor| {
        let mut extents = ty.shape.iter().zip(tensor.shape());
        ty.dtype == tensor.dtype()
            && ty.rank() == tensor.rank()
            && extents.all(|(dim, &extent)| dim.as_const().is_none_or(|n| n == extent))
    };
    let present = || candidates.into_iter().flatten();
    present().find(fits).or_else(|| present().next())
}

/// As [`expected_of`], for files that must have all of them.
///
/// # Errors
/// Lists the results that are missing.
pub fn all_expected_of(
    graph: &Graph,
    tensors: &Tensors,
    from: &Path,
) -> anyhow::Result<Vec<Tensor>> {
    let expected = expected_of(graph, tensors);
    let missing = expected.iter().enumerate().filter(|(_, tensor)| tensor.is_none());
    let missing: Vec<String> =
        missing.map(|(k, _)| format!("{} (or out_{k})", result_name(graph, k))).collect();
    if !missing.is_empty() {
        bail!(
            "{}: expected outputs are missing\n  expected: {}\n  found:    {}",
            from.display(),
            missing.join("\n            "),
            list(tensors)
        );
    }
    Ok(expected.into_iter().flatten().collect())
}

/// The name of a result; `out_k` where it has none.
pub fn result_name(graph: &Graph, k: usize) -> String {
    let name = &graph.results()[k].name;
    if name.is_empty() { format!("out_{k}") } else { name.to_string() }
}

fn list(tensors: &Tensors) -> String {
    const MOST: usize = 20;
    let names: Vec<&str> = tensors.keys().take(MOST).map(String::as_str).collect();
    let more = if tensors.len() > MOST { ", …" } else { "" };
    if names.is_empty() { "no tensors".into() } else { format!("{}{more}", names.join(", ")) }
}
