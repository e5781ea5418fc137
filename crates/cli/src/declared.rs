//! The inputs of an ONNX file as it declares them, before import.
//!
//! `--set` and ONNX's test data speak of the file's inputs, some of which become constants.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use anyhow::{Context, anyhow, bail};
use tracelift::{
    import::wire::{DataType, DimensionValue, TypeValue, ValueInfoProto, read_model},
    tensor::{Bytes, DType, Scalar, Tensor, checked_count},
};

use crate::arguments::Setting;

/// One input.
pub struct DeclaredInput {
    /// The name.
    pub name: String,
    /// The element type, where it is one that tensors here have.
    dtype: Option<DType>,
    /// Numbers, symbols, or neither, along each axis; `None` where even the rank is unknown.
    shape: Option<Vec<Option<DimensionValue>>>,
}

/// The inputs that have no initializer, in file order.
///
/// # Errors
/// When the file cannot be read or is malformed.
pub fn declared_inputs(path: &Path) -> anyhow::Result<Vec<DeclaredInput>> {
    let model = read_model(path)?;
    let graph = model.graph();
    let initializers: BTreeSet<&str> = graph.initializer.iter().map(|t| t.name.as_str()).collect();
    let inputs = graph.input.iter().filter(|i| !initializers.contains(i.name.as_str()));
    Ok(inputs.map(declared).collect())
}

fn declared(info: &ValueInfoProto) -> DeclaredInput {
    let name = info.name.clone();
    match info.r#type.as_ref().and_then(|ty| ty.value.as_ref()) {
        Some(TypeValue::Tensor(tensor)) => DeclaredInput {
            name,
            dtype: DataType::try_from(tensor.elem_type).ok().and_then(DataType::dtype),
            shape: tensor
                .shape
                .as_ref()
                .map(|shape| shape.dim.iter().map(|dim| dim.value.clone()).collect()),
        },
        _ => DeclaredInput { name, dtype: None, shape: None },
    }
}

/// What settings mean for a file.
#[derive(Default)]
pub struct Settings {
    /// Extents of symbolic dimensions.
    pub dims: BTreeMap<String, usize>,
    /// Values of inputs.
    pub values: BTreeMap<String, Tensor>,
}

/// Tells settings of inputs from settings of dimensions.
///
/// # Errors
/// When a name is neither, or a value does not fit.
pub fn resolve(inputs: &[DeclaredInput], settings: &[Setting]) -> anyhow::Result<Settings> {
    let symbols: BTreeSet<String> = inputs.iter().flat_map(DeclaredInput::symbols).collect();
    let mut out = Settings::default();
    for setting in settings {
        if let Some(input) = inputs.iter().find(|i| i.name == setting.name) {
            let value = input.parse(&setting.value);
            let value = value.with_context(|| format!("--set {}", setting.name))?;
            out.values.insert(setting.name.clone(), value);
            continue;
        }
        check_symbol(&setting.name, &symbols, inputs.iter().map(|i| i.name.as_str()))?;
        out.dims.insert(setting.name.clone(), parse_extent(setting)?);
    }
    Ok(out)
}

/// Refuses the name of a dimension that a model does not have; `inputs` are those that can be set.
///
/// # Errors
/// Names the ones it has.
pub fn check_symbol<'a>(
    name: &str,
    symbols: &BTreeSet<String>,
    inputs: impl Iterator<Item = &'a str>,
) -> anyhow::Result<()> {
    if symbols.contains(name) {
        return Ok(());
    }
    let list = |names: Vec<&str>| if names.is_empty() { "none".into() } else { names.join(", ") };
    let inputs: Vec<&str> = inputs.collect();
    let or_input = match inputs.is_empty() {
        true => String::new(),
        false => format!("\n  or an input:          {}", inputs.join(", ")),
    };
    bail!(
        "--set {name}: the model has no such dimension{}\n  expected a dimension: {}{or_input}",
        if or_input.is_empty() { "" } else { " or input" },
        list(symbols.iter().map(String::as_str).collect())
    )
}

/// The extent of a dimension.
///
/// # Errors
/// When the value is no number of elements.
pub fn parse_extent(setting: &Setting) -> anyhow::Result<usize> {
    let Setting { name, value } = setting;
    let extent = value.parse::<u32>().map_err(|_| {
        anyhow!("--set {name}: found '{value}', expected the extent of a dimension, such as 128")
    })?;
    Ok(extent as usize)
}

