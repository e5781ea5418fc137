//! Activations.

use tracelift_ir::{ArgReduce, Clamp, Extreme, GeluForm, Literal, OneHot, Shape, Value, ops};
use tracelift_tensor::{DType, Dim, Scalar};

use super::{
    arithmetic::{legacy_operands, unary},
    failure::{Converted, Failure, ensure},
    node_cx::NodeCx,
    registry::{Row, row},
};

/// The rows of this family.
pub(super) const ROWS: &[Row] = &[
    row("Celu", 12, (1, 1), celu),
    row("Clip", 1, (1, 3), clip),
    row("Dropout", 1, (1, 3), dropout).note("inference, or a ratio of 0"),
    row("Elu", 1, (1, 1), |cx| {
        let alpha = literal(cx, "alpha", 1.0)?;
        unary(cx, ops::Elu { alpha })
    }),
    row("Gelu", 20, (1, 1), gelu),
    row("HardSigmoid", 1, (1, 1), |cx| {
        let (alpha, beta) = (literal(cx, "alpha", 0.2)?, literal(cx, "beta", 0.5)?);
        unary(cx, ops::HardSigmoid { alpha, beta })
    }),
    row("HardSwish", 14, (1, 1), |cx| unary(cx, ops::HardSwish {})),
    row("Hardmax", 1, (1, 1), hardmax),
    row("LeakyRelu", 1, (1, 1), |cx| {
        let alpha = literal(cx, "alpha", 0.01)?;
        unary(cx, ops::LeakyRelu { alpha })
    }),
    row("LogSoftmax", 1, (1, 1), |cx| rowwise(cx, |axis| ops::LogSoftmax { axis }.into())),
    row("Mish", 18, (1, 1), |cx| unary(cx, ops::Mish {})),
    row("PRelu", 1, (2, 2), prelu),
    row("Relu", 1, (1, 1), |cx| unary(cx, ops::Relu {})),
    row("Selu", 1, (1, 1), selu),
    row("Shrink", 9, (1, 1), shrink),
    row("Sigmoid", 1, (1, 1), |cx| unary(cx, ops::Sigmoid {})),
    row("Softmax", 1, (1, 1), |cx| rowwise(cx, |axis| ops::Softmax { axis }.into())),
    row("Softplus", 1, (1, 1), |cx| unary(cx, ops::Softplus {})),
    row("Softsign", 1, (1, 1), |cx| unary(cx, ops::Softsign {})),
    row("Swish", 24, (1, 1), swish),
    row("ThresholdedRelu", 10, (1, 1), thresholded_relu),
];

/// A float attribute as a literal.
fn literal(cx: &NodeCx<'_, '_>, name: &str, default: f32) -> Converted<Literal> {
    Ok(Literal::Real(cx.attributes.float_or(name, default)?.into()))
}

fn celu(cx: &mut NodeCx<'_, '_>) -> Converted<Vec<Value>> {
    let (x, alpha) = (cx.operand(0)?, f64::from(cx.attributes.float_or("alpha", 1.0)?));
    // celu(x) = elu(x / alpha) · alpha, where both have slope 1 above 0.
    let inner = cx.map_scalar(ops::Div {}, x, alpha)?;
    let power = cx.map(ops::Exp {}, &[inner])?;
    let lower = cx.map_scalar(ops::Sub {}, power, 1.0)?;
    let lower = cx.map_scalar(ops::Mul {}, lower, alpha)?;
    let zero = cx.splat_like(x, 0.0);
    let lower = cx.map(ops::Min {}, &[lower, zero])?;
    let upper = cx.map(ops::Max {}, &[x, zero])?;
    Ok(vec![cx.map(ops::Add {}, &[upper, lower])?])
}

