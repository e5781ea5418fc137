//! Conditions on coordinates.

use cranelift_codegen::ir::{InstBuilder, Value, condcodes::IntCC, types};
use tracelift_scalar::Guard;

use super::{Emitter, address::Point};

/// Whether something happens.
#[derive(Clone, Copy, Debug)]
pub(super) enum Condition {
    Always,
    Never,
    /// Where this `i8` is not 0.
    If(Value),
}

impl Emitter<'_, '_> {
    /// Whether all guards hold at a point.
    pub(super) fn guards(&mut self, guards: &[Guard], point: &Point) -> Condition {
        guards.iter().fold(Condition::Always, |all, guard| match all {
            Condition::Never => Condition::Never,
            _ => {
                let one = self.guard(guard, point);
                self.both(all, one)
            }
        })
    }

    fn guard(&mut self, guard: &Guard, point: &Point) -> Condition {
        let expr = point.resolve(&guard.expr, &self.extents);
        let resolved = Guard { expr, extent: guard.extent };
        match resolved.decide(&self.extents) {
            Some(true) => Condition::Always,
            Some(false) => Condition::Never,
            None => {
                let value = self.index(&resolved.expr);
                // One unsigned comparison: negative values are above every extent.
                Condition::If(self.b.ins().icmp_imm_s(IntCC::UnsignedLessThan, value, guard.extent))
            }
        }
    }

    /// Whether both conditions hold.
    pub(super) fn both(&mut self, a: Condition, b: Condition) -> Condition {
        match (a, b) {
            (Condition::Never, _) | (_, Condition::Never) => Condition::Never,
            (Condition::Always, other) | (other, Condition::Always) => other,
            (Condition::If(a), Condition::If(b)) => Condition::If(self.b.ins().band(a, b)),
        }
    }

    /// The condition as a bool value.
    pub(super) fn condition_value(&mut self, condition: Condition) -> Value {
        match condition {
            Condition::Always => self.b.ins().iconst(types::I8, 1),
            Condition::Never => self.b.ins().iconst(types::I8, 0),
            Condition::If(value) => value,
        }
    }

    /// Emits `body` so that it runs where the condition holds.
    pub(super) fn when(&mut self, condition: Condition, body: &mut dyn FnMut(&mut Self)) {
        match condition {
            Condition::Always => body(self),
            Condition::Never => {}
            Condition::If(value) => {
                let (then, after) = (self.b.create_block(), self.b.create_block());
                self.b.ins().brif(value, then, &[], after, &[]);
                self.b.switch_to_block(then);
                body(self);
                self.b.ins().jump(after, &[]);
                self.b.switch_to_block(after);
            }
        }
    }
}
