//! Pools.

use tracelift_ir::{
    ArgReduce, AveragePool, Extreme, Iota, Literal, LpPool, MaxPool, Mean, Pad, ReduceKind,
    ScatterAlongAxis, ScatterMode, Shape, TakeAlongAxis, Value, Windows,
};
use tracelift_tensor::{DType, Dim, Scalar};

use super::{
    failure::{Converted, Failure, ensure},
    node_cx::NodeCx,
    registry::{Row, row},
    window::{Window, explicit_pads, per_axis, reach, window},
};

/// The rows of this family.
pub(super) const ROWS: &[Row] = &[
    row("AveragePool", 1, (1, 1), average_pool),
    row("GlobalAveragePool", 1, (1, 1), global_average_pool),
    row("GlobalLpPool", 1, (1, 1), global_lp_pool),
    row("GlobalMaxPool", 1, (1, 1), global_max_pool),
    row("LpPool", 1, (1, 1), lp_pool),
    row("MaxPool", 1, (1, 1), max_pool),
    row("MaxUnpool", 9, (2, 3), max_unpool),
];

/// A pool's window; `ceiled` holds pads grown so that the last window, begun inside, fits.
struct Pooling {
    window: Window,
    ceiled: Vec<[usize; 2]>,
    axes: Vec<usize>,
}

fn pooling(cx: &NodeCx<'_, '_>, x: Value) -> Converted<Pooling> {
    let shape = cx.shape(x);
    let kernel = cx.attributes.sizes("kernel_shape", 1)?;
    let kernel = kernel.ok_or_else(|| Failure::new("attribute 'kernel_shape' is missing"))?;
    ensure!(shape.rank() == kernel.len() + 2, "operand {} with kernel {kernel:?}", cx.ty(x));
    let window = window(cx, &shape, kernel)?;
    let mut ceiled = window.pads.clone();
    if cx.attributes.flag("ceil_mode")? {
        for (k, pads) in ceiled.iter_mut().enumerate() {
            pads[1] += ceil_excess(&window, k, &shape[2 + k])?;
        }
    }
    let axes = (2..shape.rank()).collect();
    Ok(Pooling { window, ceiled, axes })
}

/// The points that the last window reaches beyond the pads when extents round up.
fn ceil_excess(window: &Window, k: usize, dim: &Dim) -> Converted<usize> {
    let extent = dim.as_const().ok_or_else(|| {
        Failure::new(format!("ceil_mode over the unknown extent {dim}"))
            .with_hint("bind its symbols with --set")
    })?;
    let ([before, after], stride) = (window.pads[k], window.strides[k]);
    let reach = reach(window.kernel[k], window.dilations[k])?;
    let Some(room) = (extent + before + after).checked_sub(reach) else { return Ok(0) };
    let mut count = room.div_ceil(stride) + 1;
    // A window that begins in the pads behind the operand is left out.
    if (count - 1) * stride >= extent + before {
        count -= 1;
    }
    Ok(((count.saturating_sub(1)) * stride + reach).saturating_sub(extent + before + after))
}

fn max_pool(cx: &mut NodeCx<'_, '_>) -> Converted<Vec<Value>> {
    let x = cx.operand(0)?;
    let column_major = cx.attributes.flag("storage_order")?;
    let p = pooling(cx, x)?;
    let op = MaxPool {
        axes: p.axes.clone(),
        kernel: p.window.kernel.clone(),
        strides: p.window.strides.clone(),
        pads: p.ceiled.clone(),
        dilations: p.window.dilations.clone(),
    };
    let out = cx.op1(op, &[x])?;
    if !cx.wants(1) {
        return Ok(vec![out]);
    }
    let at = positions_of_maxima(cx, x, &p, column_major)?;
    Ok(vec![out, at])
}

