//! One case: a folder with a model and data sets.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use tracelift_import::wire::{
    DataType, GraphProto, TypeValue, ValueInfoProto, read_model, read_tensor,
};
use tracelift_tensor::Tensor;

/// A folder of the test data.
pub struct Case {
    /// The suite it belongs to, such as `node`.
    pub suite: &'static str,
    /// The folder's name.
    pub name: String,
    /// The folder.
    pub folder: PathBuf,
}

/// The tensors of one data set.
pub struct DataSet {
    /// By the names of the model's inputs.
    pub inputs: BTreeMap<String, Tensor>,
    /// In the order of the model's outputs.
    pub outputs: Vec<Tensor>,
}

/// The element types that enter and leave a case's model.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Class {
    /// Floats of 32 bits, integers of 32 and 64 bits, and bools only.
    A,
    /// Also the other integers.
    B,
    /// Also floats of 64 bits.
    C,
    /// Anything else.
    Other,
}

/// The cases of a suite whose names contain `filter`, by name.
pub fn find(data: &Path, suite: &'static str, filter: &str) -> Result<Vec<Case>, String> {
    let folder = data.join(suite);
    let entries = fs::read_dir(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let mut cases: Vec<Case> = entries
        .filter_map(Result::ok)
        .filter(|entry| entry.path().join("model.onnx").is_file())
        .map(|entry| Case {
            suite,
            name: entry.file_name().to_string_lossy().into_owned(),
            folder: entry.path(),
        })
        .filter(|case| case.name.contains(filter))
        .collect();
    cases.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(cases)
}

impl Case {
    /// The name, behind its suite's where that is not `node`.
    pub fn full_name(&self) -> String {
        match self.suite {
            "node" => self.name.clone(),
            suite => format!("{suite}/{}", self.name),
        }
    }

    /// The model.
    pub fn model_path(&self) -> PathBuf {
        self.folder.join("model.onnx")
    }

    /// The name of the case whose function bodies this one writes out, or its own.
    pub fn base_name(&self) -> &str {
        self.name.split_once("_expanded").map_or(&self.name, |(base, _)| base)
    }

    /// The element types that enter and leave the model.
    pub fn class(&self) -> Class {
        let Ok(model) = read_model(&self.model_path()) else { return Class::Other };
        let graph = model.graph();
        graph.input.iter().chain(&graph.output).map(class_of).max().unwrap_or(Class::A)
    }

    /// Every data set of the case.
    ///
    /// # Errors
    /// When a file cannot be read or holds something else than a tensor.
    pub fn data_sets(&self) -> Result<Vec<DataSet>, String> {
        let model = read_model(&self.model_path()).map_err(|e| e.to_string())?;
        let mut sets = Vec::new();
        while let Some(folder) = self.set_folder(sets.len()) {
            sets.push(data_set(&folder, model.graph())?);
        }
        if sets.is_empty() { Err("no data sets".into()) } else { Ok(sets) }
    }

    fn set_folder(&self, k: usize) -> Option<PathBuf> {
        let folder = self.folder.join(format!("test_data_set_{k}"));
        folder.is_dir().then_some(folder)
    }
}

fn class_of(info: &ValueInfoProto) -> Class {
    let Some(TypeValue::Tensor(tensor)) = info.r#type.as_ref().and_then(|ty| ty.value.as_ref())
    else {
        return Class::Other;
    };
    match DataType::try_from(tensor.elem_type) {
        Ok(DataType::Float | DataType::Int32 | DataType::Int64 | DataType::Bool) => Class::A,
        Ok(DataType::Double) => Class::C,
        Ok(other) if other.dtype().is_some() => Class::B,
        _ => Class::Other,
    }
}

fn data_set(folder: &Path, graph: &GraphProto) -> Result<DataSet, String> {
    let initializers: BTreeSet<&str> = graph.initializer.iter().map(|t| t.name.as_str()).collect();
    let names = graph.input.iter().filter(|i| !initializers.contains(i.name.as_str()));
    let mut inputs = BTreeMap::new();
    for (k, info) in names.enumerate() {
        inputs.insert(info.name.clone(), tensor(&folder.join(format!("input_{k}.pb")), info)?);
    }
    let outputs = graph.output.iter().enumerate();
    let outputs: Result<Vec<Tensor>, String> =
        outputs.map(|(k, info)| tensor(&folder.join(format!("output_{k}.pb")), info)).collect();
    Ok(DataSet { inputs, outputs: outputs? })
}

fn tensor(path: &Path, info: &ValueInfoProto) -> Result<Tensor, String> {
    let value = info.r#type.as_ref().and_then(|ty| ty.value.as_ref());
    let Some(TypeValue::Tensor(declared)) = value else {
        return Err(format!("value '{}' is no tensor", info.name));
    };
    let dtype = DataType::try_from(declared.elem_type).ok().filter(|d| d.dtype().is_some());
    if dtype.is_none() {
        let name = DataType::try_from(declared.elem_type).map_or("unknown", DataType::name);
        return Err(format!("value '{}': dtype {name} is not supported", info.name));
    }
    read_tensor(path).map_err(|e| e.to_string())
}
