//! Arithmetic: elementwise operators on numbers.

use tracelift_ir::{Shape, Value, ops};
use tracelift_tensor::{DType, Dim};

use super::{
    failure::{Converted, ensure},
    node_cx::{NodeCx, resolve_axis},
    registry::{ANY, Row, row},
};

/// The rows of this family.
pub(super) const ROWS: &[Row] = &[
    row("Abs", 1, (1, 1), |cx| unary(cx, ops::Abs {})),
    row("Acos", 7, (1, 1), |cx| unary(cx, ops::Acos {})),
    row("Acosh", 9, (1, 1), |cx| unary(cx, ops::Acosh {})),
    row("Add", 1, (2, 2), |cx| binary(cx, ops::Add {})),
    row("Asin", 7, (1, 1), |cx| unary(cx, ops::Asin {})),
    row("Asinh", 9, (1, 1), |cx| unary(cx, ops::Asinh {})),
    row("Atan", 7, (1, 1), |cx| unary(cx, ops::Atan {})),
    row("Atanh", 9, (1, 1), |cx| unary(cx, ops::Atanh {})),
    row("Ceil", 1, (1, 1), |cx| unary(cx, ops::Ceil {})),
    row("Cos", 7, (1, 1), |cx| unary(cx, ops::Cos {})),
    row("Cosh", 9, (1, 1), |cx| unary(cx, ops::Cosh {})),
    row("Div", 1, (2, 2), |cx| binary(cx, ops::Div {})),
    row("Erf", 9, (1, 1), |cx| unary(cx, ops::Erf {})),
    row("Exp", 1, (1, 1), |cx| unary(cx, ops::Exp {})),
    row("Floor", 1, (1, 1), |cx| unary(cx, ops::Floor {})),
    row("Log", 1, (1, 1), |cx| unary(cx, ops::Log {})),
    row("Max", 1, (1, ANY), |cx| variadic(cx, ops::Max {})),
    row("Mean", 1, (1, ANY), mean),
    row("Min", 1, (1, ANY), |cx| variadic(cx, ops::Min {})),
    row("Mod", 10, (2, 2), modulo),
    row("Mul", 1, (2, 2), |cx| binary(cx, ops::Mul {})),
    row("Neg", 1, (1, 1), |cx| unary(cx, ops::Neg {})),
    row("Pow", 1, (2, 2), pow),
    row("Reciprocal", 1, (1, 1), |cx| unary(cx, ops::Reciprocal {})),
    row("Round", 11, (1, 1), |cx| unary(cx, ops::Round {})),
    row("Sign", 9, (1, 1), |cx| unary(cx, ops::Sign {})),
    row("Sin", 7, (1, 1), |cx| unary(cx, ops::Sin {})),
    row("Sinh", 9, (1, 1), |cx| unary(cx, ops::Sinh {})),
    row("Sqrt", 1, (1, 1), |cx| unary(cx, ops::Sqrt {})),
    row("Sub", 1, (2, 2), |cx| binary(cx, ops::Sub {})),
    row("Sum", 1, (1, ANY), |cx| variadic(cx, ops::Add {})),
    row("Tan", 7, (1, 1), |cx| unary(cx, ops::Tan {})),
    row("Tanh", 1, (1, 1), |cx| unary(cx, ops::Tanh {})),
];

/// An elementwise operator of one operand.
pub(super) fn unary(cx: &mut NodeCx<'_, '_>, op: impl Into<ops::Op>) -> Converted<Vec<Value>> {
    cx.attributes.ignore(&["consumed_inputs"]);
    let x = cx.operand(0)?;
    Ok(vec![cx.map(op, &[x])?])
}

/// An elementwise operator of two operands.
pub(super) fn binary(cx: &mut NodeCx<'_, '_>, op: impl Into<ops::Op>) -> Converted<Vec<Value>> {
    let (x, y) = legacy_operands(cx)?;
    Ok(vec![cx.map(op, &[x, y])?])
}

