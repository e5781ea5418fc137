//! Graphs in files: the text, and beside it a safetensors file of the tensors it names.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
};

use tracelift_tensor::{
    FileError, Tensor, map_file,
    safetensors_file::{parse_safetensors, write_safetensors},
};

use super::{ParseErrors, data_beside, parse_graph};
use crate::{Graph, json::sha256};

/// The largest text read, in bytes.
const MAX_TEXT_BYTES: u64 = 1 << 28;

fn counted(errors: &ParseErrors) -> String {
    match errors.errors.len() + errors.violations.len() {
        1 => "1 mistake".to_string(),
        n => format!("{n} mistakes"),
    }
}

/// A graph file that cannot be written or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GraphFileError {
    /// The text cannot be written or read.
    #[error("TL0340: {}: {error}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// The text is no graph.
    #[error("{}: {}\n{errors}", path.display(), counted(errors))]
    Text {
        /// The file.
        path: PathBuf,
        /// All of them.
        errors: ParseErrors,
    },
    /// The first line names the weights in another form than expected.
    #[error("TL0341: {}: line 1: found {found}, expected weights \"NAME.safetensors\" sha256:…, NAME in the same folder", path.display())]
    WeightsLine {
        /// The file.
        path: PathBuf,
        /// The line found.
        found: String,
    },
    /// The weights are not those the text was written with.
    #[error("TL0342: {}: sha256 is {found}, expected {expected}", path.display())]
    Hash {
        /// The file of weights.
        path: PathBuf,
        /// The hash found.
        found: String,
        /// The hash in the text.
        expected: String,
    },
    /// The weights cannot be written or read.
    #[error(transparent)]
    Weights(#[from] FileError),
}

/// Writes the text of a graph to `path` and the tensors it names, if any, to a file of the same
/// name with the extension `safetensors`, whose hash stands in the first line.
///
/// # Errors
/// When a file cannot be written or `path` has no file name.
pub fn write_graph_file(graph: &Graph, path: &Path) -> Result<(), GraphFileError> {
    let io_error = |error| GraphFileError::Io { path: path.to_path_buf(), error };
    let tensors = data_beside(graph);
    let mut text = graph.to_string();
    if !tensors.is_empty() {
        let weights = path.with_extension("safetensors");
        let name = weights.file_name().and_then(|name| name.to_str());
        let name = name.ok_or_else(|| io_error(io::ErrorKind::InvalidFilename.into()))?;
        write_safetensors(&weights, &tensors)?;
        let hash = sha256(&map_file(&weights)?);
        text = format!("weights {} sha256:{hash}\n{text}", serde_json::Value::from(name));
    }
    std::fs::write(path, text).map_err(io_error)
}

/// Reads what [`write_graph_file`] writes and verifies the graph; tensors stay in the mapped file.
///
/// # Errors
/// When a file cannot be read, the weights have another hash, or the text is no valid graph.
pub fn read_graph_file(path: &Path) -> Result<Graph, GraphFileError> {
    let text = read_text(path)?;
    let tensors = match text.lines().next().filter(|line| line.starts_with("weights ")) {
        Some(line) => read_weights(path, line)?,
        None => BTreeMap::new(),
    };
    let graph = parse_graph(&text, &mut |name| tensors.get(name).cloned());
    graph.map_err(|errors| GraphFileError::Text { path: path.to_path_buf(), errors })
}

fn read_text(path: &Path) -> Result<String, GraphFileError> {
    let read = || {
        let size = std::fs::metadata(path)?.len();
        if size > MAX_TEXT_BYTES {
            let message = format!("{size} bytes, expected at most {MAX_TEXT_BYTES}");
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, message));
        }
        std::fs::read_to_string(path)
    };
    read().map_err(|error| GraphFileError::Io { path: path.to_path_buf(), error })
}

fn read_weights(path: &Path, line: &str) -> Result<BTreeMap<String, Tensor>, GraphFileError> {
    let parts = line.strip_prefix("weights ").and_then(|rest| rest.rsplit_once(" sha256:"));
    let parsed = parts.and_then(|(name, hash)| {
        let name: String = serde_json::from_str(name.trim()).ok()?;
        // The weights lie beside the text, never elsewhere.
        let plain = Path::new(&name).file_name().is_some_and(|file| file == name.as_str());
        plain.then(|| (name, hash.trim().to_string()))
    });
    let Some((name, expected)) = parsed else {
        let found = line.chars().take(200).collect();
        return Err(GraphFileError::WeightsLine { path: path.to_path_buf(), found });
    };
    let weights = path.with_file_name(name);
    let bytes = map_file(&weights)?;
    let found = sha256(&bytes);
    if found != expected {
        return Err(GraphFileError::Hash { path: weights, found, expected });
    }
    Ok(parse_safetensors(bytes, &weights)?.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Builder;

    fn graph() -> Graph {
        let mut g = Graph::new("g");
        let mut b = Builder::new(&mut g);
        let w = b.parameter("a/b:0", Tensor::new(&[2], &[1.0f32, f32::NAN]));
        let c = b.constant(Tensor::new(&[40], &[7u8; 40]));
        for value in [w, c] {
            g.add_result("", value);
        }
        g
    }

    #[test]
    fn what_is_written_reads_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.graph");
        write_graph_file(&graph(), &path).unwrap();
        assert!(read_graph_file(&path).unwrap().same_as(&graph()));
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("weights \"x.safetensors\" sha256:"), "{text}");
    }

    #[test]
    fn changed_weights_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.graph");
        write_graph_file(&graph(), &path).unwrap();
        let weights = dir.path().join("x.safetensors");
        let mut bytes = std::fs::read(&weights).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        std::fs::write(&weights, bytes).unwrap();
        let error = read_graph_file(&path).unwrap_err();
        assert!(matches!(error, GraphFileError::Hash { .. }), "{error}");
    }

    #[test]
    fn weights_elsewhere_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.graph");
        for name in ["../x.safetensors", "/x.safetensors", "..", "", "a/x"] {
            let line = format!("weights {} sha256:0\n", serde_json::Value::from(name));
            std::fs::write(&path, line).unwrap();
            let error = read_graph_file(&path).unwrap_err();
            assert!(matches!(error, GraphFileError::WeightsLine { .. }), "{name}: {error}");
        }
    }

    #[test]
    fn mistakes_are_counted() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.graph");
        for (names, expected) in [("%a", "1 mistake\n"), ("%a, %b", "2 mistakes\n")] {
            std::fs::write(&path, format!("graph @g() -> f32[1] {{\n  return {names}\n}}\n"))
                .unwrap();
            let error = read_graph_file(&path).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
