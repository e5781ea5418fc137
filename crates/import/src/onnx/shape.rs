//! Shapes: reading them, and giving the elements others.

use tracelift_ir::{Shape, Value, broadcast_shapes};
use tracelift_tensor::Dim;

use super::{
    activation::flattened,
    constant::checked_shape,
    failure::{Converted, Failure, ensure},
    node_cx::{NodeCx, resolve_axes},
    registry::{Row, row},
};

/// The rows of this family.
pub(super) const ROWS: &[Row] = &[
    row("Expand", 8, (2, 2), expand).note("shape known at compile time"),
    row("Flatten", 1, (1, 1), flatten),
    row("Reshape", 1, (1, 2), reshape).note("shape known at compile time"),
    row("Shape", 1, (1, 1), shape),
    row("Size", 1, (1, 1), size),
    row("Squeeze", 1, (1, 2), squeeze),
    row("Unsqueeze", 1, (1, 2), unsqueeze),
];

/// The extents from `start` to `end`; bounds outside are moved inside.
fn shape(cx: &mut NodeCx<'_, '_>) -> Converted<Vec<Value>> {
    let x = cx.operand(0)?;
    let dims = cx.shape(x).0;
    let rank = dims.len() as i64;
    let bound =
        |at: i64| (if at < 0 { at.saturating_add(rank) } else { at }).clamp(0, rank) as usize;
    let start = bound(cx.attributes.int_or("start", 0)?);
    let end = bound(cx.attributes.int_or("end", rank)?).max(start);
    Ok(vec![cx.dims(&dims[start..end])?])
}

fn size(cx: &mut NodeCx<'_, '_>) -> Converted<Vec<Value>> {
    let x = cx.operand(0)?;
    let count = cx.shape(x).count();
    let vector = cx.dims(&[count])?;
    Ok(vec![cx.reshape(vector, Shape::default())?])
}

fn flatten(cx: &mut NodeCx<'_, '_>) -> Converted<Vec<Value>> {
    let x = cx.operand(0)?;
    let (rank, axis) = (cx.rank(x), cx.attributes.int_or("axis", 1)?);
    // The axis may be the rank: everything is rows then.
    let axis = if axis == rank as i64 { rank } else { cx.axis(axis, rank)? };
    let shape = flattened(&cx.shape(x), axis);
    Ok(vec![cx.reshape(x, shape)?])
}

/// Another shape: 0 keeps an extent (unless `allowzero`), −1 is what is left.
fn reshape(cx: &mut NodeCx<'_, '_>) -> Converted<Vec<Value>> {
    let x = cx.operand(0)?;
    cx.attributes.ignore(&["consumed_inputs"]);
    let asked: Vec<Dim> = match cx.opset {
        5.. => cx.dims_of(1)?,
        _ => cx.attributes.ints("shape")?.unwrap_or(&[]).iter().map(|&d| Dim::from(d)).collect(),
    };
    let (from, allows_zero) = (cx.shape(x), cx.attributes.flag("allowzero")?);
    let shape = resolve_shape(&from, asked, allows_zero)?;
    Ok(vec![cx.reshape(x, shape)?])
}

fn resolve_shape(from: &Shape, asked: Vec<Dim>, allows_zero: bool) -> Converted<Shape> {
    let mut dims = asked;
    for (k, dim) in dims.iter_mut().enumerate() {
        if *dim == 0 && !allows_zero {
            let kept = from.0.get(k).cloned();
            *dim = kept.ok_or_else(|| Failure::new(format!("0 at axis {k} of shape {from}")))?;
        }
    }
    let free: Vec<usize> = (0..dims.len()).filter(|&k| dims[k].as_i64() == Some(-1)).collect();
    ensure!(free.len() <= 1, "-1 occurs {} times", free.len());
    if let Some(&k) = free.first() {
        let others: Dim =
            dims.iter().enumerate().filter(|(j, _)| *j != k).map(|(_, d)| d.clone()).product();
        let rest = from.count().floor_div(&others);
        dims[k] = rest.ok_or_else(|| Failure::new("-1 beside an extent of 0"))?;
    }
    checked_shape(dims)
}

/// Repeats to the common shape of the operand and the one asked for.
fn expand(cx: &mut NodeCx<'_, '_>) -> Converted<Vec<Value>> {
    let x = cx.operand(0)?;
    let asked = checked_shape(cx.dims_of(1)?)?;
    let shape = broadcast_shapes(&[cx.shape(x), asked])?;
    Ok(vec![cx.broadcast(x, &shape)?])
}

/// The axes of `Squeeze` and `Unsqueeze`: an attribute before operator set 13, then an operand.
fn axes(cx: &NodeCx<'_, '_>) -> Converted<Option<Vec<i64>>> {
    match cx.opset {
        13.. => cx.optional_ints(1),
        _ => Ok(cx.attributes.ints("axes")?.map(<[i64]>::to_vec)),
    }
}

fn squeeze(cx: &mut NodeCx<'_, '_>) -> Converted<Vec<Value>> {
    let x = cx.operand(0)?;
    let shape = cx.shape(x);
    let axes = match axes(cx)? {
        Some(axes) => resolve_axes(&axes, shape.rank())?,
        None => {
            cx.extents(x)?;
            (0..shape.rank()).filter(|&a| shape[a] == 1).collect()
        }
    };
    for &axis in &axes {
        ensure!(
            shape[axis].as_i64().is_none_or(|d| d == 1),
            "axis {axis} of {shape} has other than extent 1"
        );
    }
    let kept = (0..shape.rank()).filter(|a| !axes.contains(a)).map(|a| shape[a].clone());
    Ok(vec![cx.reshape(x, kept.collect::<Shape>())?])
}

fn unsqueeze(cx: &mut NodeCx<'_, '_>) -> Converted<Vec<Value>> {
    let x = cx.operand(0)?;
    let axes = axes(cx)?.ok_or_else(|| Failure::new("the axes are missing"))?;
    let rank = cx.rank(x) + axes.len();
    ensure!(rank <= tracelift_tensor::MAX_RANK, "rank {rank} is too large");
    let axes = resolve_axes(&axes, rank)?;
    let mut dims = cx.shape(x).0;
    // Ascending axes are positions in the result, so each is put in place in turn.
    axes.iter().for_each(|&axis| dims.insert(axis, Dim::from(1)));
    Ok(vec![cx.reshape(x, Shape(dims))?])
}