/// The two operands of an elementwise operator.
///
/// Before operator set 7, the second one is repeated only where `broadcast` says so, its axes
/// beginning at `axis` of the first.
pub(super) fn legacy_operands(cx: &mut NodeCx<'_, '_>) -> Converted<(Value, Value)> {
    let (x, y) = (cx.operand(0)?, cx.operand(1)?);
    if cx.opset >= 7 {
        return Ok((x, y));
    }
    cx.attributes.ignore(&["consumed_inputs"]);
    let (repeats, axis) = (cx.attributes.flag("broadcast")?, cx.attributes.int("axis")?);
    let (rank, own) = (cx.rank(x), cx.rank(y));
    if !repeats {
        ensure!(
            cx.shape(x) == cx.shape(y),
            "shapes {} and {} differ, and broadcast is 0",
            cx.shape(x),
            cx.shape(y)
        );
        return Ok((x, y));
    }
    let Some(axis) = axis else { return Ok((x, y)) };
    let axis = resolve_axis(axis, rank)?;
    ensure!(axis + own <= rank, "axis {axis} with {own} axes lies outside rank {rank}");
    let mut dims = cx.shape(y).0;
    dims.resize(rank - axis, Dim::from(1));
    let y = cx.reshape(y, Shape(dims))?;
    Ok((x, y))
}

/// Joins any number of operands, two at a time.
fn variadic(cx: &mut NodeCx<'_, '_>, op: impl Into<ops::Op>) -> Converted<Vec<Value>> {
    cx.attributes.ignore(&["consumed_inputs"]);
    let op = op.into();
    let operands = cx.all_operands()?;
    let mut out = operands[0];
    for x in &operands[1..] {
        out = cx.map(op.clone(), &[out, *x])?;
    }
    Ok(vec![out])
}

fn mean(cx: &mut NodeCx<'_, '_>) -> Converted<Vec<Value>> {
    let count = cx.operands.len();
    let sum = variadic(cx, ops::Add {})?[0];
    Ok(vec![cx.map_scalar(ops::Div {}, sum, count as f64)?])
}

/// The remainder with the sign of the divisor, or with `fmod` that of the dividend.
fn modulo(cx: &mut NodeCx<'_, '_>) -> Converted<Vec<Value>> {
    let (x, y) = (cx.operand(0)?, cx.operand(1)?);
    if cx.attributes.flag("fmod")? {
        return Ok(vec![cx.map(ops::Rem {}, &[x, y])?]);
    }
    let dtype = cx.dtype(x);
    ensure!(dtype.is_int(), "fmod 0 of {dtype}, expected integers");
    Ok(vec![cx.map(ops::FloorMod {}, &[x, y])?])
}

/// A power; its dtype is the base's, whatever the exponent's.
fn pow(cx: &mut NodeCx<'_, '_>) -> Converted<Vec<Value>> {
    let (x, y) = legacy_operands(cx)?;
    let (base, exponent) = (cx.dtype(x), cx.dtype(y));
    if base.is_int() && exponent.is_float() {
        let (x, y) = (cx.cast(x, DType::F64)?, cx.cast(y, DType::F64)?);
        let power = cx.map(ops::Pow {}, &[x, y])?;
        return Ok(vec![cx.cast(power, base)?]);
    }
    if let Some(power) = small_power(cx, x, y)? {
        return Ok(vec![power]);
    }
    let y = cx.cast(y, base)?;
    Ok(vec![cx.map(ops::Pow {}, &[x, y])?])
}

/// A square or a square root, where the exponent is that constant.
fn small_power(cx: &mut NodeCx<'_, '_>, x: Value, y: Value) -> Converted<Option<Value>> {
    let exponent = cx.splat_of(y).map(|s| s.to_f64());
    let (Some(exponent), true) = (exponent, cx.rank(y) <= cx.rank(x) && cx.dtype(x).is_float())
    else {
        return Ok(None);
    };
    if cx.ty(y).shape.iter().any(|d| *d != 1) {
        return Ok(None);
    }
    match exponent {
        2.0 => Ok(Some(cx.map(ops::Mul {}, &[x, x])?)),
        1.0 => Ok(Some(x)),
        _ => Ok(None),
    }
}
