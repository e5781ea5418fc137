//! Operations of the scalar language over elements and vectors.

use cranelift_codegen::ir::{InstBuilder, Value, condcodes::FloatCC, condcodes::IntCC, types};
use tracelift_scalar::Op;
use tracelift_tensor::{DType, Scalar};

use super::{Emitter, vector::value_type};
use crate::BackendError;

/// An operand of an operation.
#[derive(Clone, Copy)]
pub(super) struct Operand {
    pub(super) value: Value,
    pub(super) dtype: DType,
    /// The literal it is, if any.
    pub(super) literal: Option<Scalar>,
}

impl Operand {
    fn is_ordered_literal(&self) -> bool {
        match self.literal {
            Some(Scalar::F32(x)) => !x.is_nan(),
            Some(Scalar::F64(x)) => !x.is_nan(),
            _ => false,
        }
    }
}

/// Whether an operation over these dtypes has code for vectors; casts are asked elsewhere.
fn has_vector_form(op: Op, operands: &[Operand]) -> bool {
    use Op::*;
    match op {
        Div => operands[0].dtype.is_float(),
        Rem => false,
        Shl | Shr => operands[1].literal.is_some(),
        _ => true,
    }
}

impl Emitter<'_, '_> {
    /// Applies an operation to operands of the same number of lanes.
    pub(super) fn apply(
        &mut self,
        op: Op,
        operands: &[Operand],
        lanes: usize,
    ) -> Result<Value, BackendError> {
        let dtypes: Vec<DType> = operands.iter().map(|o| o.dtype).collect();
        let result = op.result_dtype(&dtypes).expect("a verified tile is well typed");
        let first = operands[0];
        match (op, operands) {
            (Op::Cast(_), [x]) if lanes == 1 => Ok(self.cast(x.value, x.dtype, result)),
            (Op::Cast(_), [x]) => match self.cast_vector(x.value, x.dtype, result, lanes) {
                Some(value) => Ok(value),
                None => self.lane_by_lane(op, operands, result, lanes),
            },
            (Op::Bitcast(_), [x]) => Ok(self.bitcast(value_type(result, lanes), x.value)),
            (Op::Select, [c, x, y]) => Ok(self.select(c.value, x.value, y.value)),
            _ if !op.is_basic(first.dtype) => self.expanded(op, operands, lanes),
            _ if lanes > 1 && !has_vector_form(op, operands) => {
                self.lane_by_lane(op, operands, result, lanes)
            }
            _ if first.dtype.is_float() => self.float(op, operands),
            _ => self.integer(op, operands, lanes),
        }
    }

    fn lane_by_lane(
        &mut self,
        op: Op,
        operands: &[Operand],
        result: DType,
        lanes: usize,
    ) -> Result<Value, BackendError> {
        let mut elements = Vec::with_capacity(lanes);
        for lane in 0..lanes {
            let parts: Vec<Operand> = operands
                .iter()
                .map(|o| Operand { value: self.lane(o.dtype, lanes, o.value, lane), ..*o })
                .collect();
            elements.push(self.apply(op, &parts, 1)?);
        }
        Ok(self.join_lanes(result, &elements))
    }

    /// `x` where the bool or mask is true, else `y`.
    pub(super) fn select(&mut self, condition: Value, x: Value, y: Value) -> Value {
        let ty = self.b.func.dfg.value_type(x);
        if !ty.is_vector() {
            return self.b.ins().select(condition, x, y);
        }
        let condition = self.bitcast(ty, condition);
        self.b.ins().bitselect(condition, x, y)
    }

    fn float(&mut self, op: Op, operands: &[Operand]) -> Result<Value, BackendError> {
        let x = operands[0].value;
        let y = operands.get(1).map_or(x, |y| y.value);
        let ins = self.b.ins();
        let compare = |e: &mut Self, cc| e.b.ins().fcmp(cc, x, y);
        Ok(match op {
            Op::Neg => ins.fneg(x),
            Op::Abs => ins.fabs(x),
            Op::Floor => ins.floor(x),
            Op::Ceil => ins.ceil(x),
            Op::Round => ins.nearest(x),
            Op::Trunc => ins.trunc(x),
            Op::Sqrt => ins.sqrt(x),
            Op::Add => ins.fadd(x, y),
            Op::Sub => ins.fsub(x, y),
            Op::Mul => ins.fmul(x, y),
            Op::Div => ins.fdiv(x, y),
            Op::Min | Op::Max => self.float_extremum(op, operands[0], operands[1]),
            Op::Fma if !self.has_fma => return Err(self.no_fma()),
            Op::Fma => self.fma(operands[0], operands[1], operands[2]),
            Op::IsNan => compare(self, FloatCC::Unordered),
            Op::Eq => compare(self, FloatCC::Equal),
            Op::Ne => compare(self, FloatCC::NotEqual),
            Op::Lt => compare(self, FloatCC::LessThan),
            Op::Le => compare(self, FloatCC::LessThanOrEqual),
            Op::Gt => compare(self, FloatCC::GreaterThan),
            Op::Ge => compare(self, FloatCC::GreaterThanOrEqual),
            _ => return Err(self.unsupported(op, operands[0].dtype)),
        })
    }

