//! Integer divisions and shifts, which no operand makes trap.

use cranelift_codegen::ir::{InstBuilder, Value, condcodes::IntCC};
use tracelift_scalar::Op;
use tracelift_tensor::DType;

use super::{Emitter, op::Operand, vector::scalar_type};

impl Emitter<'_, '_> {
    /// The quotient or remainder of elements: by 0 it is 0, and the lowest number by −1 wraps.
    pub(super) fn divide_integers(&mut self, op: Op, x: Operand, y: Operand) -> Value {
        let dtype = x.dtype;
        if dtype.size_bytes() < 4 {
            let wide = if dtype.is_signed_int() { DType::I32 } else { DType::U32 };
            let widen = |e: &mut Self, o: Operand| Operand {
                value: e.cast(o.value, dtype, wide),
                dtype: wide,
                literal: o.literal.map(|s| s.cast(wide)),
            };
            let (x, y) = (widen(self, x), widen(self, y));
            let wide_result = self.divide_integers(op, x, y);
            return self.cast(wide_result, wide, dtype);
        }
        if let Some(literal) = y.literal
            && !matches!(literal.to_i64(), 0 | -1)
        {
            return self.divide_plainly(op, dtype, x.value, y.value);
        }
        if dtype.is_signed_int() {
            self.divide_signed(op, dtype, x.value, y.value)
        } else {
            let zero = self.b.ins().iconst(scalar_type(dtype), 0);
            let is_zero = self.b.ins().icmp(IntCC::Equal, y.value, zero);
            let one = self.b.ins().iconst(scalar_type(dtype), 1);
            let divisor = self.b.ins().select(is_zero, one, y.value);
            let value = self.divide_plainly(op, dtype, x.value, divisor);
            self.b.ins().select(is_zero, zero, value)
        }
    }

    fn divide_plainly(&mut self, op: Op, dtype: DType, x: Value, y: Value) -> Value {
        match (op, dtype.is_signed_int()) {
            (Op::Div, true) => self.b.ins().sdiv(x, y),
            (Op::Div, false) => self.b.ins().udiv(x, y),
            (_, true) => self.b.ins().srem(x, y),
            (_, false) => self.b.ins().urem(x, y),
        }
    }

    /// By −1 the quotient is the negated dividend and the remainder 0.
    fn divide_signed(&mut self, op: Op, dtype: DType, x: Value, y: Value) -> Value {
        let ty = scalar_type(dtype);
        let [zero, one] = [0, 1].map(|c| self.b.ins().iconst(ty, c));
        let above = self.b.ins().iadd(y, one);
        let is_special = self.b.ins().icmp_imm_s(IntCC::UnsignedLessThan, above, 2);
        let divisor = self.b.ins().select(is_special, one, y);
        let value = self.divide_plainly(op, dtype, x, divisor);
        let negated = self.b.ins().ineg(x);
        let by_minus_one = if op == Op::Div { negated } else { zero };
        let is_zero = self.b.ins().icmp(IntCC::Equal, y, zero);
        let special = self.b.ins().select(is_zero, zero, by_minus_one);
        self.b.ins().select(is_special, special, value)
    }

    /// A shift by an unsigned number of bits, which may be any number.
    pub(super) fn shift(&mut self, op: Op, x: Operand, y: Operand, lanes: usize) -> Value {
        let dtype = x.dtype;
        let bits = 8 * dtype.size_bytes() as i64;
        let keeps_sign = op == Op::Shr && dtype.is_signed_int();
        if let Some(literal) = y.literal {
            let amount = literal.to_bits().min(bits as u64) as i64;
            return match (op, keeps_sign) {
                (Op::Shr, true) => self.b.ins().sshr_imm_u(x.value, amount.min(bits - 1)),
                _ if amount == bits => self.constant(tracelift_tensor::Scalar::zero(dtype), lanes),
                (Op::Shr, false) => self.b.ins().ushr_imm_u(x.value, amount),
                _ => self.b.ins().ishl_imm_u(x.value, amount),
            };
        }
        let ty = scalar_type(dtype);
        let fits = self.b.ins().icmp_imm_u(IntCC::UnsignedLessThan, y.value, bits);
        if keeps_sign {
            let most = self.b.ins().iconst(ty, bits - 1);
            let amount = self.b.ins().select(fits, y.value, most);
            return self.b.ins().sshr(x.value, amount);
        }
        let shifted = match op {
            Op::Shr => self.b.ins().ushr(x.value, y.value),
            _ => self.b.ins().ishl(x.value, y.value),
        };
        let zero = self.b.ins().iconst(ty, 0);
        self.b.ins().select(fits, shifted, zero)
    }
}
