//! Reductions, running folds and searches.

use tracelift_ir::{
    ArgReduce, Cumulative, Extreme, LogSumExp, Mean, ReduceKind, Shape, TopK, Value, ops,
};
use tracelift_tensor::Dim;

use super::{
    failure::{Converted, Failure, ensure},
    node_cx::{NodeCx, resolve_axes, resolve_axis},
    registry::{Row, row},
};

/// The rows of this family.
pub(super) const ROWS: &[Row] = &[
    row("ArgMax", 1, (1, 1), |cx| arg_reduce(cx, Extreme::Max)),
    row("ArgMin", 1, (1, 1), |cx| arg_reduce(cx, Extreme::Min)),
    row("CumProd", 26, (2, 2), |cx| cumulative(cx, ReduceKind::Product)),
    row("CumSum", 11, (2, 2), |cx| cumulative(cx, ReduceKind::Sum)),
    row("ReduceL1", 1, (1, 2), |cx| {
        reduce(cx, 18, |cx, x, axes| {
            let size = cx.map(ops::Abs {}, &[x])?;
            cx.reduce(ReduceKind::Sum, size, axes)
        })
    }),
    row("ReduceL2", 1, (1, 2), |cx| {
        reduce(cx, 18, |cx, x, axes| {
            let sum = sum_of_squares(cx, x, axes)?;
            cx.map(ops::Sqrt {}, &[sum])
        })
    }),
    row("ReduceLogSum", 1, (1, 2), |cx| {
        reduce(cx, 18, |cx, x, axes| {
            let sum = cx.reduce(ReduceKind::Sum, x, axes)?;
            cx.map(ops::Log {}, &[sum])
        })
    }),
    row("ReduceLogSumExp", 1, (1, 2), |cx| {
        reduce(cx, 18, |cx, x, axes| cx.op1(LogSumExp { axes: axes.to_vec() }, &[x]))
    }),
    row("ReduceMax", 1, (1, 2), |cx| {
        reduce(cx, 18, |cx, x, axes| cx.reduce(ReduceKind::Max, x, axes))
    }),
    row("ReduceMean", 1, (1, 2), |cx| {
        reduce(cx, 18, |cx, x, axes| cx.op1(Mean { axes: axes.to_vec() }, &[x]))
    }),
    row("ReduceMin", 1, (1, 2), |cx| {
        reduce(cx, 18, |cx, x, axes| cx.reduce(ReduceKind::Min, x, axes))
    }),
    row("ReduceProd", 1, (1, 2), |cx| {
        reduce(cx, 18, |cx, x, axes| cx.reduce(ReduceKind::Product, x, axes))
    }),
    row("ReduceSum", 1, (1, 2), |cx| {
        reduce(cx, 13, |cx, x, axes| cx.reduce(ReduceKind::Sum, x, axes))
    }),
    row("ReduceSumSquare", 1, (1, 2), |cx| reduce(cx, 18, sum_of_squares)),
    row("TopK", 1, (1, 2), top_k).note("k known at compile time"),
];

fn sum_of_squares(cx: &mut NodeCx<'_, '_>, x: Value, axes: &[usize]) -> Converted<Value> {
    let squares = cx.map(ops::Mul {}, &[x, x])?;
    cx.reduce(ReduceKind::Sum, squares, axes)
}

/// Applies a reduction over the axes that the node names: an attribute before the operator set
/// `operand_since`, then an operand.
fn reduce(
    cx: &mut NodeCx<'_, '_>,
    operand_since: i64,
    fold: impl Fn(&mut NodeCx<'_, '_>, Value, &[usize]) -> Converted<Value>,
) -> Converted<Vec<Value>> {
    let x = cx.operand(0)?;
    let (shape, rank) = (cx.shape(x), cx.rank(x));
    let (mut keeps_none_whole, mut axes) = (false, None);
    if cx.opset >= operand_since {
        keeps_none_whole = cx.attributes.flag("noop_with_empty_axes")?;
        axes = cx.optional_ints(1)?;
    } else {
        ensure!(cx.optional(1).is_none(), "found 2 operands, expected 1");
        axes = cx.attributes.ints("axes")?.map(<[i64]>::to_vec).or(axes);
    }
    let keeps = cx.attributes.int_or("keepdims", 1)? != 0;
    let axes = match axes {
        Some(axes) if !axes.is_empty() => resolve_axes(&axes, rank)?,
        _ if keeps_none_whole => Vec::new(),
        _ => (0..rank).collect(),
    };
    let out = fold(cx, x, &axes)?;
    if !keeps {
        return Ok(vec![out]);
    }
    Ok(vec![cx.reshape(out, with_ones(shape, &axes))?])
}

/// A shape whose reduced axes have extent 1.
fn with_ones(mut shape: Shape, axes: &[usize]) -> Shape {
    axes.iter().for_each(|&a| shape.0[a] = Dim::from(1));
    shape
}

fn arg_reduce(cx: &mut NodeCx<'_, '_>, kind: Extreme) -> Converted<Vec<Value>> {
    let x = cx.operand(0)?;
    let axis = cx.axis_attribute(0, cx.rank(x))?;
    let select_last = cx.attributes.flag("select_last_index")?;
    let keeps = cx.attributes.int_or("keepdims", 1)? != 0;
    let shape = cx.shape(x);
    let out = cx.op1(ArgReduce { kind, axis, select_last }, &[x])?;
    if !keeps {
        return Ok(vec![out]);
    }
    Ok(vec![cx.reshape(out, with_ones(shape, &[axis]))?])
}

fn cumulative(cx: &mut NodeCx<'_, '_>, kind: ReduceKind) -> Converted<Vec<Value>> {
    let x = cx.operand(0)?;
    let axis = resolve_axis(cx.int_of(1)?, cx.rank(x))?;
    let (exclusive, reverse) = (cx.attributes.flag("exclusive")?, cx.attributes.flag("reverse")?);
    Ok(vec![cx.op1(Cumulative { kind, axis, exclusive, reverse }, &[x])?])
}

/// `k` is an attribute before operator set 10.
fn top_k(cx: &mut NodeCx<'_, '_>) -> Converted<Vec<Value>> {
    let x = cx.operand(0)?;
    let k = match cx.opset {
        10.. => cx.int_of(1)?,
        _ => cx.attributes.int_or("k", -1)?,
    };
    let k = usize::try_from(k).map_err(|_| Failure::new(format!("k is {k}")))?;
    // Any order will do where none is asked for, so sorted results serve as well.
    cx.attributes.ignore(&["sorted"]);
    let largest = cx.attributes.int_or("largest", 1)? != 0;
    let axis = cx.axis_attribute(-1, cx.rank(x))?;
    cx.op(TopK { k, axis, largest }, &[x])
}
