//! Laws of sums, products and signs.

use tracelift_tensor::Scalar;

use super::{Law, Site, equals};
use crate::{ExprId, ExprNode, Op};

pub(super) const LAWS: &[Law] = &[
    literal_right,
    neutral,
    absorbing,
    collect_literals,
    double_negation,
    absolute,
    add_negated,
    subtract_negated,
    multiply_negated,
    negate_by_product,
    divide_by_power_of_two,
    subtract_self,
    whole_of_whole,
    sign_of_sign,
];

/// `c ∘ x = x ∘ c` for commutative `∘`.
fn literal_right(site: &mut Site<'_>) -> Option<ExprId> {
    let [x, y] = *site.operands.as_slice() else { return None };
    let moves = site.op.is_commutative() && site.literal(x).is_some() && site.literal(y).is_none();
    if moves { site.build(site.op, &[y, x]) } else { None }
}

/// `x + (−0) = x`, `x − 0 = x`, `x · 1 = x`, `x / 1 = x`, `x¹ = x`; integers have one zero.
fn neutral(site: &mut Site<'_>) -> Option<ExprId> {
    let (x, literal) = site.with_literal(site.op)?;
    let is_neutral = match site.op {
        Op::Add => equals(literal, -0.0),
        Op::Sub => equals(literal, 0.0),
        Op::Mul | Op::Div | Op::Pow => equals(literal, 1.0),
        _ => false,
    };
    is_neutral.then_some(x)
}

/// Integers: `x · 0 = 0`, `x / 0 = 0`, `x % 0 = 0`, `x % 1 = 0`.
fn absorbing(site: &mut Site<'_>) -> Option<ExprId> {
    let (_, literal) = site.with_literal(site.op)?;
    if literal.dtype().is_float() {
        return None;
    }
    let is_absorbing = match site.op {
        Op::Mul | Op::Div => equals(literal, 0.0),
        Op::Rem => equals(literal, 0.0) || equals(literal, 1.0),
        _ => false,
    };
    if is_absorbing { site.constant(Scalar::zero(literal.dtype())) } else { None }
}

/// Integers: `(x ∘ c) ∘ d = x ∘ (c ∘ d)` for `∘` in `+ · & | ^`.
fn collect_literals(site: &mut Site<'_>) -> Option<ExprId> {
    let (inner, outer_literal) = site.with_literal(site.op)?;
    let is_associative = matches!(site.op, Op::Add | Op::Mul | Op::And | Op::Or | Op::Xor);
    let ExprNode::Apply(op, operands) = site.b.node(inner) else { return None };
    if site.is_float() || !is_associative || *op != site.op {
        return None;
    }
    let (x, inner_literal) = (operands[0], site.literal(operands[1])?);
    let literal = site.b.constant(site.op.eval(&[inner_literal, outer_literal]));
    site.build(site.op, &[x, literal])
}

/// `−(−x) = x`.
fn double_negation(site: &mut Site<'_>) -> Option<ExprId> {
    if site.op == Op::Neg { site.under(Op::Neg, site.operands[0]) } else { None }
}

/// `|−x| = |x|`, `||x|| = |x|`; unsigned `|x| = x`.
fn absolute(site: &mut Site<'_>) -> Option<ExprId> {
    if site.op != Op::Abs {
        return None;
    }
    let x = site.operands[0];
    let dtype = site.b.dtype_of(x);
    if dtype.is_int() && !dtype.is_signed_int() {
        return Some(x);
    }
    let inner = site.under(Op::Neg, x).or_else(|| site.under(Op::Abs, x))?;
    site.build(Op::Abs, &[inner])
}

/// `x + (−y) = x − y`, `(−x) + y = y − x`.
fn add_negated(site: &mut Site<'_>) -> Option<ExprId> {
    let (x, y) = site.two(Op::Add)?;
    if let Some(y) = site.under(Op::Neg, y) {
        return site.build(Op::Sub, &[x, y]);
    }
    let x = site.under(Op::Neg, x)?;
    site.build(Op::Sub, &[y, x])
}

/// `x − (−y) = x + y`.
fn subtract_negated(site: &mut Site<'_>) -> Option<ExprId> {
    let (x, y) = site.two(Op::Sub)?;
    let y = site.under(Op::Neg, y)?;
    site.build(Op::Add, &[x, y])
}

/// `(−x) · (−y) = x · y`; floats: `(−x) / (−y) = x / y`.
fn multiply_negated(site: &mut Site<'_>) -> Option<ExprId> {
    if !(site.op == Op::Mul || (site.op == Op::Div && site.is_float())) {
        return None;
    }
    let (x, y) = site.two(site.op)?;
    let (x, y) = (site.under(Op::Neg, x)?, site.under(Op::Neg, y)?);
    site.build(site.op, &[x, y])
}

/// `x · (−1) = −x`.
fn negate_by_product(site: &mut Site<'_>) -> Option<ExprId> {
    let (x, literal) = site.with_literal(Op::Mul)?;
    let dtype = literal.dtype();
    let is_signed = dtype.is_float() || dtype.is_signed_int();
    if is_signed && equals(literal, -1.0) { site.build(Op::Neg, &[x]) } else { None }
}

/// Floats: `x / 2ᵏ = x · 2⁻ᵏ` where both powers are normal numbers.
fn divide_by_power_of_two(site: &mut Site<'_>) -> Option<ExprId> {
    let (x, literal) = site.with_literal(Op::Div)?;
    let is_power = match literal {
        Scalar::F32(v) => v.is_normal() && v.recip().is_normal() && v.to_bits() << 9 == 0,
        Scalar::F64(v) => v.is_normal() && v.recip().is_normal() && v.to_bits() << 12 == 0,
        _ => false,
    };
    if !is_power {
        return None;
    }
    let reciprocal = site.b.constant_like(x, 1.0 / literal.to_f64());
    site.build(Op::Mul, &[x, reciprocal])
}

/// Integers: `x − x = 0`.
fn subtract_self(site: &mut Site<'_>) -> Option<ExprId> {
    let (x, y) = site.two(Op::Sub)?;
    if x == y && !site.is_float() {
        return site.constant(Scalar::zero(site.b.dtype_of(x)));
    }
    None
}

/// `⌊x⌋`, `⌈x⌉`, … of what is already whole is itself.
fn whole_of_whole(site: &mut Site<'_>) -> Option<ExprId> {
    const ROUNDINGS: [Op; 4] = [Op::Floor, Op::Ceil, Op::Round, Op::Trunc];
    let x = site.operands[0];
    let is_whole = match site.b.node(x) {
        ExprNode::Apply(Op::Cast(_), from) => !site.b.dtype_of(from[0]).is_float(),
        ExprNode::Apply(op, _) => ROUNDINGS.contains(op) || *op == Op::Sign,
        _ => false,
    };
    (ROUNDINGS.contains(&site.op) && is_whole).then_some(x)
}

/// `sign (sign x) = sign x`.
fn sign_of_sign(site: &mut Site<'_>) -> Option<ExprId> {
    let x = site.operands[0];
    (site.op == Op::Sign && site.under(Op::Sign, x).is_some()).then_some(x)
}
