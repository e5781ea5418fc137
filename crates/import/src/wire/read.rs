//! Reading a model file and checking what holds for the file as a whole.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use bytes::Bytes;
use tracelift_tensor::{Tensor, map_file};

use super::{GraphProto, ModelProto, OperatorSetIdProto, TensorProto, budget, tensor_of};
use crate::{ImportError, external::External};

/// The newest version of the file format that is known.
pub const MAX_IR_VERSION: i64 = 14;

/// The newest version of ONNX's own operator set that is known.
pub const MAX_OPSET: i64 = 28;

/// What decoding may allocate beside twice the file's size.
const SPARE_BYTES: u64 = 1 << 30;

/// A decoded model and where its tensors' bytes are.
#[derive(Debug)]
pub struct Model {
    /// The decoded file; it holds a graph.
    pub proto: ModelProto,
    /// The version of each operator set imported; ONNX's own domain is the empty text.
    pub opsets: BTreeMap<String, i64>,
    /// The files beside the model.
    pub external: External,
    /// The file, for messages.
    pub path: PathBuf,
}

impl Model {
    /// The main graph.
    pub fn graph(&self) -> &GraphProto {
        self.proto.graph.as_ref().expect("reading a model checks that it has a graph")
    }

    /// The version of a domain's operator set, where the model imports it.
    pub fn opset(&self, domain: &str) -> Option<i64> {
        self.opsets.get(canonical_domain(domain)).copied()
    }
}

/// Maps a domain's two spellings of ONNX's own operators to one, the empty text.
fn canonical_domain(domain: &str) -> &str {
    if domain == "ai.onnx" { "" } else { domain }
}

/// Reads a model file; tensors' bytes stay in the mapped file.
///
/// # Errors
/// When the file cannot be read, is malformed, of an unknown version, or takes too much memory.
pub fn read_model(path: &Path) -> Result<Model, ImportError> {
    let external = External::beside(path);
    decode(map_file(path)?, path, external)
}

/// Decodes a model from memory; it has no files beside it, so external data are refused.
///
/// # Errors
/// As [`read_model`]; `path` serves messages only.
pub fn decode_model(bytes: Bytes, path: &Path) -> Result<Model, ImportError> {
    decode(bytes, path, External::none())
}

/// Reads a file that holds one tensor, such as the `.pb` files of ONNX's test suite.
///
/// # Errors
/// When the file cannot be read, is malformed, or holds a tensor that [`tensor_of`] refuses.
pub fn read_tensor(path: &Path) -> Result<Tensor, ImportError> {
    let proto: TensorProto =
        decode_message(map_file(path)?, path, budget::Message::Tensor, "an ONNX tensor")?;
    tensor_of(&proto, &External::beside(path)).map_err(|problem| ImportError::Unsupported {
        path: path.to_path_buf(),
        problems: vec![problem],
    })
}

fn decode(bytes: Bytes, path: &Path, external: External) -> Result<Model, ImportError> {
    let proto: ModelProto = decode_message(bytes, path, budget::Message::Model, "an ONNX model")?;
    check_ir_version(&proto, path)?;
    let opsets = opsets_of(&proto, path)?;
    if proto.graph.is_none() {
        return Err(ImportError::Malformed {
            path: path.to_path_buf(),
            found: "a model without a graph".into(),
            expected: "one with a graph",
        });
    }
    Ok(Model { proto, opsets, external, path: path.to_path_buf() })
}

/// Decodes one message after making sure that memory suffices.
fn decode_message<M: prost::Message + Default>(
    bytes: Bytes,
    path: &Path,
    kind: budget::Message,
    expected: &'static str,
) -> Result<M, ImportError> {
    let path = path.to_path_buf();
    let needed_bytes = match budget::decoded_bytes(kind, &bytes) {
        Ok(needed_bytes) => needed_bytes,
        Err(found) => return Err(ImportError::Malformed { path, found, expected }),
    };
    let limit_bytes = (2 * bytes.len() as u64).saturating_add(SPARE_BYTES);
    if needed_bytes > limit_bytes {
        return Err(ImportError::TooLarge { path, needed_bytes, limit_bytes });
    }
    M::decode(bytes).map_err(|e| ImportError::Malformed { path, found: e.to_string(), expected })
}

fn check_ir_version(proto: &ModelProto, path: &Path) -> Result<(), ImportError> {
    if (1..=MAX_IR_VERSION).contains(&proto.ir_version) {
        return Ok(());
    }
    Err(ImportError::Version {
        path: path.to_path_buf(),
        what: "the IR version".into(),
        found: proto.ir_version,
        expected: format!("1 to {MAX_IR_VERSION}"),
    })
}

/// The operator sets by domain; before IR version 3 the import is implied to be version 1.
fn opsets_of(proto: &ModelProto, path: &Path) -> Result<BTreeMap<String, i64>, ImportError> {
    let version_error = |domain: &str, found, expected| ImportError::Version {
        path: path.to_path_buf(),
        what: format!("the operator set of domain '{}'", crate::error::Shown(domain)),
        found,
        expected,
    };
    let implied = [OperatorSetIdProto { domain: String::new(), version: 1 }];
    let imports = match proto.opset_import.as_slice() {
        [] if proto.ir_version < 3 => &implied,
        imports => imports,
    };
    if imports.is_empty() {
        return Err(ImportError::Malformed {
            path: path.to_path_buf(),
            found: "a model without operator sets".into(),
            expected: "at least one opset_import",
        });
    }
    let mut opsets = BTreeMap::new();
    for OperatorSetIdProto { domain, version } in imports {
        let domain = canonical_domain(domain);
        let newest = if domain.is_empty() { MAX_OPSET } else { i64::MAX };
        if !(1..=newest).contains(version) {
            return Err(version_error(domain, *version, format!("1 to {newest}")));
        }
        let earlier = opsets.insert(domain.to_string(), *version);
        if let Some(earlier) = earlier.filter(|earlier| earlier != version) {
            return Err(version_error(domain, *version, format!("{earlier}, imported before")));
        }
    }
    Ok(opsets)
}

#[cfg(test)]
mod tests;
