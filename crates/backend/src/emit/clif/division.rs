//! Divisions of coordinates by constants.

use cranelift_codegen::ir::{InstBuilder, Value};
use tracelift_scalar::IndexExpr;

use super::Emitter;

impl Emitter<'_, '_> {
    /// `⌊expr / divisor⌋` for a positive divisor.
    pub(super) fn quotient(&mut self, expr: &IndexExpr, divisor: i64) -> Value {
        let (shift, value, bound) = self.shifted(expr, divisor);
        let quotient = self.divide(value, divisor, bound);
        self.add_constant(quotient, -shift)
    }

    /// `expr − divisor · ⌊expr / divisor⌋` for a positive divisor.
    pub(super) fn remainder(&mut self, expr: &IndexExpr, divisor: i64) -> Value {
        let (_, value, bound) = self.shifted(expr, divisor);
        self.modulo(value, divisor, bound)
    }

    /// A shift `s` and the value `expr + s · divisor`, at least 0 and at most the bound given third.
    fn shifted(&mut self, expr: &IndexExpr, divisor: i64) -> (i64, Value, i64) {
        let (low, high) = expr.bounds(&self.extents);
        let shift =
            if low < 0 { (low.unsigned_abs().div_ceil(divisor.unsigned_abs())) as i64 } else { 0 };
        let value = self.index(&expr.offset(shift * divisor));
        (shift, value, high.saturating_add(shift * divisor))
    }

    /// `x mod divisor` for `0 ≤ x ≤ bound`.
    pub(super) fn modulo(&mut self, x: Value, divisor: i64, bound: i64) -> Value {
        if divisor > 0 && divisor.count_ones() == 1 {
            return self.b.ins().band_imm_s(x, divisor - 1);
        }
        let quotient = self.divide(x, divisor, bound);
        let multiple = self.times(quotient, divisor);
        self.b.ins().isub(x, multiple)
    }

    /// `x / divisor` for `0 ≤ x ≤ bound`.
    ///
    /// Below 2³¹ a product and a shift are exact: with `m = ⌈2ˢ / d⌉` and `s = 31 + ⌈log₂ d⌉`, the
    /// error `x · (m·d − 2ˢ) / (d · 2ˢ)` stays below `1 / d`. Source: Granlund & Montgomery, PLDI 1994.
    pub(super) fn divide(&mut self, x: Value, divisor: i64, bound: i64) -> Value {
        let log = i64::from(64 - (divisor - 1).leading_zeros());
        if divisor == 1 {
            x
        } else if divisor.count_ones() == 1 {
            self.b.ins().ushr_imm_u(x, log)
        } else if bound < 1 << 31 && divisor < 1 << 31 {
            let factor = (1u64 << (31 + log)).div_ceil(divisor as u64) as i64;
            let product = self.b.ins().imul_imm_s(x, factor);
            self.b.ins().ushr_imm_u(product, 31 + log)
        } else {
            self.b.ins().udiv_imm_u(x, divisor)
        }
    }
}
