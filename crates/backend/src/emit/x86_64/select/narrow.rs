//! Integers of 64 bits whose values fit into 32, so that a lane holds one.

use tracelift_loops::{Inst, Kernel, Tile};
use tracelift_scalar::Op;
use tracelift_tensor::{DType, Scalar};

/// The smallest and the largest value.
type Range = (i64, i64);

/// The dtypes that a tile's values have in lanes: `i32` for those of `i64` that always fit.
pub(super) fn dtypes(kernel: &Kernel, tile: &Tile, mut dtypes: Vec<DType>) -> Vec<DType> {
    if !dtypes.contains(&DType::I64) {
        return dtypes;
    }
    let extents = kernel.extents();
    let mut ranges: Vec<Option<Range>> = Vec::with_capacity(dtypes.len());
    for (k, inst) in tile.insts.iter().enumerate() {
        let range = match inst {
            _ if dtypes[k] != DType::I64 => None,
            Inst::Index(index) => Some(index.bounds(&extents)),
            Inst::Const(Scalar::Signed(_, value)) => Some((*value, *value)),
            Inst::Apply(Op::Cast(_), operands) => match dtypes[operands[0].index()] {
                DType::Bool => Some((0, 1)),
                DType::I32 => Some((i32::MIN.into(), i32::MAX.into())),
                _ => None,
            },
            Inst::Apply(op, operands) => {
                let numbers = operands.iter().skip(usize::from(*op == Op::Select));
                let known: Option<Vec<Range>> = numbers.map(|v| ranges[v.index()]).collect();
                known.and_then(|known| range_of(*op, &known))
            }
            _ => None,
        };
        let fits = |x: &i64| i32::try_from(*x).is_ok();
        let range = range.filter(|(low, high)| fits(low) && fits(high));
        if range.is_some() {
            dtypes[k] = DType::I32;
        }
        ranges.push(range);
    }
    dtypes
}

/// The values of an operation over numbers of 32 bits.
fn range_of(op: Op, operands: &[Range]) -> Option<Range> {
    let [(a, b), (c, d)] = *operands else { return None };
    match op {
        Op::Select => Some((a.min(c), b.max(d))),
        Op::Min => Some((a.min(c), b.min(d))),
        Op::Max => Some((a.max(c), b.max(d))),
        Op::Add => Some((a + c, b + d)),
        Op::Sub => Some((a - d, b - c)),
        Op::Mul => {
            let corners = [a * c, a * d, b * c, b * d];
            Some((*corners.iter().min()?, *corners.iter().max()?))
        }
        _ => None,
    }
}
