//! Slices and pads.

use tracelift_ir::{Literal, Pad, Slice, Take, Value, ops};
use tracelift_tensor::{DType, Dim, Scalar, floor_div};

use super::{
    failure::{Converted, Failure, ensure},
    node_cx::{NodeCx, resolve_axis},
    registry::{Row, row},
};

/// The rows of this family.
pub(super) const ROWS: &[Row] = &[
    row("CenterCropPad", 18, (2, 2), center_crop_pad).note("shape known at compile time"),
    row("Pad", 1, (1, 4), pad).note("pads known at compile time"),
    row("Slice", 1, (1, 5), slice).note("bounds known at compile time"),
];

/// The largest step that matters: extents are smaller.
const MAX_STEP: i64 = 1 << 41;

/// The axes that entries of a list are about: all, or those named.
fn named_axes(names: Option<&[i64]>, count: usize, rank: usize) -> Converted<Vec<usize>> {
    let axes: Vec<usize> = match names {
        Some(names) => names.iter().map(|&a| resolve_axis(a, rank)).collect::<Converted<_>>()?,
        None => (0..count).collect(),
    };
    ensure!(axes.len() == count, "{count} entries for {} axes", axes.len());
    let distinct = axes.iter().enumerate().all(|(k, a)| !axes[..k].contains(a) && *a < rank);
    ensure!(distinct, "axes {axes:?} of rank {rank}");
    Ok(axes)
}

/// Bounds are attributes before operator set 10, then operands.
fn slice(cx: &mut NodeCx<'_, '_>) -> Converted<Vec<Value>> {
    let x = cx.operand(0)?;
    let (shape, rank) = (cx.shape(x), cx.rank(x));
    let (starts, ends, axes, steps) = match cx.opset {
        10.. => (cx.dims_of(1)?, cx.dims_of(2)?, cx.optional_ints(3)?, cx.optional_ints(4)?),
        _ => {
            let list = |name| -> Converted<Vec<Dim>> {
                let ints = cx.attributes.ints(name)?.unwrap_or(&[]);
                Ok(ints.iter().map(|&i| Dim::from(i)).collect())
            };
            let axes = cx.attributes.ints("axes")?.map(<[i64]>::to_vec);
            (list("starts")?, list("ends")?, axes, None)
        }
    };
    let axes = named_axes(axes.as_deref(), starts.len(), rank)?;
    let steps = steps.unwrap_or_else(|| vec![1; axes.len()]);
    ensure!(
        ends.len() == axes.len() && steps.len() == axes.len(),
        "{} starts, {} ends, {} steps",
        starts.len(),
        ends.len(),
        steps.len()
    );
    let mut op =
        Slice { starts: vec![Dim::from(0); rank], limits: shape.0.clone(), strides: vec![1; rank] };
    for (k, &axis) in axes.iter().enumerate() {
        ensure!(steps[k] != 0, "step 0 along axis {axis}");
        let (start, limit) = bounds(&starts[k], &ends[k], steps[k], &shape[axis]);
        op.starts[axis] = start;
        op.limits[axis] = limit;
        op.strides[axis] = steps[k].clamp(-MAX_STEP, MAX_STEP);
    }
    Ok(vec![cx.op1(op, &[x])?])
}

/// Exact bounds of the elements that a start, an end and a step mean, as NumPy reads them.
///
/// Bounds that cannot be compared with a symbolic extent stay as they are; binding the symbol
/// checks them.
fn bounds(start: &Dim, end: &Dim, step: i64, extent: &Dim) -> (Dim, Dim) {
    let (lowest, highest) = match step > 0 {
        true => (Dim::from(0), extent.clone()),
        false => (Dim::from(-1), extent - &Dim::from(1)),
    };
    let inside = |bound: &Dim| {
        let from_end = bound.as_i64().is_some_and(|b| b < 0);
        let bound = if from_end { bound + extent } else { bound.clone() };
        // Ends far beyond every extent mean the end.
        if bound.as_i64().is_some_and(|b| b >= i64::from(i32::MAX)) {
            return highest.clone();
        }
        larger(smaller(bound, &highest), &lowest)
    };
    let (start, limit) = (inside(start), inside(end));
    match step > 0 {
        true => (start.clone(), larger(limit, &start)),
        false => (start.clone(), smaller(limit, &start)),
    }
}

/// The smaller of two expressions, the first where that cannot be said.
fn smaller(a: Dim, b: &Dim) -> Dim {
    if (&a - b).has_no_negative_term() { b.clone() } else { a }
}

/// The larger of two expressions, the first where that cannot be said.
fn larger(a: Dim, b: &Dim) -> Dim {
    if (b - &a).has_no_negative_term() { b.clone() } else { a }
}

/// How a padded element is chosen.
enum PadMode {
    Constant,
    Edge,
    Reflect,
    Wrap,
}

fn pad_mode(cx: &NodeCx<'_, '_>) -> Converted<PadMode> {
    match cx.attributes.text_or("mode", "constant")?.as_str() {
        "constant" => Ok(PadMode::Constant),
        "edge" => Ok(PadMode::Edge),
        "reflect" => Ok(PadMode::Reflect),
        "wrap" => Ok(PadMode::Wrap),
        other => Err(Failure::new(format!("mode '{}'", crate::error::Shown(other)))
            .with_hint("supported: constant, edge, reflect, wrap")),
    }
}

