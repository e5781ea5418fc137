//! Conversions between dtypes.

use cranelift_codegen::ir::{
    InstBuilder, Value,
    condcodes::{FloatCC, IntCC},
    types,
};
use tracelift_tensor::{DType, Scalar};

use super::{
    Emitter,
    vector::{scalar_type, value_type},
};

impl Emitter<'_, '_> {
    /// Converts one element.
    pub(super) fn cast(&mut self, x: Value, from: DType, to: DType) -> Value {
        match (from.is_float(), to.is_float()) {
            _ if from == to => x,
            _ if to == DType::Bool => self.is_not_zero(x, from, 1),
            (true, true) if to == DType::F64 => self.b.ins().fpromote(types::F64, x),
            (true, true) => self.b.ins().fdemote(types::F32, x),
            (false, false) => self.resize(x, from, to),
            (false, true) => self.integer_to_float(x, from, to),
            (true, false) => self.float_to_integer(x, to),
        }
    }

    /// Whether each lane differs from 0; NaN does.
    fn is_not_zero(&mut self, x: Value, from: DType, lanes: usize) -> Value {
        let zero = self.constant(Scalar::zero(from), lanes);
        if from.is_float() {
            self.b.ins().fcmp(FloatCC::NotEqual, x, zero)
        } else {
            self.b.ins().icmp(IntCC::NotEqual, x, zero)
        }
    }

    /// Keeps the low bits, or extends by the sign of a signed dtype.
    fn resize(&mut self, x: Value, from: DType, to: DType) -> Value {
        let ty = scalar_type(to);
        if to.size_bytes() < from.size_bytes() {
            self.b.ins().ireduce(ty, x)
        } else if to.size_bytes() == from.size_bytes() {
            x
        } else if from.is_signed_int() {
            self.b.ins().sextend(ty, x)
        } else {
            self.b.ins().uextend(ty, x)
        }
    }

    fn integer_to_float(&mut self, x: Value, from: DType, to: DType) -> Value {
        let ty = scalar_type(to);
        match from {
            DType::U64 => self.b.ins().fcvt_from_uint(ty, x),
            DType::I32 | DType::I64 => self.b.ins().fcvt_from_sint(ty, x),
            // A wider signed integer holds every value.
            DType::U32 => {
                let wide = self.b.ins().uextend(types::I64, x);
                self.b.ins().fcvt_from_sint(ty, wide)
            }
            _ => {
                let wide = self.resize(x, from, DType::I32);
                self.b.ins().fcvt_from_sint(ty, wide)
            }
        }
    }

    /// Truncates and saturates; NaN gives 0.
    fn float_to_integer(&mut self, x: Value, to: DType) -> Value {
        let ty = scalar_type(to);
        match to {
            DType::U32 | DType::U64 => self.b.ins().fcvt_to_uint_sat(ty, x),
            DType::I32 | DType::I64 => self.b.ins().fcvt_to_sint_sat(ty, x),
            _ => {
                let wide = self.b.ins().fcvt_to_sint_sat(types::I32, x);
                let bound = |s: Scalar| s.to_i64();
                let low = self.b.ins().iconst(types::I32, bound(Scalar::lowest(to)));
                let high = self.b.ins().iconst(types::I32, bound(Scalar::highest(to)));
                let above = self.b.ins().smax(wide, low);
                let inside = self.b.ins().smin(above, high);
                self.b.ins().ireduce(ty, inside)
            }
        }
    }

    /// Converts a vector, where that takes few instructions.
    pub(super) fn cast_vector(
        &mut self,
        x: Value,
        from: DType,
        to: DType,
        lanes: usize,
    ) -> Option<Value> {
        use DType::*;
        let ty = value_type(to, lanes);
        Some(match (from, to) {
            _ if from == to => x,
            (Bool, _) => {
                let one = self.constant(Scalar::one(to), lanes);
                let one_bits = self.bitcast(value_type(Bool, lanes), one);
                let bits = self.b.ins().band(x, one_bits);
                self.bitcast(ty, bits)
            }
            (_, Bool) => self.is_not_zero(x, from, lanes),
            (I32, U32) | (U32, I32) | (I64, U64) | (U64, I64) => x,
            (I32, F32) => self.b.ins().fcvt_from_sint(ty, x),
            (U32, F32) => self.b.ins().fcvt_from_uint(ty, x),
            (F32, I32) => self.b.ins().fcvt_to_sint_sat(ty, x),
            (F32, U32) => self.b.ins().fcvt_to_uint_sat(ty, x),
            _ => return None,
        })
    }
}