/// The position in the whole operand of each window's first largest element.
fn positions_of_maxima(
    cx: &mut NodeCx<'_, '_>,
    x: Value,
    p: &Pooling,
    column_major: bool,
) -> Converted<Value> {
    let position = positions(cx, x, column_major)?;
    let lowest = Literal::Real(f64::NEG_INFINITY);
    let elements = spread_windows(cx, x, p, lowest)?;
    let positions = spread_windows(cx, position, p, Literal::Int(0))?;
    let axis = cx.rank(x);
    let at = cx.op1(ArgReduce { kind: Extreme::Max, axis, select_last: false }, &[elements])?;
    let mut shape = cx.shape(at);
    shape.0.push(Dim::from(1));
    let at = cx.reshape(at, shape)?;
    let chosen = cx.op1(TakeAlongAxis { axis }, &[positions, at])?;
    let mut shape = cx.shape(chosen);
    shape.0.pop();
    cx.reshape(chosen, shape)
}

/// Windows whose elements lie along one last axis.
fn spread_windows(
    cx: &mut NodeCx<'_, '_>,
    x: Value,
    p: &Pooling,
    fill: Literal,
) -> Converted<Value> {
    let op = Windows {
        axes: p.axes.clone(),
        kernel: p.window.kernel.clone(),
        strides: p.window.strides.clone(),
        pads: p.ceiled.clone(),
        dilations: p.window.dilations.clone(),
        fill,
    };
    let (windows, rank) = (cx.op1(op, &[x])?, cx.rank(x));
    let mut dims = cx.shape(windows).0;
    let inside: Dim = dims.split_off(rank).into_iter().product();
    dims.push(inside);
    cx.reshape(windows, Shape(dims))
}

/// The number of each element in row-major order, or with its spatial axes in column-major order.
fn positions(cx: &mut NodeCx<'_, '_>, x: Value, column_major: bool) -> Converted<Value> {
    let (shape, rank) = (cx.shape(x), cx.rank(x));
    let perm: Vec<usize> = match column_major {
        true => (0..2).chain((2..rank).rev()).collect(),
        false => (0..rank).collect(),
    };
    let count = Iota { shape: Shape(vec![shape.count()]), axis: 0, dtype: DType::I64 };
    let numbers = cx.op1(count, &[])?;
    let dims: Vec<Dim> = perm.iter().map(|&a| shape[a].clone()).collect();
    let numbers = cx.reshape(numbers, Shape(dims))?;
    cx.transpose(numbers, &perm)
}

fn average_pool(cx: &mut NodeCx<'_, '_>) -> Converted<Vec<Value>> {
    let x = cx.operand(0)?;
    let counts_pads = cx.attributes.flag("count_include_pad")?;
    let p = pooling(cx, x)?;
    let op = AveragePool {
        axes: p.axes,
        counted: if counts_pads { p.window.pads } else { Vec::new() },
        kernel: p.window.kernel,
        strides: p.window.strides,
        pads: p.ceiled,
        dilations: p.window.dilations,
    };
    Ok(vec![cx.op1(op, &[x])?])
}

fn order(cx: &NodeCx<'_, '_>) -> Converted<usize> {
    // Operator set 1 stores the order as a float.
    let p = match cx.opset {
        1 => f64::from(cx.attributes.float_or("p", 2.0)?),
        _ => cx.attributes.int_or("p", 2)? as f64,
    };
    ensure!(p.fract() == 0.0 && (1.0..1e6).contains(&p), "p is {p}");
    Ok(p as usize)
}

fn lp_pool(cx: &mut NodeCx<'_, '_>) -> Converted<Vec<Value>> {
    let (x, order) = (cx.operand(0)?, order(cx)?);
    let p = pooling(cx, x)?;
    let op = LpPool {
        p: order,
        axes: p.axes,
        kernel: p.window.kernel,
        strides: p.window.strides,
        pads: p.ceiled,
        dilations: p.window.dilations,
    };
    Ok(vec![cx.op1(op, &[x])?])
}

