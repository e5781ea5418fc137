//! Normalisations.

use tracelift_ir::{
    BatchNorm, Broadcast, GroupNorm, InstanceNorm, LayerNorm, Literal, ReduceKind, RmsNorm, Shape,
    Value, Windows, ops,
};
use tracelift_tensor::Dim;

use super::{
    failure::{Converted, ensure},
    node_cx::{NodeCx, resolve_axes},
    registry::{Row, row},
};

/// The rows of this family.
pub(super) const ROWS: &[Row] = &[
    row("BatchNormalization", 1, (5, 5), batch)
        .note("one scale per channel; before operator set 14 inference only"),
    row("GroupNormalization", 18, (3, 3), group),
    row("InstanceNormalization", 1, (3, 3), instance),
    row("LRN", 1, (1, 1), local_response),
    row("LayerNormalization", 17, (2, 3), layer),
    row("LpNormalization", 1, (1, 1), lp),
    row("MeanVarianceNormalization", 9, (1, 1), mean_variance),
    row("RMSNormalization", 23, (2, 2), root_mean_square),
];

fn epsilon(cx: &NodeCx<'_, '_>) -> Converted<Literal> {
    Ok(Literal::Real(cx.attributes.float_or("epsilon", 1e-5)?.into()))
}

/// Mean and variance over axes, which keep extent 1.
fn moments(cx: &mut NodeCx<'_, '_>, x: Value, axes: &[usize]) -> Converted<(Value, Value)> {
    let mean = cx.mean_keep(x, axes)?;
    let centred = cx.map(ops::Sub {}, &[x, mean])?;
    let squares = cx.map(ops::Mul {}, &[centred, centred])?;
    Ok((mean, cx.mean_keep(squares, axes)?))
}

/// `1 / √(variance + epsilon)`.
fn inverse_deviation(
    cx: &mut NodeCx<'_, '_>,
    variance: Value,
    epsilon: Literal,
) -> Converted<Value> {
    let shifted = cx.map_scalar(ops::Add {}, variance, epsilon.to_f64())?;
    cx.map(ops::Rsqrt {}, &[shifted])
}

fn batch(cx: &mut NodeCx<'_, '_>) -> Converted<Vec<Value>> {
    let operands = cx.all_operands()?;
    let (attributes, epsilon) = (cx.attributes, epsilon(cx)?);
    attributes.ignore(&["consumed_inputs"]);
    let momentum = attributes.float_or("momentum", 0.9)?;
    ensure!(cx.opset >= 9 || attributes.int_or("spatial", 1)? == 1, "spatial 0 is not supported");
    // A node without the flag but with one result is what exporters wrote for inference.
    let is_test = cx.opset >= 7 || attributes.flag("is_test")? || !cx.wants(1);
    ensure!(is_test, "training before operator set 14 is not supported");
    if cx.opset >= 14 && attributes.flag("training_mode")? {
        return batch_training(cx, &operands, epsilon, momentum.into());
    }
    ensure!(cx.rank(operands[0]) >= 2, "operand {}, expected rank 2 or more", cx.ty(operands[0]));
    Ok(vec![cx.op1(BatchNorm { axis: 1, epsilon }, &operands)?])
}

/// Normalises by the batch's own statistics and moves the running ones towards them.
fn batch_training(
    cx: &mut NodeCx<'_, '_>,
    operands: &[Value],
    epsilon: Literal,
    momentum: f64,
) -> Converted<Vec<Value>> {
    let [x, scale, bias, old_mean, old_variance] = *operands else {
        return Err("found other than 5 operands".to_string().into());
    };
    let (rank, channels) = (cx.rank(x), cx.shape(scale));
    ensure!(rank >= 2, "operand {}, expected rank 2 or more", cx.ty(x));
    let axes: Vec<usize> = (0..rank).filter(|&a| a != 1).collect();
    let (mean, variance) = moments(cx, x, &axes)?;
    let (mean, variance) = (cx.reshape(mean, channels.clone())?, cx.reshape(variance, channels)?);
    let out = cx.op1(BatchNorm { axis: 1, epsilon }, &[x, scale, bias, mean, variance])?;
    let mut results = vec![out];
    for (old, new) in [(old_mean, mean), (old_variance, variance)] {
        let old = cx.map_scalar(ops::Mul {}, old, momentum)?;
        let new = cx.map_scalar(ops::Mul {}, new, 1.0 - momentum)?;
        results.push(cx.map(ops::Add {}, &[old, new])?);
    }
    Ok(results)
}

fn layer(cx: &mut NodeCx<'_, '_>) -> Converted<Vec<Value>> {
    let (x, scale, epsilon) = (cx.operand(0)?, cx.operand(1)?, epsilon(cx)?);
    let axis = cx.axis_attribute(-1, cx.rank(x))?;
    let stash = cx.attributes.int_or("stash_type", 1)?;
    ensure!(stash == 1, "stash_type {stash} is not supported");
    let operands: Vec<Value> =
        [Some(x), Some(scale), cx.optional(2)].into_iter().flatten().collect();
    let mut results = vec![cx.op1(LayerNorm { axis, epsilon }, &operands)?];
    if cx.wants(1) || cx.wants(2) {
        let axes: Vec<usize> = (axis..cx.rank(x)).collect();
        let (mean, variance) = moments(cx, x, &axes)?;
        results.extend([mean, inverse_deviation(cx, variance, epsilon)?]);
    }
    Ok(results)
}

