//! Convolutions.

use tracelift_ir::{Broadcast, Conv, ConvLayout, ConvTranspose, Shape, Value, ops};

use super::{
    failure::{Converted, Failure, ensure},
    node_cx::NodeCx,
    registry::{Row, row},
    window::{AutoPad, auto_pad, explicit_pads, per_axis, reach, window},
};

/// The rows of this family.
pub(super) const ROWS: &[Row] =
    &[row("Conv", 1, (2, 3), conv), row("ConvTranspose", 1, (2, 3), conv_transpose)];

fn conv(cx: &mut NodeCx<'_, '_>) -> Converted<Vec<Value>> {
    let (x, w) = (cx.operand(0)?, cx.operand(1)?);
    let (shape, kernel) = (cx.shape(x), kernel_of(cx, x, w)?);
    let window = window(cx, &shape, kernel)?;
    let groups = positive(cx, "group")?;
    let op = Conv {
        strides: window.strides,
        pads: window.pads,
        dilations: window.dilations,
        groups,
        layout: ConvLayout::ChannelsFirst,
    };
    let out = cx.op1(op, &[x, w])?;
    with_bias(cx, out)
}

/// The kernel's extents: those of the weight, which the attribute has to repeat.
fn kernel_of(cx: &NodeCx<'_, '_>, x: Value, w: Value) -> Converted<Vec<usize>> {
    let (rank, weight) = (cx.rank(x), cx.shape(w));
    ensure!(rank >= 3 && weight.rank() == rank, "operands {} and {}", cx.ty(x), cx.ty(w));
    let kernel = Shape(weight[2..].to_vec()).as_consts();
    let kernel =
        kernel.ok_or_else(|| Failure::new(format!("weight {weight} of unknown extents")))?;
    ensure!(kernel.iter().all(|&k| k > 0), "weight {weight} with an empty kernel");
    if let Some(found) = cx.attributes.sizes("kernel_shape", 0)? {
        ensure!(found == kernel, "kernel_shape {found:?}, expected {kernel:?} of the weight");
    }
    Ok(kernel)
}

fn positive(cx: &NodeCx<'_, '_>, name: &str) -> Converted<usize> {
    let value = cx.attributes.int_or(name, 1)?;
    usize::try_from(value)
        .ok()
        .filter(|&v| v > 0)
        .ok_or_else(|| Failure::new(format!("{name} is {value}")))
}

/// Adds the bias, operand 2, along the channels.
fn with_bias(cx: &mut NodeCx<'_, '_>, out: Value) -> Converted<Vec<Value>> {
    let Some(bias) = cx.optional(2) else { return Ok(vec![out]) };
    let op = Broadcast { shape: cx.shape(out), axes: vec![1] };
    let bias = cx.op1(op, &[bias])?;
    Ok(vec![cx.map(ops::Add {}, &[out, bias])?])
}

fn conv_transpose(cx: &mut NodeCx<'_, '_>) -> Converted<Vec<Value>> {
    let (x, w) = (cx.operand(0)?, cx.operand(1)?);
    let kernel = kernel_of(cx, x, w)?;
    let (n, groups) = (kernel.len(), positive(cx, "group")?);
    let strides = per_axis(cx, "strides", n, 1, 1)?;
    let dilations = per_axis(cx, "dilations", n, 1, 1)?;
    let (pads, output_pads) = transposed_pads(cx, x, &kernel, &strides, &dilations)?;
    let op = ConvTranspose { strides, pads, dilations, output_pads, groups };
    let out = cx.op1(op, &[x, w])?;
    with_bias(cx, out)
}

/// The points removed before and after per axis, and those added at the end.
fn transposed_pads(
    cx: &NodeCx<'_, '_>,
    x: Value,
    kernel: &[usize],
    strides: &[usize],
    dilations: &[usize],
) -> Converted<(Vec<[usize; 2]>, Vec<usize>)> {
    let n = kernel.len();
    let mut added = per_axis(cx, "output_padding", n, 0, 0)?;
    let wanted = cx.attributes.sizes("output_shape", 0)?;
    let (mut pads, mode) = (explicit_pads(cx, n)?, auto_pad(cx)?);
    if mode == AutoPad::Valid {
        pads = vec![[0, 0]; n];
    }
    if wanted.is_none() && matches!(mode, AutoPad::Explicit | AutoPad::Valid) {
        return Ok((pads, added));
    }
    if let Some(wanted) = &wanted {
        ensure!(wanted.len() == n, "output_shape {wanted:?} for {n} spatial axes");
    }
    for k in 0..n {
        let dim = cx.ty(x).dim(2 + k).clone();
        let extent = dim.as_const().ok_or_else(|| Failure::new(format!("unknown extent {dim}")))?;
        let natural = extent.saturating_sub(1).saturating_mul(strides[k]);
        let natural =
            natural.saturating_add(reach(kernel[k], dilations[k])?).saturating_add(added[k]);
        let target = wanted.as_ref().map_or(extent.saturating_mul(strides[k]), |w| w[k]);
        let total = natural.saturating_sub(target);
        let (small, large) = (total / 2, total - total / 2);
        pads[k] = if mode == AutoPad::SameUpper { [small, large] } else { [large, small] };
        added[k] += target.saturating_sub(natural);
    }
    Ok((pads, added))
}