/// Clamps; the bounds are attributes before operator set 11.
fn clip(cx: &mut NodeCx<'_, '_>) -> Converted<Vec<Value>> {
    let x = cx.operand(0)?;
    let mut bounds = [Literal::Real(f64::NEG_INFINITY), Literal::Real(f64::INFINITY)];
    if cx.opset < 11 {
        cx.attributes.ignore(&["consumed_inputs"]);
        bounds[0] = literal(cx, "min", f32::NEG_INFINITY)?;
        bounds[1] = literal(cx, "max", f32::INFINITY)?;
    } else {
        for (k, literal) in bounds.iter_mut().enumerate() {
            let Some(bound) = cx.optional(k + 1) else { continue };
            match cx.splat_of(bound) {
                Some(scalar) => *literal = scalar.into(),
                None => return clip_between(cx, x),
            }
        }
    }
    let [min, max] = bounds;
    let is_nan = |l: Literal| l.to_f64().is_nan();
    ensure!(!is_nan(min) && !is_nan(max), "a bound is NaN");
    Ok(vec![cx.op1(Clamp { min, max }, &[x])?])
}

/// Clamps between bounds that are computed.
fn clip_between(cx: &mut NodeCx<'_, '_>, x: Value) -> Converted<Vec<Value>> {
    let mut out = x;
    if let Some(min) = cx.optional(1) {
        out = cx.map(ops::Max {}, &[out, min])?;
    }
    if let Some(max) = cx.optional(2) {
        out = cx.map(ops::Min {}, &[out, max])?;
    }
    Ok(vec![out])
}

/// The identity, with a mask of ones where it is asked for.
fn dropout(cx: &mut NodeCx<'_, '_>) -> Converted<Vec<Value>> {
    let x = cx.operand(0)?;
    cx.attributes.ignore(&["seed", "consumed_inputs"]);
    let ratio = match cx.opset {
        12.. if cx.optional(1).is_some() => cx.optional_number(1)?.unwrap_or(0.5),
        12.. => 0.5,
        _ => cx.attributes.float_or("ratio", 0.5)?.into(),
    };
    let trains = match cx.opset {
        12.. => cx.optional_number(2)?.is_some_and(|flag| flag != 0.0),
        7..12 => false,
        _ => !cx.attributes.flag("is_test")?,
    };
    ensure!(!trains || ratio == 0.0, "training with ratio {ratio} is not supported");
    if !cx.wants(1) {
        return Ok(vec![x]);
    }
    let dtype = if cx.opset < 10 { cx.dtype(x) } else { DType::Bool };
    let shape = cx.shape(x);
    let mask = cx.splat(Scalar::one(dtype), shape);
    Ok(vec![x, mask])
}

fn gelu(cx: &mut NodeCx<'_, '_>) -> Converted<Vec<Value>> {
    let approximate = match cx.attributes.text_or("approximate", "none")?.as_str() {
        "none" => GeluForm::Exact,
        "tanh" => GeluForm::Tanh,
        other => {
            let what = format!("approximate '{}'", crate::error::Shown(other));
            return Err(Failure::new(what).with_hint("supported: none, tanh"));
        }
    };
    unary(cx, ops::Gelu { approximate })
}

/// Applies an operator along an axis.
///
/// Before operator set 13, the axes from that one on are one long axis.
fn rowwise(cx: &mut NodeCx<'_, '_>, op: fn(usize) -> ops::Op) -> Converted<Vec<Value>> {
    let x = cx.operand(0)?;
    let rank = cx.rank(x);
    if cx.opset >= 13 {
        let axis = cx.axis_attribute(-1, rank)?;
        return Ok(vec![cx.op1(op(axis), &[x])?]);
    }
    let axis = cx.axis_attribute(1, rank)?;
    if axis + 1 == rank {
        return Ok(vec![cx.op1(op(axis), &[x])?]);
    }
    let shape = cx.shape(x);
    let flat = cx.reshape(x, flattened(&shape, axis))?;
    let out = cx.op1(op(1), &[flat])?;
    Ok(vec![cx.reshape(out, shape)?])
}

/// The matrix with the axes before `axis` as rows and the rest as columns.
pub(super) fn flattened(shape: &Shape, axis: usize) -> Shape {
    let count = |dims: &[Dim]| dims.iter().cloned().product::<Dim>();
    Shape(vec![count(&shape[..axis]), count(&shape[axis..])])
}

