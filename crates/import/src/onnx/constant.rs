//! Constants and casts.

use tracelift_ir::{Iota, Shape, Value, ops};
use tracelift_tensor::{DType, Dim, Scalar, Tensor};

use super::{
    failure::{Converted, Failure, ensure},
    node_cx::NodeCx,
    registry::{Row, row},
};

/// The rows of this family.
pub(super) const ROWS: &[Row] = &[
    row("Cast", 1, (1, 1), cast).note("to and from bool, integers, FLOAT and DOUBLE"),
    row("CastLike", 15, (2, 2), cast_like).note("to and from bool, integers, FLOAT and DOUBLE"),
    row("Constant", 1, (0, 0), constant).note("no sparse tensors or strings"),
    row("ConstantOfShape", 9, (1, 1), constant_of_shape),
    row("EyeLike", 9, (1, 1), eye_like),
    row("Range", 11, (3, 3), range).note("bounds known at compile time"),
];

/// Converts dtypes; before operator set 6, `to` is a name.
fn cast(cx: &mut NodeCx<'_, '_>) -> Converted<Vec<Value>> {
    let x = cx.operand(0)?;
    cx.attributes.ignore(&["saturate"]);
    let to = if cx.opset < 6 {
        let name = cx.attributes.text_or("to", "")?;
        let number =
            (0..64).find(|&n| crate::wire::DataType::try_from(n).is_ok_and(|d| d.name() == name));
        number.ok_or_else(|| Failure::new(format!("dtype {name} is not known")))?.into()
    } else {
        cx.attributes.int_or("to", 0)?
    };
    let (to, rounding) = (cx.dtype_of(to)?, cx.attributes.text_or("round_mode", "up")?);
    ensure!(rounding == "up", "round_mode '{rounding}' is not supported");
    Ok(vec![cx.cast(x, to)?])
}

fn cast_like(cx: &mut NodeCx<'_, '_>) -> Converted<Vec<Value>> {
    cx.attributes.ignore(&["saturate", "round_mode"]);
    let (x, like) = (cx.operand(0)?, cx.operand(1)?);
    let to = cx.dtype(like);
    Ok(vec![cx.cast(x, to)?])
}

fn constant(cx: &mut NodeCx<'_, '_>) -> Converted<Vec<Value>> {
    let attributes = cx.attributes;
    let tensor = if let Some(proto) = attributes.tensor("value")? {
        let name = crate::wire::DataType::try_from(proto.data_type).map(|d| d.name());
        ensure!(
            cx.dtype_of(proto.data_type.into()).is_ok(),
            "dtype {} is not supported",
            name.unwrap_or("unknown")
        );
        cx.stored(proto)?
    } else if let Some(x) = attributes.float("value_float")? {
        Tensor::scalar(Scalar::F32(x))
    } else if let Some(i) = attributes.int("value_int")? {
        Tensor::scalar(Scalar::from_i64(DType::I64, i))
    } else if let Some(xs) = attributes.floats("value_floats")? {
        Tensor::new(&[xs.len()], xs)
    } else if let Some(is) = attributes.ints("value_ints")? {
        Tensor::new(&[is.len()], is)
    } else {
        return Err(Failure::new("found no value")
            .with_hint("supported: value, value_float, value_floats, value_int, value_ints"));
    };
    Ok(vec![cx.constant(tensor)])
}

fn constant_of_shape(cx: &mut NodeCx<'_, '_>) -> Converted<Vec<Value>> {
    let dims = cx.dims_of(0)?;
    let scalar = match cx.attributes.tensor("value")? {
        Some(proto) => {
            let value = cx.stored(proto)?;
            ensure!(value.count() == 1, "value has {} elements, expected 1", value.count());
            value.get(0)
        }
        None => Scalar::F32(0.0),
    };
    let shape = checked_shape(dims)?;
    Ok(vec![cx.splat(scalar, shape)])
}

