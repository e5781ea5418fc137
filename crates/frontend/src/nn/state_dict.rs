//! State dicts: parameters by name, read from and written to `.safetensors` files.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    path::Path,
};

use tracelift_tensor::{
    FileError, Tensor,
    safetensors_file::{read_safetensors, write_safetensors},
};

use super::{Parameter, parameter::ParameterId};

/// Tensors by name.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct StateDict(BTreeMap<String, Tensor>);

impl StateDict {
    /// Reads a `.safetensors` file; the elements stay in the mapped file.
    ///
    /// # Errors
    /// When the file cannot be read or is malformed.
    pub fn read(path: &Path) -> Result<StateDict, FileError> {
        Ok(read_safetensors(path)?.into_iter().collect())
    }

    /// Writes a `.safetensors` file.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), FileError> {
        let tensors: Vec<(String, Tensor)> =
            self.0.iter().map(|(name, tensor)| (name.clone(), tensor.clone())).collect();
        write_safetensors(path, &tensors)
    }

    /// The tensor of that name.
    pub fn get(&self, name: &str) -> Option<&Tensor> {
        self.0.get(name)
    }

    /// The names and tensors in order of the names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Tensor)> {
        self.0.iter().map(|(name, tensor)| (name.as_str(), tensor))
    }

    /// The entries whose names start with `prefix`, without it.
    pub fn under(&self, prefix: &str) -> StateDict {
        let inside = self.0.iter().filter_map(|(name, tensor)| {
            Some((name.strip_prefix(prefix)?.to_string(), tensor.clone()))
        });
        inside.collect()
    }
}

impl FromIterator<(String, Tensor)> for StateDict {
    fn from_iter<I: IntoIterator<Item = (String, Tensor)>>(entries: I) -> StateDict {
        StateDict(entries.into_iter().collect())
    }
}

/// A state dict that does not fit a model (TL0420); lists everything that is wrong.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct StateDictError {
    /// Parameters of the model without an entry.
    pub missing: Vec<String>,
    /// Entries without a parameter.
    pub unexpected: Vec<String>,
    /// Entries of another shape or dtype, with what was found and expected.
    pub mismatched: Vec<(String, String)>,
}

impl std::error::Error for StateDictError {}

impl fmt::Display for StateDictError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.missing.len() + self.unexpected.len() + self.mismatched.len();
        write!(f, "error[TL0420]: the state dict does not fit the model in {count} places")?;
        self.missing.iter().try_for_each(|name| write!(f, "\n  {name}: missing"))?;
        let differ = &self.mismatched;
        differ.iter().try_for_each(|(name, how)| write!(f, "\n  {name}: {how}"))?;
        let unexpected = &self.unexpected;
        unexpected.iter().try_for_each(|name| write!(f, "\n  {name}: not in the model"))
    }
}

/// Sets parameters from the entries of their names, or changes nothing.
///
/// Of the names of one parameter, one is enough: files keep shared tensors once.
pub(super) fn load(
    parameters: &[(String, Parameter)],
    dict: &StateDict,
) -> Result<(), StateDictError> {
    let found: BTreeSet<ParameterId> = parameters
        .iter()
        .filter(|(name, _)| dict.get(name).is_some())
        .map(|(_, parameter)| parameter.id())
        .collect();
    let names: BTreeSet<&str> = parameters.iter().map(|(name, _)| name.as_str()).collect();
    let mut error = StateDictError::default();
    let unexpected = dict.iter().filter(|(name, _)| !names.contains(name));
    error.unexpected = unexpected.map(|(name, _)| name.to_string()).collect();
    for (name, parameter) in parameters {
        match dict.get(name) {
            None if found.contains(&parameter.id()) || parameter.is_optional() => {}
            None => error.missing.push(name.clone()),
            Some(tensor) => {
                if let Err(how) = parameter.fits(tensor) {
                    error.mismatched.push((name.clone(), how));
                }
            }
        }
    }
    if error != StateDictError::default() {
        return Err(error);
    }
    for (name, parameter) in parameters {
        if let Some(tensor) = dict.get(name) {
            parameter.set(tensor.clone()).expect("the dtype and the shape have been compared");
        }
    }
    Ok(())
}
