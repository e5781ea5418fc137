//! Laws of selects, comparisons, minima and maxima.

use tracelift_tensor::Scalar;

use super::{Law, Site};
use crate::{ExprId, Op};

pub(super) const LAWS: &[Law] =
    &[known_condition, same_branches, swap_branches, bool_of_bool, extreme_of_same, compare_self];

/// `select(true, x, y) = x`, `select(false, x, y) = y`.
fn known_condition(site: &mut Site<'_>) -> Option<ExprId> {
    if site.op != Op::Select {
        return None;
    }
    let Scalar::Bool(condition) = site.literal(site.operands[0])? else { return None };
    Some(site.operands[if condition { 1 } else { 2 }])
}

/// `select(c, x, x) = x`.
fn same_branches(site: &mut Site<'_>) -> Option<ExprId> {
    match (site.op, site.operands.as_slice()) {
        (Op::Select, [_, x, y]) if x == y => Some(*x),
        _ => None,
    }
}

/// `select(¬c, x, y) = select(c, y, x)`.
fn swap_branches(site: &mut Site<'_>) -> Option<ExprId> {
    match (site.op, site.operands.as_slice()) {
        (Op::Select, &[c, x, y]) => {
            let c = site.under(Op::Not, c)?;
            site.build(Op::Select, &[c, y, x])
        }
        _ => None,
    }
}

/// `select(c, true, false) = c`, `select(c, false, true) = ¬c`.
fn bool_of_bool(site: &mut Site<'_>) -> Option<ExprId> {
    if site.op != Op::Select {
        return None;
    }
    let condition = site.operands[0];
    match (site.literal(site.operands[1])?, site.literal(site.operands[2])?) {
        (Scalar::Bool(true), Scalar::Bool(false)) => Some(condition),
        (Scalar::Bool(false), Scalar::Bool(true)) => site.build(Op::Not, &[condition]),
        _ => None,
    }
}

/// `min(x, x) = max(x, x) = x`.
fn extreme_of_same(site: &mut Site<'_>) -> Option<ExprId> {
    let (x, y) = site.two(site.op)?;
    (x == y && matches!(site.op, Op::Min | Op::Max)).then_some(x)
}

/// Not for floats, whose NaN differs from itself: `x = x`, `x ≤ x`, `x ≥ x` hold; `x ≠ x`, `x < x`, `x > x` do not.
/// Floats: `x < x` and `x > x` never hold.
fn compare_self(site: &mut Site<'_>) -> Option<ExprId> {
    let (x, y) = site.two(site.op)?;
    let holds = match site.op {
        Op::Lt | Op::Gt => false,
        Op::Eq | Op::Le | Op::Ge if !site.is_float() => true,
        Op::Ne if !site.is_float() => false,
        _ => return None,
    };
    if x == y { site.constant(Scalar::Bool(holds)) } else { None }
}
