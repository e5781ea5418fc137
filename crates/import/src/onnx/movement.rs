//! Movement: elements in other places, unchanged.

use tracelift_ir::{Broadcast, Iota, Shape, Split, TakeAlongAxis, Trilu, Value, ops};
use tracelift_tensor::{DType, Dim};

use super::{
    failure::{Converted, Failure, ensure},
    node_cx::{NodeCx, resolve_axis},
    registry::{ANY, Row, row},
};

/// The rows of this family.
pub(super) const ROWS: &[Row] = &[
    row("Concat", 1, (1, ANY), concat),
    row("DepthToSpace", 1, (1, 1), depth_to_space),
    row("Identity", 1, (1, 1), identity),
    row("ReverseSequence", 10, (2, 2), reverse_sequence),
    row("SpaceToDepth", 1, (1, 1), space_to_depth),
    row("Split", 1, (1, 2), split).note("sizes known at compile time"),
    row("Tile", 1, (2, 3), tile).note("repeats known at compile time"),
    row("Transpose", 1, (1, 1), transpose),
    row("Trilu", 14, (1, 2), trilu).note("k known at compile time"),
];

fn identity(cx: &mut NodeCx<'_, '_>) -> Converted<Vec<Value>> {
    Ok(vec![cx.operand(0)?])
}

fn concat(cx: &mut NodeCx<'_, '_>) -> Converted<Vec<Value>> {
    let operands = cx.all_operands()?;
    ensure!(cx.opset < 4 || cx.attributes.has("axis"), "attribute 'axis' is missing");
    let axis = cx.axis_attribute(1, cx.rank(operands[0]))?;
    if operands.len() == 1 {
        return Ok(operands);
    }
    Ok(vec![cx.op1(ops::Concat { axis }, &operands)?])
}

fn transpose(cx: &mut NodeCx<'_, '_>) -> Converted<Vec<Value>> {
    let x = cx.operand(0)?;
    let perm = match cx.attributes.sizes("perm", 0)? {
        Some(perm) => perm,
        None => (0..cx.rank(x)).rev().collect(),
    };
    Ok(vec![cx.transpose(x, &perm)?])
}

/// The sizes are an operand from operator set 13 on; without any, the parts are equal, from 18 on
/// with a smaller last one.
fn split(cx: &mut NodeCx<'_, '_>) -> Converted<Vec<Value>> {
    let x = cx.operand(0)?;
    let axis = cx.axis_attribute(0, cx.rank(x))?;
    let given = match cx.opset {
        13.. => cx.optional(1).map(|_| cx.dims_of(1)).transpose()?,
        _ => cx.attributes.ints("split")?.map(|s| s.iter().map(|&d| Dim::from(d)).collect()),
    };
    let asked = cx.attributes.int("num_outputs")?;
    let sizes = match given {
        Some(sizes) => sizes,
        None => {
            let count = asked.unwrap_or(cx.node.output.len() as i64);
            ensure!(count > 0 && count <= cx.node.output.len() as i64, "num_outputs {count}");
            equal_parts(cx.ty(x).dim(axis), count, cx.opset >= 18)?
        }
    };
    cx.op(Split { axis, sizes }, &[x])
}

fn equal_parts(extent: &Dim, count: i64, allows_smaller: bool) -> Converted<Vec<Dim>> {
    let n = Dim::from(count);
    let each = extent.floor_div(&n).ok_or_else(|| Failure::new("no parts"))?;
    if &each * &n == *extent {
        return Ok(vec![each; count as usize]);
    }
    let known = extent.as_i64().filter(|_| allows_smaller);
    let extent =
        known.ok_or_else(|| Failure::new(format!("extent {extent} in {count} equal parts")))?;
    let each = extent / count + 1;
    let last = extent - each * (count - 1);
    ensure!(last >= 0, "extent {extent} in {count} parts of {each}");
    let mut sizes = vec![Dim::from(each); count as usize - 1];
    sizes.push(Dim::from(last));
    Ok(sizes)
}

/// Repeats a tensor along its axes; in operator set 1 along one axis.
fn tile(cx: &mut NodeCx<'_, '_>) -> Converted<Vec<Value>> {
    let x = cx.operand(0)?;
    let shape = cx.shape(x);
    let repeats = match cx.opset {
        6.. => cx.dims_of(1)?,
        _ => {
            let (times, axis) = (cx.dims_of(1)?, resolve_axis(cx.int_of(2)?, shape.rank())?);
            let mut repeats = vec![Dim::from(1); shape.rank()];
            repeats[axis] = times.first().cloned().unwrap_or_default();
            repeats
        }
    };
    ensure!(repeats.len() == shape.rank(), "{} repeats for {}", repeats.len(), cx.ty(x));
    ensure!(
        repeats.iter().all(|r| r.as_i64().is_none_or(|r| (0..1 << 40).contains(&r))),
        "repeats {repeats:?}"
    );
    // Each axis gains one before it, along which it is repeated.
    let interleaved = repeats.iter().zip(shape.iter()).flat_map(|(r, d)| [r.clone(), d.clone()]);
    let wide = super::constant::checked_shape(interleaved.collect())?;
    let axes = (0..shape.rank()).map(|a| 2 * a + 1).collect();
    let tiled: Shape = repeats.iter().zip(shape.iter()).map(|(r, d)| r * d).collect();
    let x = cx.op1(Broadcast { shape: wide, axes }, &[x])?;
    Ok(vec![cx.reshape(x, tiled)?])
}

