//! Laws of conversions.

use tracelift_tensor::DType;

use super::{Law, Site};
use crate::{ExprId, ExprNode, Op};

pub(super) const LAWS: &[Law] = &[same_dtype, there_and_back, rewiden, bitcast_twice];

/// A cast or bitcast to the dtype it is of is nothing.
fn same_dtype(site: &mut Site<'_>) -> Option<ExprId> {
    let x = site.operands[0];
    match site.op {
        Op::Cast(to) | Op::Bitcast(to) => (site.b.dtype_of(x) == to).then_some(x),
        _ => None,
    }
}

/// The cast under a cast: its dtype and its operand.
fn inner_cast(site: &Site<'_>) -> Option<(DType, ExprId)> {
    match site.b.node(site.operands[0]) {
        ExprNode::Apply(Op::Cast(middle), operands) => Some((*middle, operands[0])),
        _ => None,
    }
}

/// Casting to a dtype that holds every value, and back, is nothing.
fn there_and_back(site: &mut Site<'_>) -> Option<ExprId> {
    let Op::Cast(to) = site.op else { return None };
    let (middle, x) = inner_cast(site)?;
    (site.b.dtype_of(x) == to && holds_all(middle, to)).then_some(x)
}

/// Casting to a dtype that holds every value, and on, is casting at once.
fn rewiden(site: &mut Site<'_>) -> Option<ExprId> {
    let Op::Cast(to) = site.op else { return None };
    let (middle, x) = inner_cast(site)?;
    let from = site.b.dtype_of(x);
    if holds_all(middle, from) && middle.is_float() == from.is_float() {
        return site.build(Op::Cast(to), &[x]);
    }
    None
}

/// Two bitcasts are one.
fn bitcast_twice(site: &mut Site<'_>) -> Option<ExprId> {
    let Op::Bitcast(to) = site.op else { return None };
    let ExprNode::Apply(Op::Bitcast(_), operands) = site.b.node(site.operands[0]) else {
        return None;
    };
    let x = operands[0];
    site.build(Op::Bitcast(to), &[x])
}

/// Whether `wide` has every value of `narrow`.
fn holds_all(wide: DType, narrow: DType) -> bool {
    let bits = |dtype: DType| match dtype {
        DType::Bool => 1,
        DType::F32 => 24,
        DType::F64 => 53,
        dtype => 8 * dtype.size_bytes() - usize::from(dtype.is_signed_int()),
    };
    match (wide, narrow) {
        _ if wide == narrow => true,
        (DType::Bool, _) => false,
        _ if narrow.is_float() => wide == DType::F64 && narrow == DType::F32,
        _ if narrow.is_signed_int() && !wide.is_signed_int() && !wide.is_float() => false,
        _ => bits(narrow) <= bits(wide),
    }
}