/// Pads are attributes before operator set 11, then operands.
fn pad(cx: &mut NodeCx<'_, '_>) -> Converted<Vec<Value>> {
    let x = cx.operand(0)?;
    let rank = cx.rank(x);
    let (pads, axes) = match cx.opset {
        11.. => (cx.ints_of(1)?, cx.optional_ints(3)?),
        _ => {
            let name = if cx.opset == 1 { "paddings" } else { "pads" };
            (cx.attributes.ints(name)?.unwrap_or(&[]).to_vec(), None)
        }
    };
    ensure!(pads.len() % 2 == 0, "{} pads", pads.len());
    let count = pads.len() / 2;
    let axes = named_axes(axes.as_deref(), count, rank)?;
    let limit = 1i64 << 40;
    ensure!(pads.iter().all(|p| (-limit..=limit).contains(p)), "pads {pads:?}");
    let (mut low, mut high) = (vec![0; rank], vec![0; rank]);
    for (k, &axis) in axes.iter().enumerate() {
        (low[axis], high[axis]) = (pads[k], pads[count + k]);
    }
    match pad_mode(cx)? {
        PadMode::Constant => pad_constant(cx, x, low, high),
        mode => {
            cx.attributes.ignore(&["value"]);
            pad_by_index(cx, x, &low, &high, &mode)
        }
    }
}

fn pad_constant(
    cx: &mut NodeCx<'_, '_>,
    x: Value,
    low: Vec<i64>,
    high: Vec<i64>,
) -> Converted<Vec<Value>> {
    let pad = |value| Pad { low: low.clone(), high: high.clone(), interior: Vec::new(), value };
    if cx.opset < 11 {
        let value = cx.attributes.float_or("value", 0.0)?;
        return Ok(vec![cx.op1(pad(Literal::Real(value.into())), &[x])?]);
    }
    let value = cx.optional(2);
    match value.map(|v| cx.splat_of(v)) {
        None => Ok(vec![cx.op1(pad(Literal::Int(0)), &[x])?]),
        Some(Some(scalar)) => Ok(vec![cx.op1(pad(scalar.into()), &[x])?]),
        // A value that is computed is put where a padded mask is false.
        Some(None) => {
            let (shape, value) = (cx.shape(x), cx.operand(2)?);
            let inside = cx.splat(Scalar::one(DType::Bool), shape);
            let inside = cx.op1(pad(Literal::Int(0)), &[inside])?;
            let padded = cx.op1(pad(Literal::Int(0)), &[x])?;
            let value = cx.reshape(value, tracelift_ir::Shape::default())?;
            Ok(vec![cx.map(ops::Select {}, &[inside, padded, value])?])
        }
    }
}

/// Takes, along each padded axis, the positions that the mode means.
fn pad_by_index(
    cx: &mut NodeCx<'_, '_>,
    x: Value,
    low: &[i64],
    high: &[i64],
    mode: &PadMode,
) -> Converted<Vec<Value>> {
    const MAX_EXTENT: i64 = 1 << 24;
    let mut out = x;
    for axis in 0..low.len() {
        if (low[axis], high[axis]) == (0, 0) {
            continue;
        }
        let dim = cx.ty(x).dim(axis).clone();
        let extent = dim.as_i64().ok_or_else(|| Failure::new(format!("unknown extent {dim}")))?;
        ensure!(extent > 0, "axis {axis} is empty");
        let wide = extent + low[axis] + high[axis];
        ensure!((0..=MAX_EXTENT).contains(&wide), "axis {axis} of extent {wide}");
        let positions: Vec<i64> =
            (0..wide).map(|k| position(k - low[axis], extent, mode)).collect();
        let positions = cx.ints(&positions);
        out = cx.op1(Take { axis }, &[out, positions])?;
    }
    Ok(vec![out])
}

/// The position inside an axis that stands for one which may lie outside.
fn position(at: i64, extent: i64, mode: &PadMode) -> i64 {
    let modulo = |a: i64, n: i64| a - floor_div(a, n) * n;
    match mode {
        PadMode::Constant => at,
        PadMode::Edge => at.clamp(0, extent - 1),
        PadMode::Wrap => modulo(at, extent),
        PadMode::Reflect if extent == 1 => 0,
        PadMode::Reflect => {
            let folded = modulo(at, 2 * (extent - 1));
            folded.min(2 * (extent - 1) - folded)
        }
    }
}

/// Crops or pads with zeros around the middle to a shape.
fn center_crop_pad(cx: &mut NodeCx<'_, '_>) -> Converted<Vec<Value>> {
    let x = cx.operand(0)?;
    let (extents, wanted) = (cx.extents(x)?, cx.ints_of(1)?);
    let rank = extents.len();
    let axes = named_axes(cx.attributes.ints("axes")?, wanted.len(), rank)?;
    let (mut low, mut high) = (vec![0; rank], vec![0; rank]);
    for (&axis, &wanted) in axes.iter().zip(&wanted) {
        ensure!((0..1 << 40).contains(&wanted), "extent {wanted}");
        let missing = wanted - extents[axis] as i64;
        // Of an odd number of points, the larger half goes to the end in either direction.
        low[axis] = missing / 2;
        high[axis] = missing - missing / 2;
    }
    Ok(vec![cx.op1(Pad { low, high, interior: Vec::new(), value: Literal::Int(0) }, &[x])?])
}
