//! Where the integer values of a tile lie, for places that depend on them.

use tracelift_scalar::Op;
use tracelift_tensor::{DType, Scalar};

use super::{
    interval::Interval,
    region::{Linear, Region},
};
use crate::{Inst, Tile, ValueId};

/// An interval for every value of a well-typed tile; those of floats mean nothing.
///
/// `region` is where the tile runs: it knows the guards around the tile, none inside.
pub(crate) fn value_ranges(tile: &Tile, dtypes: &[DType], region: &Region) -> Vec<Interval> {
    let mut out: Vec<Interval> = Vec::with_capacity(dtypes.len());
    for (inst, &dtype) in tile.insts.iter().zip(dtypes) {
        let whole = Interval::of_dtype(dtype);
        let range = match inst {
            Inst::Const(scalar) if !dtype.is_float() => Interval::single(wide(*scalar)),
            Inst::Index(e) => region.bounds(&Linear::of(e)),
            Inst::Apply(op, operands) if !dtype.is_float() => {
                let from = operands.first().map_or(dtype, |v| dtypes[v.index()]);
                apply(*op, from, operands, &out).unwrap_or(whole)
            }
            Inst::FoldColumns(Op::Min | Op::Max, v) => out[v.index()],
            _ => whole,
        };
        // Integers wrap, so a result outside the dtype can be anything.
        out.push(if range.is_within(whole) { range } else { whole });
    }
    out
}

fn wide(scalar: Scalar) -> i128 {
    match scalar {
        Scalar::Unsigned(_, u) => u.into(),
        other => other.to_i64().into(),
    }
}

fn apply(op: Op, from: DType, operands: &[ValueId], known: &[Interval]) -> Option<Interval> {
    if from.is_float() {
        return None;
    }
    let operand = |k: usize| operands.get(k).map(|v| known[v.index()]);
    let x = operand(0)?;
    Some(match op {
        Op::Cast(DType::Bool) => return None,
        Op::Cast(_) => x,
        Op::Neg => x.scale(-1),
        Op::Add => x.add(operand(1)?),
        Op::Sub => x.add(operand(1)?.scale(-1)),
        Op::Mul => x.corners(operand(1)?, i128::saturating_mul),
        Op::Min => x.corners(operand(1)?, i128::min),
        Op::Max => x.corners(operand(1)?, i128::max),
        Op::Div => divide(x, constant(operand(1)?)?),
        Op::Rem => remainder(x, constant(operand(1)?)?),
        Op::And if operand(1)?.low >= 0 => Interval::new(0, operand(1)?.high),
        Op::Select => operand(1)?.join(operand(2)?),
        _ => return None,
    })
}

/// The divisor, where it is one number other than 0.
fn constant(range: Interval) -> Option<i128> {
    (range.low == range.high && range.low != 0).then_some(range.low)
}

/// Truncating division.
fn divide(x: Interval, by: i128) -> Interval {
    let (a, b) = (x.low / by, x.high / by);
    Interval::new(a.min(b), a.max(b))
}

/// The remainder with the sign of `x`.
fn remainder(x: Interval, by: i128) -> Interval {
    let most = by.abs() - 1;
    Interval::new(x.low.max(-most).min(0), x.high.min(most).max(0))
}