    /// The register of the first factor is overwritten, so it should be the one not used again: in a
    /// polynomial's step the sum so far, the newer value; in a contraction the second factor
    /// measures faster.
    fn fma(&mut self, x: Operand, y: Operand, z: Operand) -> Value {
        let is_polynomial = z.literal.is_some();
        let (first, second) = if is_polynomial && x.value.as_u32() > y.value.as_u32() {
            (x.value, y.value)
        } else {
            (y.value, x.value)
        };
        self.b.ins().fma(first, second, z.value)
    }

    /// The smaller or larger; NaN where either is NaN, `x` where they are equal.
    ///
    /// One instruction gives `x` where they are equal or either is NaN; then only a NaN in `y` is
    /// left, which a literal excludes.
    fn float_extremum(&mut self, op: Op, x: Operand, y: Operand) -> Value {
        let (a, b) = (x.value, y.value);
        let replaces = match op {
            Op::Min => self.b.ins().fcmp(FloatCC::LessThan, b, a),
            _ => self.b.ins().fcmp(FloatCC::LessThan, a, b),
        };
        let ordered = self.select(replaces, b, a);
        if y.is_ordered_literal() {
            return ordered;
        }
        let is_nan = self.b.ins().fcmp(FloatCC::Unordered, b, b);
        self.select(is_nan, b, ordered)
    }

    fn integer(
        &mut self,
        op: Op,
        operands: &[Operand],
        lanes: usize,
    ) -> Result<Value, BackendError> {
        let dtype = operands[0].dtype;
        let x = operands[0].value;
        let y = operands.get(1).map_or(x, |y| y.value);
        let is_signed = dtype.is_signed_int();
        let ins = self.b.ins();
        let compare = |e: &mut Self, cc| e.compare_integers(cc, x, y);
        let order = |signed: IntCC| if is_signed { signed } else { signed.unsigned() };
        Ok(match op {
            Op::Neg => ins.ineg(x),
            Op::Abs if is_signed => ins.iabs(x),
            Op::Abs => x,
            Op::Not if dtype == DType::Bool && lanes == 1 => ins.bxor_imm_s(x, 1),
            Op::Not => ins.bnot(x),
            Op::Add => ins.iadd(x, y),
            Op::Sub => ins.isub(x, y),
            Op::Mul => ins.imul(x, y),
            Op::And => ins.band(x, y),
            Op::Or => ins.bor(x, y),
            Op::Xor => ins.bxor(x, y),
            Op::Div | Op::Rem => self.divide_integers(op, operands[0], operands[1]),
            Op::Shl | Op::Shr => self.shift(op, operands[0], operands[1], lanes),
            Op::Min | Op::Max => {
                let cc =
                    if op == Op::Min { IntCC::SignedLessThan } else { IntCC::SignedGreaterThan };
                let replaces = self.compare_integers(order(cc), y, x);
                self.select(replaces, y, x)
            }
            Op::Eq => compare(self, IntCC::Equal),
            Op::Ne => compare(self, IntCC::NotEqual),
            Op::Lt => compare(self, order(IntCC::SignedLessThan)),
            Op::Le => compare(self, order(IntCC::SignedLessThanOrEqual)),
            Op::Gt => compare(self, order(IntCC::SignedGreaterThan)),
            Op::Ge => compare(self, order(IntCC::SignedGreaterThanOrEqual)),
            _ => return Err(self.unsupported(op, dtype)),
        })
    }

    /// A comparison; unsigned lanes of 64 bits, which no instruction compares, have their sign bits
    /// flipped and compare as signed.
    fn compare_integers(&mut self, cc: IntCC, x: Value, y: Value) -> Value {
        let is_ordered = !matches!(cc, IntCC::Equal | IntCC::NotEqual);
        let is_wide = self.b.func.dfg.value_type(x) == types::I64X2;
        if !(is_ordered && is_wide && cc == cc.unsigned()) {
            return self.b.ins().icmp(cc, x, y);
        }
        let sign = self.constant(Scalar::lowest(DType::I64), 2);
        let x = self.b.ins().bxor(x, sign);
        let y = self.b.ins().bxor(y, sign);
        let signed = match cc {
            IntCC::UnsignedLessThan => IntCC::SignedLessThan,
            IntCC::UnsignedLessThanOrEqual => IntCC::SignedLessThanOrEqual,
            IntCC::UnsignedGreaterThan => IntCC::SignedGreaterThan,
            _ => IntCC::SignedGreaterThanOrEqual,
        };
        self.b.ins().icmp(signed, x, y)
    }

    pub(super) fn unsupported(&self, op: Op, dtype: DType) -> BackendError {
        BackendError::UnsupportedOp { kernel: self.kernel.name.clone(), op: op.name(), dtype }
    }

    fn no_fma(&self) -> BackendError {
        BackendError::MissingInstruction {
            kernel: self.kernel.name.clone(),
            target: self.target.isa.to_string(),
            operation: "fused multiply-add".to_string(),
        }
    }
}