fn root_mean_square(cx: &mut NodeCx<'_, '_>) -> Converted<Vec<Value>> {
    let (x, scale, epsilon) = (cx.operand(0)?, cx.operand(1)?, epsilon(cx)?);
    let axis = cx.axis_attribute(-1, cx.rank(x))?;
    let stash = cx.attributes.int_or("stash_type", 1)?;
    ensure!(stash == 1, "stash_type {stash} is not supported");
    Ok(vec![cx.op1(RmsNorm { axis, epsilon }, &[x, scale])?])
}

fn instance(cx: &mut NodeCx<'_, '_>) -> Converted<Vec<Value>> {
    let (operands, epsilon) = (cx.all_operands()?, epsilon(cx)?);
    cx.attributes.ignore(&["consumed_inputs"]);
    Ok(vec![cx.op1(InstanceNorm { epsilon }, &operands)?])
}

/// Before operator set 21, scale and bias have one number per group.
fn group(cx: &mut NodeCx<'_, '_>) -> Converted<Vec<Value>> {
    let (mut operands, epsilon) = (cx.all_operands()?, epsilon(cx)?);
    let groups = cx.attributes.int_or("num_groups", 0)?;
    let stash = cx.attributes.int_or("stash_type", 1)?;
    ensure!(stash == 1, "stash_type {stash} is not supported");
    ensure!(cx.rank(operands[0]) >= 2, "operand {}, expected rank 2 or more", cx.ty(operands[0]));
    let groups = usize::try_from(groups).unwrap_or(0);
    ensure!(groups > 0, "num_groups {groups}, expected a positive number");
    if cx.opset < 21 {
        let channels = cx.ty(operands[0]).dim(1).clone();
        let each = channels.floor_div(&Dim::from(groups)).unwrap_or_default();
        let shape = Shape(vec![Dim::from(groups), each]);
        for operand in &mut operands[1..] {
            let repeated =
                cx.op1(Broadcast { shape: shape.clone(), axes: vec![0] }, &[*operand])?;
            *operand = cx.reshape(repeated, [channels.clone()])?;
        }
    }
    Ok(vec![cx.op1(GroupNorm { groups, epsilon }, &operands)?])
}

/// `x / (bias + alpha / size · Σ x²)^beta`, the sum over neighbouring channels.
fn local_response(cx: &mut NodeCx<'_, '_>) -> Converted<Vec<Value>> {
    let x = cx.operand(0)?;
    let attributes = cx.attributes;
    let size = usize::try_from(attributes.int_or("size", 0)?).unwrap_or(0);
    ensure!((1..1 << 30).contains(&size), "size {size}");
    ensure!(cx.rank(x) >= 2, "operand {}, expected rank 2 or more", cx.ty(x));
    let alpha = f64::from(attributes.float_or("alpha", 1e-4)?);
    let beta = f64::from(attributes.float_or("beta", 0.75)?);
    let bias = f64::from(attributes.float_or("bias", 1.0)?);
    let squares = cx.map(ops::Mul {}, &[x, x])?;
    let before = (size - 1) / 2;
    let windows = Windows {
        axes: vec![1],
        kernel: vec![size],
        strides: vec![1],
        pads: vec![[before, size - 1 - before]],
        dilations: vec![1],
        fill: Literal::Int(0),
    };
    let windows = cx.op1(windows, &[squares])?;
    let rank = cx.rank(x);
    let sum = cx.reduce(ReduceKind::Sum, windows, &[rank])?;
    let scaled = cx.map_scalar(ops::Mul {}, sum, alpha / size as f64)?;
    let base = cx.map_scalar(ops::Add {}, scaled, bias)?;
    let power = cx.map_scalar(ops::Pow {}, base, beta)?;
    Ok(vec![cx.map(ops::Div {}, &[x, power])?])
}

fn mean_variance(cx: &mut NodeCx<'_, '_>) -> Converted<Vec<Value>> {
    let x = cx.operand(0)?;
    let axes = cx.attributes.ints("axes")?.unwrap_or(&[0, 2, 3]);
    let axes = resolve_axes(axes, cx.rank(x))?;
    let (mean, variance) = moments(cx, x, &axes)?;
    let centred = cx.map(ops::Sub {}, &[x, mean])?;
    let deviation = cx.map(ops::Sqrt {}, &[variance])?;
    // The constant is that of the operator's function body.
    let deviation = cx.map_scalar(ops::Add {}, deviation, 1e-9)?;
    Ok(vec![cx.map(ops::Div {}, &[centred, deviation])?])
}

fn lp(cx: &mut NodeCx<'_, '_>) -> Converted<Vec<Value>> {
    let x = cx.operand(0)?;
    let axis = cx.axis_attribute(-1, cx.rank(x))?;
    let p = cx.attributes.int_or("p", 2)?;
    let size = match p {
        1 => cx.map(ops::Abs {}, &[x])?,
        2 => cx.map(ops::Mul {}, &[x, x])?,
        other => return Err(format!("p {other}, expected 1 or 2").into()),
    };
    let sum = cx.reduce_keep(ReduceKind::Sum, size, &[axis])?;
    let norm = if p == 2 { cx.map(ops::Sqrt {}, &[sum])? } else { sum };
    // A vector of zeros stays one.
    let is_zero = cx.map_scalar(ops::Eq {}, norm, 0.0)?;
    let one = cx.splat_like(norm, 1.0);
    let norm = cx.map(ops::Select {}, &[is_zero, one, norm])?;
    Ok(vec![cx.map(ops::Div {}, &[x, norm])?])
}
