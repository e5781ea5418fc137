//! Gathers and scatters.

use tracelift_ir::{
    Broadcast, GatherNd, Iota, OneHot, ScatterAlongAxis, ScatterMode, ScatterNd, Shape, Take,
    TakeAlongAxis, Value, ops,
};
use tracelift_tensor::DType;

use super::{
    failure::{Converted, Failure, ensure},
    node_cx::{NodeCx, resolve_axis},
    registry::{Row, row},
};

/// The rows of this family.
pub(super) const ROWS: &[Row] = &[
    row("Gather", 1, (2, 2), gather),
    row("GatherElements", 11, (2, 2), gather_elements),
    row("GatherND", 11, (2, 2), gather_nd),
    row("OneHot", 9, (3, 3), one_hot).note("depth known at compile time"),
    row("Scatter", 9, (3, 3), scatter_elements).until(10),
    row("ScatterElements", 11, (3, 3), scatter_elements),
    row("ScatterND", 11, (3, 3), scatter_nd),
    row("TensorScatter", 24, (2, 3), tensor_scatter),
];

fn gather(cx: &mut NodeCx<'_, '_>) -> Converted<Vec<Value>> {
    let (x, at) = (cx.operand(0)?, cx.operand(1)?);
    let axis = cx.axis_attribute(0, cx.rank(x))?;
    Ok(vec![cx.op1(Take { axis }, &[x, at])?])
}

fn gather_elements(cx: &mut NodeCx<'_, '_>) -> Converted<Vec<Value>> {
    let (x, at) = (cx.operand(0)?, cx.operand(1)?);
    let axis = cx.axis_attribute(0, cx.rank(x))?;
    Ok(vec![cx.op1(TakeAlongAxis { axis }, &[x, at])?])
}

fn gather_nd(cx: &mut NodeCx<'_, '_>) -> Converted<Vec<Value>> {
    let (x, at) = (cx.operand(0)?, cx.operand(1)?);
    let batch_axes = cx.attributes.int_or("batch_dims", 0)?;
    let batch_axes = usize::try_from(batch_axes).ok().filter(|&b| b < cx.rank(x));
    let batch_axes = batch_axes.ok_or_else(|| Failure::new("batch_dims lies outside the rank"))?;
    Ok(vec![cx.op1(GatherNd { batch_axes }, &[x, at])?])
}

/// Chooses between two values, `off` and `on`, where the index is.
fn one_hot(cx: &mut NodeCx<'_, '_>) -> Converted<Vec<Value>> {
    let (at, values) = (cx.operand(0)?, cx.operand(2)?);
    let depth = match cx.known(cx.operand(1)?) {
        Some(dims) if dims.len() == 1 => dims[0].clone(),
        Some(_) => return Err(Failure::new("depth is no single number")),
        None => {
            let depth = cx.optional_number(1)?.unwrap_or(-1.0);
            ensure!((0.0..1e12).contains(&depth), "depth {depth}");
            (depth as usize).into()
        }
    };
    let axis = cx.axis_attribute(-1, cx.rank(at) + 1)?;
    let at = cx.cast(at, DType::I64)?;
    let is_on = cx.op1(OneHot { depth, axis, dtype: DType::Bool }, &[at])?;
    ensure!(cx.ty(values).shape == Shape::from([2]), "values {}, expected two", cx.ty(values));
    let [off, on] = [0, 1].map(|k| {
        let slice =
            ops::Slice { starts: vec![k.into()], limits: vec![(k + 1).into()], strides: vec![1] };
        let element = cx.op1(slice, &[values])?;
        cx.reshape(element, Shape::default())
    });
    let (off, on) = (off?, on?);
    Ok(vec![cx.map(ops::Select {}, &[is_on, on, off])?])
}

fn mode(cx: &NodeCx<'_, '_>) -> Converted<ScatterMode> {
    match cx.attributes.text_or("reduction", "none")?.as_str() {
        "none" => Ok(ScatterMode::Replace),
        "add" => Ok(ScatterMode::Add),
        "mul" => Ok(ScatterMode::Mul),
        "max" => Ok(ScatterMode::Max),
        "min" => Ok(ScatterMode::Min),
        other => Err(Failure::new(format!("reduction '{}'", crate::error::Shown(other)))
            .with_hint("supported: none, add, mul, max, min")),
    }
}

fn scatter_elements(cx: &mut NodeCx<'_, '_>) -> Converted<Vec<Value>> {
    let operands = cx.all_operands()?;
    let axis = cx.axis_attribute(0, cx.rank(operands[0]))?;
    let mode = mode(cx)?;
    Ok(vec![cx.op1(ScatterAlongAxis { axis, mode }, &operands)?])
}

fn scatter_nd(cx: &mut NodeCx<'_, '_>) -> Converted<Vec<Value>> {
    let (operands, mode) = (cx.all_operands()?, mode(cx)?);
    Ok(vec![cx.op1(ScatterNd { mode }, &operands)?])
}

/// Writes an update along an axis of a cache, from a position per batch.
fn tensor_scatter(cx: &mut NodeCx<'_, '_>) -> Converted<Vec<Value>> {
    let (past, update) = (cx.operand(0)?, cx.operand(1)?);
    let (rank, shape) = (cx.rank(past), cx.shape(update));
    ensure!(rank == shape.rank(), "operands {} and {}", cx.ty(past), cx.ty(update));
    let axis = resolve_axis(cx.attributes.int_or("axis", -2)?, rank)?;
    let mut at = cx.op1(Iota { shape: shape.clone(), axis, dtype: DType::I64 }, &[])?;
    if let Some(first) = cx.optional(2) {
        let first = cx.op1(Broadcast { shape, axes: vec![0] }, &[first])?;
        at = cx.map(ops::Add {}, &[at, first])?;
    }
    match cx.attributes.text_or("mode", "linear")?.as_str() {
        "linear" => {}
        "circular" => {
            let extent = cx.count_of(past, &[axis])?;
            let extent = cx.cast(extent, DType::I64)?;
            at = cx.map(ops::Rem {}, &[at, extent])?;
        }
        other => return Err(format!("mode '{}'", crate::error::Shown(other)).into()),
    }
    let scatter = ScatterAlongAxis { axis, mode: ScatterMode::Replace };
    Ok(vec![cx.op1(scatter, &[past, at, update])?])
}
