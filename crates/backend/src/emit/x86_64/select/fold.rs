//! Folds over the columns of a tile.

use tracelift_loops::ValueId;
use tracelift_scalar::Op;
use tracelift_tensor::{DType, Scalar};

use super::Selector;
use crate::emit::x86_64::{
    Unsupported,
    program::{Class, Source, V, VInst},
};

impl Selector<'_, '_, '_> {
    /// Folds vectors pairwise, then the lanes with each other; every lane ends with the result.
    pub(super) fn fold_columns(
        &mut self,
        op: Op,
        value: ValueId,
        row: usize,
    ) -> Result<V, Unsupported> {
        let dtype = self.dtypes[value.index()];
        if !self.variances[value.index()].columns {
            let n: usize = self.chunks.iter().map(|c| c.1).sum();
            let one = self.value(value, row, 0)?;
            return match n {
                1 => Ok(one),
                _ => Err(Unsupported("a fold over equal columns")),
            };
        }
        let mut parts = Vec::with_capacity(self.chunks.len());
        for chunk in 0..self.chunks.len() {
            let part = self.value(value, row, chunk)?;
            parts.push(match self.mask_of(chunk) {
                // Lanes beyond the columns must not count.
                Some(mask) => {
                    let identity = self.identity(op, dtype)?;
                    let to = self.register(Class::Vector);
                    let x = Source::Register(part);
                    self.push(VInst::Choose { to, mask, x, y: identity, is_wide: false });
                    to
                }
                None => part,
            });
        }
        while parts.len() > 1 {
            let mut next = Vec::with_capacity(parts.len().div_ceil(2));
            for pair in parts.chunks(2) {
                next.push(match *pair {
                    [x, y] => self.apply(op, &[(x, dtype), (y, dtype)])?,
                    [x, ..] => x,
                    [] => unreachable!("chunks are not empty"),
                });
            }
            parts = next;
        }
        let mut total = parts[0];
        let mut distance = self.width.lanes() / 2;
        while distance > 0 {
            let to = self.register(Class::Vector);
            self.push(VInst::Exchange { to, a: total, distance });
            total = self.apply(op, &[(total, dtype), (to, dtype)])?;
            distance /= 2;
        }
        Ok(total)
    }

    fn identity(&mut self, op: Op, dtype: DType) -> Result<V, Unsupported> {
        let scalar = match (op, dtype) {
            (Op::Add, DType::F32) => Scalar::F32(-0.0),
            (Op::Add, _) => Scalar::zero(dtype),
            (Op::Mul, _) => Scalar::from_i64(dtype, 1),
            (Op::Min, DType::F32) => Scalar::F32(f32::INFINITY),
            (Op::Max, DType::F32) => Scalar::F32(f32::NEG_INFINITY),
            (Op::Min, _) => Scalar::highest(dtype),
            (Op::Max, _) => Scalar::lowest(dtype),
            _ => return Err(Unsupported("a fold by another operation")),
        };
        self.literal(scalar)
    }
}
