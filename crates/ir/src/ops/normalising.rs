//! What the normalisations share.

use crate::{Add, Broadcast, Builder, Literal, Mean, Shape, TypeError, Value, require};

/// `1 / √(variance + epsilon)`.
pub(super) fn inverse_deviation(
    b: &mut Builder<'_>,
    variance: Value,
    epsilon: Literal,
) -> Result<Value, TypeError> {
    let shifted = b.map_scalar(Add {}, variance, epsilon.to_f64())?;
    let deviation = b.sqrt(shifted)?;
    b.reciprocal(deviation)
}

/// `x / √(mean of x² + epsilon)` over axes.
pub(super) fn divide_by_size(
    b: &mut Builder<'_>,
    x: Value,
    axes: &[usize],
    epsilon: Literal,
) -> Result<Value, TypeError> {
    let squares = b.mul(x, x)?;
    let variance = b.op1(Mean { axes: axes.to_vec() }, &[squares])?;
    let inverse = inverse_deviation(b, variance, epsilon)?;
    let inverse = b.spread_like(inverse, x, axes)?;
    b.mul(x, inverse)
}

/// `(x − mean) / √(variance + epsilon)` over axes, the variance that of the elements themselves.
pub(super) fn standardise(
    b: &mut Builder<'_>,
    x: Value,
    axes: &[usize],
    epsilon: Literal,
) -> Result<Value, TypeError> {
    let mean = b.op1(Mean { axes: axes.to_vec() }, &[x])?;
    let mean = b.spread_like(mean, x, axes)?;
    let centred = b.sub(x, mean)?;
    divide_by_size(b, centred, axes, epsilon)
}

/// Repeats one number per channel over a shape.
///
/// # Errors
/// When the value is not one number per channel; the message cites C2.
pub(super) fn per_channel(
    b: &mut Builder<'_>,
    value: Value,
    shape: &Shape,
    axis: usize,
) -> Result<Value, TypeError> {
    let ty = b.ty(value);
    let fits = ty.rank() == 1 && *ty.dim(0) == shape[axis];
    require!(fits, "C2: {ty} for {} channels", shape[axis]);
    b.op1(Broadcast { shape: shape.clone(), axes: vec![axis] }, &[value])
}

/// `x · scale + bias` with one scale and bias per channel, where there are any.
pub(super) fn scale_channels(
    b: &mut Builder<'_>,
    x: Value,
    parameters: &[Value],
    axis: usize,
) -> Result<Value, TypeError> {
    let shape = b.shape(x);
    let mut y = x;
    if let Some(&scale) = parameters.first() {
        let scale = per_channel(b, scale, &shape, axis)?;
        y = b.mul(y, scale)?;
    }
    if let Some(&bias) = parameters.get(1) {
        let bias = per_channel(b, bias, &shape, axis)?;
        y = b.add(y, bias)?;
    }
    Ok(y)
}

/// The operands of an operator that takes `x` and up to `most` parameters.
///
/// # Errors
/// When there are more or none.
pub(super) fn with_parameters(
    operands: &[Value],
    most: usize,
) -> Result<(Value, &[Value]), TypeError> {
    match operands {
        [x, parameters @ ..] if parameters.len() <= most => Ok((*x, parameters)),
        _ => Err(TypeError::arity(&format!("1 to {}", most + 1), operands.len())),
    }
}
