//! Laws of bits, bools and shifts.

use tracelift_tensor::{DType, Scalar};

use super::{Law, Site};
use crate::{ExprId, ExprNode, Op};

pub(super) const LAWS: &[Law] =
    &[double_complement, neutral, absorbing, idempotent, cancel_self, shift, complement_comparison];

/// `¬¬x = x`.
fn double_complement(site: &mut Site<'_>) -> Option<ExprId> {
    if site.op == Op::Not { site.under(Op::Not, site.operands[0]) } else { None }
}

fn all_ones(dtype: DType) -> Scalar {
    Scalar::from_bits(dtype, u64::MAX)
}

/// `x & 1…1 = x`, `x | 0 = x`, `x ^ 0 = x`.
fn neutral(site: &mut Site<'_>) -> Option<ExprId> {
    let (x, literal) = site.with_literal(site.op)?;
    let dtype = literal.dtype();
    let is_neutral = match site.op {
        Op::And => literal == all_ones(dtype),
        Op::Or | Op::Xor => literal == Scalar::zero(dtype),
        _ => false,
    };
    is_neutral.then_some(x)
}

/// `x & 0 = 0`, `x | 1…1 = 1…1`.
fn absorbing(site: &mut Site<'_>) -> Option<ExprId> {
    let (_, literal) = site.with_literal(site.op)?;
    let dtype = literal.dtype();
    let is_absorbing = match site.op {
        Op::And => literal == Scalar::zero(dtype),
        Op::Or => literal == all_ones(dtype),
        _ => false,
    };
    is_absorbing.then(|| site.operands[1])
}

/// `x & x = x`, `x | x = x`.
fn idempotent(site: &mut Site<'_>) -> Option<ExprId> {
    let (x, y) = site.two(site.op)?;
    (x == y && matches!(site.op, Op::And | Op::Or)).then_some(x)
}

/// `x ^ x = 0`.
fn cancel_self(site: &mut Site<'_>) -> Option<ExprId> {
    let (x, y) = site.two(Op::Xor)?;
    if x == y { site.constant(Scalar::zero(site.b.dtype_of(x))) } else { None }
}

/// `x << 0 = x`, `x >> 0 = x`; `x << n = 0` for `n` at least the bits of `x`.
fn shift(site: &mut Site<'_>) -> Option<ExprId> {
    if !matches!(site.op, Op::Shl | Op::Shr) {
        return None;
    }
    let (x, literal) = site.with_literal(site.op)?;
    let n_bits = 8 * literal.dtype().size_bytes() as u64;
    match literal.to_bits() {
        0 => Some(x),
        n if n >= n_bits && site.op == Op::Shl => site.constant(Scalar::zero(literal.dtype())),
        _ => None,
    }
}

/// `¬(x = y) = (x ≠ y)` and back; but for floats, whose NaN is neither, `¬(x < y) = (x ≥ y)` and so on.
fn complement_comparison(site: &mut Site<'_>) -> Option<ExprId> {
    if site.op != Op::Not {
        return None;
    }
    let ExprNode::Apply(op, operands) = site.b.node(site.operands[0]) else { return None };
    let (op, operands) = (*op, operands.clone());
    let is_float = site.b.dtype_of(operands[0]).is_float();
    let complement = match op {
        Op::Eq => Op::Ne,
        Op::Ne => Op::Eq,
        Op::Lt if !is_float => Op::Ge,
        Op::Ge if !is_float => Op::Lt,
        Op::Gt if !is_float => Op::Le,
        Op::Le if !is_float => Op::Gt,
        _ => return None,
    };
    site.build(complement, &operands)
}