fn trilu(cx: &mut NodeCx<'_, '_>) -> Converted<Vec<Value>> {
    let x = cx.operand(0)?;
    let upper = cx.attributes.int_or("upper", 1)? != 0;
    let diagonal = if cx.optional(1).is_some() { cx.int_of(1)? } else { 0 };
    // Beyond the extents every diagonal is the same.
    let diagonal = diagonal.clamp(-(1 << 41), 1 << 41);
    Ok(vec![cx.op1(Trilu { upper, diagonal }, &[x])?])
}

/// The extents of `N, C, H, W`, and the block size.
fn blocks(cx: &NodeCx<'_, '_>, x: Value) -> Converted<([Dim; 4], Dim)> {
    let dims: Result<[Dim; 4], _> = cx.shape(x).0.try_into();
    let dims = dims.map_err(|_| Failure::new(format!("operand {}, expected rank 4", cx.ty(x))))?;
    let block = cx.attributes.int_or("blocksize", 0)?;
    ensure!((1..1 << 20).contains(&block), "blocksize {block}");
    Ok((dims, Dim::from(block)))
}

fn exact(dim: &Dim, by: &Dim) -> Converted<Dim> {
    let quotient = dim.floor_div(by).filter(|q| q * by == *dim);
    quotient.ok_or_else(|| Failure::new(format!("extent {dim} does not divide by {by}")))
}

fn depth_to_space(cx: &mut NodeCx<'_, '_>) -> Converted<Vec<Value>> {
    let x = cx.operand(0)?;
    let ([n, c, h, w], b) = blocks(cx, x)?;
    let depth = exact(&c, &(&b * &b))?;
    let mode = cx.attributes.text_or("mode", "DCR")?;
    let (split, perm) = match mode.as_str() {
        "DCR" => (
            [n.clone(), b.clone(), b.clone(), depth.clone(), h.clone(), w.clone()],
            [0, 3, 4, 1, 5, 2],
        ),
        "CRD" => (
            [n.clone(), depth.clone(), b.clone(), b.clone(), h.clone(), w.clone()],
            [0, 1, 4, 2, 5, 3],
        ),
        other => {
            return Err(
                format!("mode '{}', expected DCR or CRD", crate::error::Shown(other)).into()
            );
        }
    };
    let x = cx.reshape(x, Shape(split.to_vec()))?;
    let x = cx.transpose(x, &perm)?;
    Ok(vec![cx.reshape(x, Shape(vec![n, depth, &h * &b, &w * &b]))?])
}

fn space_to_depth(cx: &mut NodeCx<'_, '_>) -> Converted<Vec<Value>> {
    let x = cx.operand(0)?;
    let ([n, c, h, w], b) = blocks(cx, x)?;
    let (h, w) = (exact(&h, &b)?, exact(&w, &b)?);
    let split = vec![n.clone(), c.clone(), h.clone(), b.clone(), w.clone(), b.clone()];
    let x = cx.reshape(x, Shape(split))?;
    let x = cx.transpose(x, &[0, 3, 5, 1, 2, 4])?;
    Ok(vec![cx.reshape(x, Shape(vec![n, &(&c * &b) * &b, h, w]))?])
}

/// Reverses the first elements along the time axis, as many as a length per batch says.
fn reverse_sequence(cx: &mut NodeCx<'_, '_>) -> Converted<Vec<Value>> {
    let (x, lengths) = (cx.operand(0)?, cx.operand(1)?);
    let (shape, rank) = (cx.shape(x), cx.rank(x));
    let batch = resolve_axis(cx.attributes.int_or("batch_axis", 1)?, rank)?;
    let time = resolve_axis(cx.attributes.int_or("time_axis", 0)?, rank)?;
    ensure!(batch != time, "batch_axis and time_axis are both {time}");
    let lengths = cx.op1(Broadcast { shape: shape.clone(), axes: vec![batch] }, &[lengths])?;
    let at = cx.op1(Iota { shape, axis: time, dtype: DType::I64 }, &[])?;
    let is_inside = cx.map(ops::Lt {}, &[at, lengths])?;
    let last = cx.map_scalar(ops::Sub {}, lengths, 1.0)?;
    let mirrored = cx.map(ops::Sub {}, &[last, at])?;
    let from = cx.map(ops::Select {}, &[is_inside, mirrored, at])?;
    Ok(vec![cx.op1(TakeAlongAxis { axis: time }, &[x, from])?])
}
