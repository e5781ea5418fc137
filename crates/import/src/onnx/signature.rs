//! The graph's inputs: their types, symbols and given values.

use tracelift_ir::{Shape, TensorType, text::parse_dim};
use tracelift_tensor::{Bindings, DType, Dim, MAX_RANK, Tensor};

use super::{
    ImportOptions,
    failure::{Converted, Failure, ensure},
};
use crate::{
    error::Shown,
    wire::{DataType, DimensionProto, DimensionValue, TypeProto, TypeValue, ValueInfoProto},
};

/// The largest extent an input may have.
const MAX_EXTENT: i64 = 1 << 40;

/// The dtype of a declared type, where it is one of tensors.
///
/// # Errors
/// When it is of another kind or element type than the graph language has.
pub(super) fn dtype_of(ty: Option<&TypeProto>) -> Converted<Option<DType>> {
    let kind = match ty.and_then(|ty| ty.value.as_ref()) {
        None => return Ok(None),
        Some(TypeValue::Tensor(tensor)) => {
            let known = DataType::try_from(tensor.elem_type).ok();
            if known == Some(DataType::Undefined) {
                return Ok(None);
            }
            let name = known.map_or(format!("number {}", tensor.elem_type), |d| d.name().into());
            return match known.and_then(DataType::dtype) {
                Some(dtype) => Ok(Some(dtype)),
                None => Err(Failure::new(format!("dtype {name} is not supported"))
                    .with_hint("supported: BOOL, INT8 to INT64, UINT8 to UINT64, FLOAT, DOUBLE")),
            };
        }
        Some(TypeValue::Sequence(_)) => "a sequence",
        Some(TypeValue::Map(_)) => "a map",
        Some(TypeValue::Opaque(_)) => "an opaque type",
        Some(TypeValue::SparseTensor(_)) => "a sparse tensor",
        Some(TypeValue::Optional(_)) => "an optional value",
    };
    Err(Failure::new(format!("type is {kind}")).with_hint("supported: dense tensors"))
}

/// The type of an input; symbols that the options bind are replaced by their values.
///
/// # Errors
/// When the type is missing or not supported.
pub(super) fn input_type(info: &ValueInfoProto, options: &ImportOptions) -> Converted<TensorType> {
    let dtype = dtype_of(info.r#type.as_ref())?
        .ok_or_else(|| Failure::new("found no type, expected a tensor type"))?;
    let shape = match info.r#type.as_ref().and_then(|ty| ty.value.as_ref()) {
        Some(TypeValue::Tensor(tensor)) => tensor.shape.as_ref(),
        _ => None,
    };
    let shape = shape.ok_or_else(|| Failure::new("found no shape, expected a known rank"))?;
    ensure!(shape.dim.len() <= MAX_RANK, "rank {} exceeds {MAX_RANK}", shape.dim.len());
    let dims = shape.dim.iter().enumerate();
    let dims: Vec<Dim> =
        dims.map(|(axis, dim)| extent(info, axis, dim, options)).collect::<Converted<_>>()?;
    Ok(TensorType { dtype, shape: Shape(dims) })
}

/// One extent: a number, a symbol, or a symbol made up for an unknown extent.
fn extent(
    info: &ValueInfoProto,
    axis: usize,
    dim: &DimensionProto,
    options: &ImportOptions,
) -> Converted<Dim> {
    let made_up = || format!("{}_dim{axis}", info.name);
    let name = match &dim.value {
        // Some exporters write −1 for an unknown extent.
        None | Some(DimensionValue::Value(-1)) => made_up(),
        Some(DimensionValue::Value(value)) => {
            ensure!((0..=MAX_EXTENT).contains(value), "extent {value} along axis {axis}");
            return Ok(Dim::from(*value));
        }
        Some(DimensionValue::Param(name)) if name.trim().is_empty() => made_up(),
        Some(DimensionValue::Param(name)) => name.clone(),
    };
    if let Some(&value) = options.dims.get(&name) {
        return Ok(Dim::from(value));
    }
    let bindings: Bindings =
        options.dims.iter().map(|(name, value)| (name.as_str().into(), *value)).collect();
    match parse_dim(&name) {
        Ok(dim) => Ok(dim.bind(&bindings)),
        Err(_) => Ok(Dim::symbol(&symbol_name(&name)).bind(&bindings)),
    }
}

/// A name that the text form can hold.
fn symbol_name(name: &str) -> String {
    const LONGEST: usize = 60;
    let clean = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
    let mut out: String = name.chars().take(LONGEST).map(clean).collect();
    if !out.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') {
        out.insert(0, 'd');
    }
    out
}

/// A value given for an input, checked against the declared type.
///
/// # Errors
/// When its dtype or a known extent differs.
pub(super) fn given_value(
    info: &ValueInfoProto,
    given: &Tensor,
    options: &ImportOptions,
) -> Converted<Tensor> {
    let declared = input_type(info, options)?;
    let found = TensorType::new(given.dtype(), given.shape());
    let fits = declared.dtype == found.dtype
        && declared.rank() == found.rank()
        && declared
            .shape
            .iter()
            .zip(found.shape.iter())
            .all(|(d, f)| d.as_i64().is_none() || d == f);
    let name = Shown(&info.name);
    ensure!(fits, "the value given for '{name}' is {found}, expected {declared}");
    Ok(given.clone())
}
