//! Coordinates as numbers, and numbers of 64 bits where they are stored.

use tracelift_loops::Variance;
use tracelift_scalar::IndexExpr;

use super::Selector;
use crate::emit::x86_64::{
    Unsupported,
    program::{Class, Half, Number, Two, V, VInst},
    stream::Pattern,
};

impl Selector<'_, '_, '_> {
    /// The value of an index at a row and chunk: one number in all lanes, and what the columns add.
    pub(super) fn coordinate(
        &mut self,
        index: &IndexExpr,
        row: usize,
        chunk: usize,
    ) -> Result<V, Unsupported> {
        let pattern = self.streams.pattern(self.tile, None, index)?;
        let columns = self.chunks[chunk].0 as i64 * pattern.column;
        let number = |n: i64| i32::try_from(n).map_err(|_| Unsupported("a wide coordinate"));
        if self.streams.is_zero(pattern.stream) {
            let first = number(pattern.offset + row as i64 * pattern.row + columns)?;
            return Ok(self.ramp(first, number(pattern.column)?));
        }
        let of = pattern.at(row, 0, self.ahead_by(&pattern))?;
        let known = self.bases.iter().find(|(at, _)| *at == of).map(|(_, v)| *v);
        let base = match known {
            Some(base) => base,
            None => {
                let to = self.register(Class::Vector);
                self.push(VInst::Coordinate { to, of });
                self.bases.push((of, to));
                to
            }
        };
        if pattern.column == 0 {
            return Ok(base);
        }
        let ramp = self.ramp(number(columns)?, number(pattern.column)?);
        Ok(self.two(Two::AddInt, base, ramp))
    }

    fn ramp(&mut self, first: i32, step: i32) -> V {
        if step == 0 {
            return self.bits(first as u32);
        }
        let to = self.register(Class::Vector);
        self.push(VInst::Ramp { to, first, step });
        to
    }

    /// Stores numbers of 32 bits as such of 64.
    pub(super) fn store_wide(
        &mut self,
        from: V,
        pattern: &Pattern,
        variance: Variance,
        row: usize,
        chunk: usize,
    ) -> Result<(), Unsupported> {
        let (start, n) = self.chunks[chunk];
        let ahead = self.ahead_by(pattern);
        let lanes = self.width.lanes() / 2;
        if pattern.column == 0 {
            if variance.columns {
                return Err(Unsupported("several columns stored in one place"));
            }
            let (to, from) = (pattern.at(row, start, ahead)?, self.widen(from, Half::Low));
            self.push(VInst::StoreOne { to, from, is_wide: true });
            return Ok(());
        }
        for (half, first) in [(Half::Low, 0), (Half::High, lanes)] {
            let n = n.saturating_sub(first).min(lanes);
            if n == 0 {
                continue;
            }
            let to = pattern.at(row, start + first, ahead)?;
            let from = self.widen(from, half);
            let mask = (n < lanes).then(|| {
                let mask = self.register(self.width.mask_class());
                // Two lanes of 32 bits are one of 64.
                self.push(VInst::Tail { to: mask, lanes: 2 * n });
                mask
            });
            self.push(VInst::Store { to, from, mask });
        }
        Ok(())
    }

    fn widen(&mut self, a: V, half: Half) -> V {
        let to = self.register(Class::Vector);
        self.push(VInst::Widen { to, a, half, number: Number::Signed });
        to
    }
}
