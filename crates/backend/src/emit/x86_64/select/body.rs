//! The loops of a tile and the copies of its body.

use tracelift_loops::{AxisId, Inst, ValueId};
use tracelift_scalar::{Guard, IndexTerm};

use super::Selector;
use crate::emit::x86_64::{
    Unsupported,
    program::{V, VInst},
};

impl<'t> Selector<'t, '_, '_> {
    pub(super) fn loops(&mut self, loops: &[AxisId]) -> Result<(), Unsupported> {
        match loops {
            [] => self.body(),
            [axis, inner @ ..] if self.is_tested(*axis) => {
                for ahead in 0..self.kernel.axes[*axis].extent {
                    self.ahead.push((*axis, ahead));
                    self.loops(inner)?;
                    self.ahead.pop();
                }
                Ok(())
            }
            [axis] => self.innermost(*axis),
            [axis, inner @ ..] => {
                let extent = self.kernel.axes[*axis].extent;
                self.push(VInst::LoopStart { axis: *axis, trips: extent });
                self.loops(inner)?;
                self.push(VInst::LoopEnd { axis: *axis, step: 1 });
                self.push(VInst::Rewind { axis: *axis, steps: extent });
                Ok(())
            }
        }
    }

    /// The innermost loop, unrolled, and the iterations left over after it.
    fn innermost(&mut self, axis: AxisId) -> Result<(), Unsupported> {
        let extent = self.kernel.axes[axis].extent;
        let unroll = self.tile.unroll.clamp(1, extent);
        let trips = extent / unroll;
        let looped = if trips > 1 { trips * unroll } else { 0 };
        if looped > 0 {
            self.push(VInst::LoopStart { axis, trips });
            self.copies(axis, unroll)?;
            self.push(VInst::LoopEnd { axis, step: unroll });
        }
        self.copies(axis, extent - looped)?;
        if looped > 0 {
            self.push(VInst::Rewind { axis, steps: looped });
        }
        Ok(())
    }

    /// Consecutive copies of the body.
    fn copies(&mut self, axis: AxisId, n: usize) -> Result<(), Unsupported> {
        for ahead in 0..n {
            self.ahead.push((axis, ahead));
            self.body()?;
            self.ahead.pop();
        }
        Ok(())
    }

    /// The conditions that a value tests, where it does.
    pub(super) fn test(&self, value: ValueId) -> Option<&'t [Guard]> {
        match &self.tile.insts[value.index()] {
            Inst::Test(guards) => Some(guards),
            _ => None,
        }
    }

    /// Whether conditions in the body depend on an axis.
    fn is_tested(&self, axis: AxisId) -> bool {
        self.tile.insts[self.tile.body()].iter().any(|inst| match inst {
            Inst::Test(guards) => guards.iter().any(|g| g.expr.mentions(axis)),
            _ => false,
        })
    }

    /// Whether conditions hold at a row of the copy being selected; an error where that changes as
    /// the code runs.
    pub(super) fn holds(&self, guards: &[Guard], row: usize) -> Result<bool, Unsupported> {
        for guard in guards {
            let mut at = guard.expr.constant;
            for (term, factor) in &guard.expr.terms {
                let IndexTerm::Axis(axis) = term else {
                    return Err(Unsupported("a condition on a quotient"));
                };
                let ahead = self.ahead.iter().find(|(a, _)| a == axis).map(|(_, n)| *n);
                at += factor
                    * match ahead {
                        _ if *axis == self.tile.rows => row,
                        Some(n) if self.is_tested(*axis) => n,
                        _ if self.kernel.axes[*axis].extent == 1 => 0,
                        _ => return Err(Unsupported("a condition on coordinates")),
                    } as i64;
            }
            if !(0..guard.extent).contains(&at) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// One copy of the body.
    fn body(&mut self) -> Result<(), Unsupported> {
        let body = self.tile.body();
        let first_slot = |inst: usize| self.slots.get(inst).copied().unwrap_or(self.values.len());
        let slots = first_slot(body.start)..first_slot(body.end);
        self.values[slots].fill(None);
        self.next.fill(None);
        self.bases.clear();
        let begin = self.program.insts.len();
        self.body_points()?;
        let mut moves: Vec<(V, V)> = Vec::new();
        for inst in self.accumulators() {
            for (row, chunk) in self.places(inst) {
                let slot = self.slot(inst, row, chunk);
                let held = self.values[slot].expect("an accumulator starts with a value");
                if let Some(next) = self.next[slot].filter(|next| *next != held) {
                    moves.push((held, next));
                }
            }
        }
        self.update(begin, &moves);
        Ok(())
    }

    /// The stores and updates of the body, some vectors of all rows after the other.
    fn body_points(&mut self) -> Result<(), Unsupported> {
        let body = self.tile.body();
        let is_ordered = self.has_hazard(&body);
        if self.in_turns && !is_ordered {
            return body.into_iter().try_for_each(|k| self.points(k..k + 1, self.all_chunks()));
        }
        let n = if is_ordered { usize::MAX } else { self.side_by_side };
        for start in (0..self.chunks.len()).step_by(n) {
            for inst in body.clone().filter(|_| start > 0) {
                if matches!(self.tile.insts[inst], Inst::Load { .. })
                    && !self.variances[inst].columns
                {
                    for (row, chunk) in self.places(inst) {
                        let slot = self.slot(inst, row, chunk);
                        self.values[slot] = None;
                    }
                }
            }
            let end = start.saturating_add(n).min(self.chunks.len());
            self.points(body.clone(), start..end)?;
        }
        Ok(())
    }
}