/// 1 at the first largest element along an axis, 0 elsewhere.
fn hardmax(cx: &mut NodeCx<'_, '_>) -> Converted<Vec<Value>> {
    let x = cx.operand(0)?;
    let (shape, rank) = (cx.shape(x), cx.rank(x));
    let flattens = cx.opset < 13;
    let axis = cx.axis_attribute(if flattens { 1 } else { -1 }, rank)?;
    let (x, axis) = match flattens {
        true => (cx.reshape(x, flattened(&shape, axis))?, 1),
        false => (x, axis),
    };
    let (depth, dtype) = (cx.ty(x).dim(axis).clone(), cx.dtype(x));
    let at = ArgReduce { kind: Extreme::Max, axis, select_last: false };
    let at = cx.op1(at, &[x])?;
    let out = cx.op1(OneHot { depth, axis, dtype }, &[at])?;
    Ok(vec![cx.reshape(out, shape)?])
}

/// Before operator set 7, the slope has one number per channel.
fn prelu(cx: &mut NodeCx<'_, '_>) -> Converted<Vec<Value>> {
    let (x, mut slope) = match cx.opset {
        7.. => legacy_operands(cx)?,
        _ => (cx.operand(0)?, cx.operand(1)?),
    };
    cx.attributes.ignore(&["consumed_inputs"]);
    if cx.opset < 7 && cx.rank(slope) == 1 && cx.rank(x) > 2 {
        let mut dims = cx.shape(slope).0;
        dims.resize(cx.rank(x) - 1, Dim::from(1));
        slope = cx.reshape(slope, Shape(dims))?;
    }
    Ok(vec![cx.op1(ops::Prelu {}, &[x, slope])?])
}

fn selu(cx: &mut NodeCx<'_, '_>) -> Converted<Vec<Value>> {
    let (alpha, gamma) = match cx.opset {
        6.. => (1.673_263_2, 1.050_701),
        _ => (1.6732, 1.0507),
    };
    let (alpha, gamma) = (literal(cx, "alpha", alpha)?, literal(cx, "gamma", gamma)?);
    unary(cx, ops::Selu { alpha, gamma })
}

/// Moves numbers towards 0 by the bias, those within the bound to 0.
fn shrink(cx: &mut NodeCx<'_, '_>) -> Converted<Vec<Value>> {
    let x = cx.operand(0)?;
    let bound = f64::from(cx.attributes.float_or("lambd", 0.5)?);
    let bias = f64::from(cx.attributes.float_or("bias", 0.0)?);
    let is_above = cx.map_scalar(ops::Gt {}, x, bound)?;
    let is_below = cx.map_scalar(ops::Lt {}, x, -bound)?;
    let lowered = cx.map_scalar(ops::Sub {}, x, bias)?;
    let raised = cx.map_scalar(ops::Add {}, x, bias)?;
    let zero = cx.splat_like(x, 0.0);
    let below = cx.map(ops::Select {}, &[is_below, raised, zero])?;
    Ok(vec![cx.map(ops::Select {}, &[is_above, lowered, below])?])
}

fn swish(cx: &mut NodeCx<'_, '_>) -> Converted<Vec<Value>> {
    let alpha = cx.attributes.float_or("alpha", 1.0)?;
    if alpha == 1.0 {
        return unary(cx, ops::Silu {});
    }
    let x = cx.operand(0)?;
    let inner = cx.map_scalar(ops::Mul {}, x, alpha.into())?;
    let gate = cx.map(ops::Sigmoid {}, &[inner])?;
    Ok(vec![cx.map(ops::Mul {}, &[x, gate])?])
}

fn thresholded_relu(cx: &mut NodeCx<'_, '_>) -> Converted<Vec<Value>> {
    let x = cx.operand(0)?;
    let alpha = cx.attributes.float_or("alpha", 1.0)?;
    let is_above = cx.map_scalar(ops::Gt {}, x, alpha.into())?;
    let zero = cx.splat_like(x, 0.0);
    Ok(vec![cx.map(ops::Select {}, &[is_above, x, zero])?])
}