/// The spatial axes of an operand.
fn spatial(cx: &NodeCx<'_, '_>, x: Value) -> Converted<Vec<usize>> {
    let rank = cx.rank(x);
    ensure!(rank >= 3, "operand {}, expected rank 3 or more", cx.ty(x));
    Ok((2..rank).collect())
}

/// Gives reduced spatial axes back with extent 1.
fn with_ones(cx: &mut NodeCx<'_, '_>, x: Value, reduced: Value) -> Converted<Vec<Value>> {
    let mut dims = cx.shape(reduced).0;
    dims.resize(cx.rank(x), Dim::from(1));
    Ok(vec![cx.reshape(reduced, Shape(dims))?])
}

fn global_average_pool(cx: &mut NodeCx<'_, '_>) -> Converted<Vec<Value>> {
    let x = cx.operand(0)?;
    let axes = spatial(cx, x)?;
    let mean = cx.op1(Mean { axes }, &[x])?;
    with_ones(cx, x, mean)
}

fn global_max_pool(cx: &mut NodeCx<'_, '_>) -> Converted<Vec<Value>> {
    let x = cx.operand(0)?;
    let axes = spatial(cx, x)?;
    let max = cx.reduce(ReduceKind::Max, x, &axes)?;
    with_ones(cx, x, max)
}

/// One window over everything.
fn global_lp_pool(cx: &mut NodeCx<'_, '_>) -> Converted<Vec<Value>> {
    let (x, p, axes) = {
        let x = cx.operand(0)?;
        (x, order(cx)?, spatial(cx, x)?)
    };
    let kernel = Shape(cx.shape(x)[2..].to_vec()).as_consts();
    let kernel = kernel.ok_or_else(|| Failure::new(format!("unknown extents of {}", cx.ty(x))))?;
    let n = axes.len();
    let op = LpPool {
        p,
        axes,
        kernel,
        strides: vec![1; n],
        pads: vec![[0, 0]; n],
        dilations: vec![1; n],
    };
    Ok(vec![cx.op1(op, &[x])?])
}

/// Puts elements back where `MaxPool` found them, zeros elsewhere.
fn max_unpool(cx: &mut NodeCx<'_, '_>) -> Converted<Vec<Value>> {
    let (x, at) = (cx.operand(0)?, cx.operand(1)?);
    let n = spatial(cx, x)?.len();
    let kernel = per_axis(cx, "kernel_shape", n, 1, 1)?;
    let (strides, pads) = (per_axis(cx, "strides", n, 1, 1)?, explicit_pads(cx, n)?);
    let mut dims = cx.shape(x).0;
    for k in 0..n {
        let [before, after] = pads[k];
        let steps = &(&dims[2 + k] - &Dim::from(1)) * &Dim::from(strides[k]);
        dims[2 + k] = &(&steps + &Dim::from(kernel[k])) - &Dim::from(before + after);
    }
    let natural = super::constant::checked_shape(dims)?;
    let (count, dtype) = (natural.count(), cx.dtype(x));
    let n_elements = cx.shape(x).count();
    let (x, at) = (cx.reshape(x, [n_elements.clone()])?, cx.reshape(at, [n_elements])?);
    let zeros = cx.splat(Scalar::zero(dtype), [count]);
    let scatter = ScatterAlongAxis { axis: 0, mode: ScatterMode::Replace };
    let out = cx.op1(scatter, &[zeros, at, x])?;
    let out = cx.reshape(out, natural.clone())?;
    let Some(wanted) = cx.optional_ints(2)? else { return Ok(vec![out]) };
    let natural = cx.extents(out)?;
    ensure!(wanted.len() == natural.len(), "output_shape {wanted:?} of rank {}", natural.len());
    let high = wanted.iter().zip(&natural).map(|(&w, &n)| w.saturating_sub(n as i64)).collect();
    let low = vec![0; natural.len()];
    Ok(vec![cx.op1(Pad { low, high, interior: Vec::new(), value: Literal::Int(0) }, &[out])?])
}
