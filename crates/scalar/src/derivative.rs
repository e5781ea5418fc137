//! The derivative of an expression with respect to one of its inputs.
//!
//! Where a function has a corner, the value is PyTorch's. `|x|` and `sign`: 0 at 0. `max(x, y)` and
//! `min(x, y)` of two computed values: half to each where they are equal. `max(x, c)` and `min(x, c)` with a literal `c`: 0
//! at `x = c`, so that `relu'(0) = 0`. Roundings, `sign`, comparisons and conversions to integers are flat. A select
//! follows the branch it takes.

mod rules;
#[cfg(test)]
mod tests;

use tracelift_tensor::Scalar;

use crate::{Expr, ExprBuilder, ExprId, ExprNode, Op, simplify};

/// The derivative of `expr` with respect to input `input`, over the same inputs and in the dtype of `expr`.
///
/// `None` where the input or the expression is no float, or where the input's bits are read by a bitcast.
/// An input that does not occur has derivative 0.
pub fn derivative(expr: &Expr, input: u32) -> Option<Expr> {
    if !expr.dtype().is_float() {
        return None;
    }
    let mut b = ExprBuilder::default();
    let mut values: Vec<ExprId> = Vec::with_capacity(expr.nodes().len());
    let mut tangents: Vec<Option<ExprId>> = Vec::with_capacity(expr.nodes().len());
    for (node, &dtype) in expr.nodes().iter().zip(expr.dtypes()) {
        let (value, tangent) = match node {
            ExprNode::Input(k) => {
                let value = b.input(*k, dtype);
                let is_ours = *k == input;
                if is_ours && !dtype.is_float() {
                    return None;
                }
                (value, is_ours.then(|| b.constant(Scalar::one(dtype))))
            }
            ExprNode::Index(axis) => (b.index(*axis), None),
            ExprNode::Const(scalar) => (b.constant(*scalar), None),
            ExprNode::Apply(op, operands) => {
                let args: Vec<ExprId> = operands.iter().map(|o| values[o.index()]).collect();
                let parts: Vec<_> = operands.iter().map(|o| tangents[o.index()]).collect();
                let value = b.apply(*op, &args);
                (value, chain(&mut b, *op, value, &args, &parts)?)
            }
        };
        values.push(value);
        tangents.push(tangent);
    }
    let zero = Scalar::zero(expr.dtype());
    let root = tangents[expr.root().index()].unwrap_or_else(|| b.constant(zero));
    Some(simplify(&b.finish(root)))
}

/// The tangent of an operation from those of its operands, where `None` inside is an exact zero; `None`
/// outside where there is no derivative.
fn chain(
    b: &mut ExprBuilder,
    op: Op,
    value: ExprId,
    args: &[ExprId],
    tangents: &[Option<ExprId>],
) -> Option<Option<ExprId>> {
    if tangents.iter().all(Option::is_none) {
        return Some(None);
    }
    match op {
        Op::Bitcast(_) => return None,
        Op::Cast(to) if !to.is_float() => return Some(None),
        Op::Cast(_) => return Some(tangents[0].map(|t| b.apply(op, &[t]))),
        _ => {}
    }
    if !b.dtype_of(value).is_float() {
        return Some(None);
    }
    Some(rules::Rule { b, value, args, tangents }.tangent(op))
}
