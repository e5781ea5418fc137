//! Lines of memory fetched before they are needed.

use tracelift_loops::{Inst, Place};

use super::Selector;
use crate::emit::x86_64::{
    Unsupported,
    program::{Fetch, VInst},
};

/// The shortest loops during which to fetch what comes after them: in fewer trips there is no time.
const MIN_TRIPS: usize = 48;
/// The smallest buffer worth fetching from, in bytes: others stay in the caches of a core.
const MIN_FETCHED: usize = 1 << 20;
/// The bytes that are fetched at once.
const LINE_BYTES: i64 = 64;

impl Selector<'_, '_, '_> {
    /// Fetches what is read and written after the loops, row by row, while they run.
    pub(super) fn prefetch(&mut self, trips: usize) -> Result<(), Unsupported> {
        if trips < MIN_TRIPS {
            return Ok(());
        }
        let tile = self.tile;
        for inst in tile.finish() {
            let (place, write) = match &tile.insts[inst] {
                Inst::Load { place, guards, .. } if guards.is_empty() => (place, false),
                Inst::Store { place, .. } => (place, true),
                _ => continue,
            };
            let buffer = &self.kernel.buffers[place.buffer];
            let is_far = buffer.len * buffer.dtype.size_bytes() >= MIN_FETCHED;
            let pattern = self.pattern(inst, place)?;
            if !is_far || !self.variances[inst].rows || pattern.column == 0 {
                continue;
            }
            for (row, chunk) in self.places(inst) {
                let at = pattern.at(row, self.chunks[chunk].0, 0)?;
                let kind = if write { Fetch::Write } else { Fetch::Read };
                self.push(VInst::Prefetch { at, kind });
            }
        }
        Ok(())
    }

    /// Fetches the line of a place, unless the copies of the body around this one do so.
    pub(super) fn fetch(&mut self, inst: usize, place: &Place) -> Result<(), Unsupported> {
        let pattern = self.pattern(inst, place)?;
        let innermost = self.ahead.last().copied();
        let step = innermost.map_or(0, |(axis, _)| self.streams.stride(pattern.stream, axis));
        if innermost.is_none_or(|(_, n)| is_due(n, step)) {
            let at = pattern.at(0, 0, self.ahead_by(&pattern))?;
            self.push(VInst::Prefetch { at, kind: Fetch::Ahead });
        }
        Ok(())
    }
}

/// Whether the `n`th of consecutive copies, whose places lie `step` bytes apart, fetches its line:
/// such that no line between those fetched is left out, wherever lines begin.
fn is_due(n: usize, step: i64) -> bool {
    let mut last = 0;
    for k in 1..=n as i64 {
        if (k + 1) * step.abs() - last > LINE_BYTES {
            last = k * step.abs();
        }
    }
    last == n as i64 * step.abs() && (n == 0 || step != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_line_is_left_out_between_those_fetched() {
        for step in 0..=LINE_BYTES {
            for unroll in 1..=8 {
                let due: Vec<i64> =
                    (0..unroll).filter(|&n| is_due(n, step)).map(|n| n as i64 * step).collect();
                assert_eq!(due[0], 0);
                // The copies of the next iteration go on where these end.
                let all = [due.as_slice(), &[unroll as i64 * step]].concat();
                assert!(all.windows(2).all(|w| w[1] - w[0] <= LINE_BYTES), "{step}: {all:?}");
                assert!(due.windows(3).all(|w| w[2] - w[0] > LINE_BYTES), "{step}: {all:?}");
            }
        }
    }
}