/// Extents read from operands, none negative and not too many elements in all.
pub(super) fn checked_shape(dims: Vec<Dim>) -> Converted<Shape> {
    let shape = Shape(dims);
    let limit = 1i64 << 40;
    ensure!(shape.rank() <= tracelift_tensor::MAX_RANK, "rank {} is too large", shape.rank());
    ensure!(shape.iter().all(|d| d.as_i64().is_none_or(|d| d >= 0)), "shape {shape} is negative");
    ensure!(shape.count().as_i64().is_none_or(|n| n <= limit), "shape {shape} is too large");
    Ok(shape)
}

fn eye_like(cx: &mut NodeCx<'_, '_>) -> Converted<Vec<Value>> {
    let x = cx.operand(0)?;
    ensure!(cx.rank(x) == 2, "operand {}, expected rank 2", cx.ty(x));
    let k = cx.attributes.int_or("k", 0)?;
    let dtype = match cx.attributes.int("dtype")? {
        Some(number) => cx.dtype_of(number)?,
        None => cx.dtype(x),
    };
    let shape = cx.shape(x);
    let coordinate = |axis| Iota { shape: shape.clone(), axis, dtype: DType::I64 };
    let (row, column) = (cx.op1(coordinate(0), &[])?, cx.op1(coordinate(1), &[])?);
    let diagonal = cx.map_scalar(ops::Add {}, row, k.clamp(-(1 << 40), 1 << 40) as f64)?;
    let is_on = cx.map(ops::Eq {}, &[column, diagonal])?;
    Ok(vec![cx.cast(is_on, dtype)?])
}

/// Numbers from a start by a step up to a limit; all known, or integers from 0 by 1.
fn range(cx: &mut NodeCx<'_, '_>) -> Converted<Vec<Value>> {
    let dtype = {
        let x = cx.operand(0)?;
        cx.dtype(x)
    };
    if dtype.is_float() {
        return float_range(cx, dtype);
    }
    let single = |dims: Vec<Dim>| match dims.as_slice() {
        [single] => Ok(single.clone()),
        _ => Err(Failure::new("a bound is no single number")),
    };
    let (start, limit) = (single(cx.dims_of(0)?)?, single(cx.dims_of(1)?)?);
    let step = cx.int_of(2)?;
    ensure!(step != 0, "the step is 0");
    // ⌈(limit − start) / step⌉, and none where that is negative.
    let span = &limit - &start;
    let toward = if step > 0 { step - 1 } else { step.saturating_add(1) };
    let count = (&span + &Dim::from(toward)).floor_div(&Dim::from(step));
    let count = count.ok_or_else(|| Failure::new("the step is 0"))?;
    let count = count.as_i64().map_or(count, |n| Dim::from(n.max(0)));
    let shape = checked_shape(vec![count])?;
    let positions = cx.op1(Iota { shape: shape.clone(), axis: 0, dtype }, &[])?;
    let step_value = cx.splat(Scalar::from_i64(dtype, step), Shape::default());
    let steps = cx.map(ops::Mul {}, &[positions, step_value])?;
    let start_value = match start.as_i64() {
        Some(start) => cx.splat(Scalar::from_i64(dtype, start), Shape::default()),
        None => cx.operand(0)?,
    };
    let start_value = cx.reshape(start_value, Shape::default())?;
    Ok(vec![cx.map(ops::Add {}, &[steps, start_value])?])
}

fn float_range(cx: &mut NodeCx<'_, '_>, dtype: DType) -> Converted<Vec<Value>> {
    let number = |k| Ok::<f64, Failure>(cx.optional_number(k)?.unwrap_or(f64::NAN));
    let (start, limit, step) = (number(0)?, number(1)?, number(2)?);
    let count = ((limit - start) / step).ceil().max(0.0);
    ensure!(count.is_finite() && count < (1u64 << 40) as f64, "{count} elements");
    let shape = Shape(vec![Dim::from(count as usize)]);
    let positions = cx.op1(Iota { shape, axis: 0, dtype }, &[])?;
    let steps = cx.map_scalar(ops::Mul {}, positions, step)?;
    Ok(vec![cx.map_scalar(ops::Add {}, steps, start)?])
}