impl DeclaredInput {
    /// The names by which its dimensions can be set.
    fn symbols(&self) -> Vec<String> {
        let dims = self.shape.iter().flatten().enumerate();
        let names = dims.map(|(axis, dim)| match dim {
            Some(DimensionValue::Param(name)) if !name.trim().is_empty() => symbols_of(name),
            // Unknown extents get a symbol of this name when they are imported.
            None | Some(DimensionValue::Param(_) | DimensionValue::Value(-1)) => {
                vec![format!("{}_dim{axis}", self.name)]
            }
            Some(DimensionValue::Value(_)) => Vec::new(),
        });
        names.flatten().collect()
    }

    /// Reads numbers separated by commas.
    fn parse(&self, text: &str) -> anyhow::Result<Tensor> {
        let dtype = self.dtype.ok_or_else(|| anyhow!("the input's type is not supported"))?;
        let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
        let scalars: Vec<Scalar> =
            parts.map(|part| Scalar::parse(dtype, part)).collect::<Result<_, _>>()?;
        let shape = self.shape_of(scalars.len())?;
        let size = dtype.size_bytes();
        let bytes: Vec<u8> =
            scalars.iter().flat_map(|x| x.to_bits().to_le_bytes()[..size].to_vec()).collect();
        Ok(Tensor::from_bytes(dtype, &shape, Bytes::from(bytes))?)
    }

    /// The shape of a value of `n` elements.
    fn shape_of(&self, n: usize) -> anyhow::Result<Vec<usize>> {
        let Some(dims) = &self.shape else { return Ok(vec![n]) };
        let known = dims.iter().map(|dim| match dim {
            Some(DimensionValue::Value(value)) => usize::try_from(*value).ok(),
            _ => None,
        });
        match known.collect::<Option<Vec<usize>>>() {
            Some(shape) if checked_count(&shape) == Some(n) => Ok(shape),
            Some(shape) => bail!("found {n} elements, expected those of shape {shape:?}"),
            None if dims.len() == 1 => Ok(vec![n]),
            None => bail!("the input has rank {} and unknown extents, expected rank 1", dims.len()),
        }
    }
}

/// A dimension's name as the file spells it, and the symbols in it.
fn symbols_of(name: &str) -> Vec<String> {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let parts = name.split(|c| !word(c)).filter(|part| !part.is_empty());
    let cleaned = name.replace(|c| !word(c), "_");
    parts.map(str::to_string).chain([name.to_string(), cleaned]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn input(name: &str, dtype: DType, shape: &[Option<DimensionValue>]) -> DeclaredInput {
        DeclaredInput { name: name.into(), dtype: Some(dtype), shape: Some(shape.to_vec()) }
    }

    fn set(inputs: &[DeclaredInput], name: &str, value: &str) -> anyhow::Result<Settings> {
        resolve(inputs, &[Setting { name: name.into(), value: value.into() }])
    }

    #[test]
    fn inputs_and_dimensions_are_told_apart() {
        let batch = Some(DimensionValue::Param("batch size".into()));
        let two = Some(DimensionValue::Value(2));
        let inputs = [
            input("x", DType::F32, &[batch, None]),
            input("axes", DType::I64, &[two]),
            input("k", DType::I64, &[]),
        ];
        assert_eq!(set(&inputs, "batch size", "3").unwrap().dims["batch size"], 3);
        assert_eq!(set(&inputs, "batch_size", "3").unwrap().dims["batch_size"], 3);
        assert_eq!(set(&inputs, "x_dim1", "3").unwrap().dims["x_dim1"], 3);
        let axes = set(&inputs, "axes", "0, -1").unwrap();
        assert_eq!(axes.values["axes"], Tensor::new(&[2], &[0i64, -1]));
        let k = set(&inputs, "k", "7").unwrap();
        assert_eq!(k.values["k"], Tensor::new(&[], &[7i64]));
    }

    #[test]
    fn values_that_do_not_fit_are_refused() {
        let inputs = [input("axes", DType::I64, &[Some(DimensionValue::Value(2))])];
        for (name, value) in [("axes", "1"), ("axes", "a,b"), ("axe", "1")] {
            assert!(set(&inputs, name, value).is_err(), "{name}={value}");
        }
        let none = [input("x", DType::F32, &[None])];
        assert!(set(&none, "x_dim0", "-1").is_err());
    }
}
