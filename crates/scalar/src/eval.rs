//! The meaning of every scalar operation, by the standard library's functions.

use tracelift_tensor::{DType, Scalar};

use crate::{Op, special};

impl Op {
    /// The value of this operation, rounded once to the result's dtype.
    ///
    /// # Panics
    /// When the operands do not pass [`Op::result_dtype`].
    pub fn eval(self, operands: &[Scalar]) -> Scalar {
        match (self, operands) {
            (Op::Cast(to), [x]) => x.cast(to),
            (Op::Bitcast(to), [x]) => Scalar::from_bits(to, x.to_bits()),
            (Op::Select, [c, a, b]) => {
                if *c == Scalar::Bool(true) {
                    *a
                } else {
                    *b
                }
            }
            (_, [Scalar::F32(x), rest @ ..]) => float32(self, *x, rest),
            (_, [Scalar::F64(x), rest @ ..]) => float64(self, *x, rest),
            (_, [x]) => int_unary(self, *x),
            (_, [x, y]) => int_binary(self, *x, *y),
            _ => unreachable!("{} has operands of checked dtypes", self.name()),
        }
    }
}

macro_rules! float_eval {
    ($name:ident, $ty:ident, $variant:ident, $erf:path) => {
        fn $name(op: Op, x: $ty, rest: &[Scalar]) -> Scalar {
            let arg = |k: usize| match rest.get(k) {
                Some(Scalar::$variant(y)) => *y,
                _ => $ty::NAN,
            };
            let y = arg(0);
            let value = match op {
                Op::Neg => -x,
                Op::Abs => x.abs(),
                Op::Sign if x.is_nan() => x,
                Op::Sign => f32::from(i8::from(x > 0.0) - i8::from(x < 0.0)).into(),
                Op::Floor => x.floor(),
                Op::Ceil => x.ceil(),
                Op::Round => x.round_ties_even(),
                Op::Trunc => x.trunc(),
                Op::Sqrt => x.sqrt(),
                Op::Exp => x.exp(),
                Op::Log => x.ln(),
                Op::Sin => x.sin(),
                Op::Cos => x.cos(),
                Op::Tan => x.tan(),
                Op::Asin => x.asin(),
                Op::Acos => x.acos(),
                Op::Atan => x.atan(),
                Op::Sinh => x.sinh(),
                Op::Cosh => x.cosh(),
                Op::Tanh => x.tanh(),
                Op::Asinh => x.asinh(),
                Op::Acosh => x.acosh(),
                Op::Atanh => x.atanh(),
                Op::Erf => $erf(x),
                Op::Add => x + y,
                Op::Sub => x - y,
                Op::Mul => x * y,
                Op::Div => x / y,
                Op::Rem => x % y,
                Op::Pow => x.powf(y),
                Op::Min if y.is_nan() => y,
                Op::Min => {
                    if y < x {
                        y
                    } else {
                        x
                    }
                }
                Op::Max if y.is_nan() => y,
                Op::Max => {
                    if x < y {
                        y
                    } else {
                        x
                    }
                }
                Op::Fma => x.mul_add(y, arg(1)),
                Op::IsNan => return Scalar::Bool(x.is_nan()),
                Op::Eq => return Scalar::Bool(x == y),
                Op::Ne => return Scalar::Bool(x != y),
                Op::Lt => return Scalar::Bool(x < y),
                Op::Le => return Scalar::Bool(x <= y),
                Op::Gt => return Scalar::Bool(x > y),
                Op::Ge => return Scalar::Bool(x >= y),
                _ => unreachable!("{} takes no float", op.name()),
            };
            Scalar::$variant(value)
        }
    };
}

float_eval!(float32, f32, F32, special::erf32);
float_eval!(float64, f64, F64, special::erf64);

/// An integer or bool of `dtype` whose low bits are those of `bits`.
fn wrap(dtype: DType, bits: i128) -> Scalar {
    Scalar::from_bits(dtype, bits as u64)
}

fn wide(x: Scalar) -> i128 {
    match x {
        Scalar::Unsigned(_, u) => u.into(),
        other => other.to_i64().into(),
    }
}

fn int_unary(op: Op, x: Scalar) -> Scalar {
    let dtype = x.dtype();
    match op {
        Op::Neg => wrap(dtype, -wide(x)),
        Op::Abs => wrap(dtype, wide(x).abs()),
        Op::Sign => wrap(dtype, wide(x).signum()),
        Op::Not => wrap(dtype, !wide(x)),
        _ => unreachable!("{} takes no {dtype}", op.name()),
    }
}

fn int_binary(op: Op, x: Scalar, y: Scalar) -> Scalar {
    let (dtype, a, b) = (x.dtype(), wide(x), wide(y));
    let bits = 8 * dtype.size_bytes() as u64;
    let value = match op {
        Op::Add => a + b,
        Op::Sub => a - b,
        Op::Mul => a.wrapping_mul(b),
        Op::Div => a.checked_div(b).unwrap_or(0),
        Op::Rem => a.checked_rem(b).unwrap_or(0),
        Op::Pow => int_pow(a, b),
        Op::Min => a.min(b),
        Op::Max => a.max(b),
        Op::And => a & b,
        Op::Or => a | b,
        Op::Xor => a ^ b,
        Op::Shl if y.to_bits() < bits => a << b,
        Op::Shl => 0,
        Op::Shr => a >> y.to_bits().min(bits - 1).min(127) >> i128::from(y.to_bits() >= bits),
        Op::Eq => return Scalar::Bool(a == b),
        Op::Ne => return Scalar::Bool(a != b),
        Op::Lt => return Scalar::Bool(a < b),
        Op::Le => return Scalar::Bool(a <= b),
        Op::Gt => return Scalar::Bool(a > b),
        Op::Ge => return Scalar::Bool(a >= b),
        _ => unreachable!("{} takes no {dtype}", op.name()),
    };
    wrap(dtype, value)
}

/// `aᵇ` with the low 64 bits exact; a negative exponent gives the truncated reciprocal.
fn int_pow(a: i128, b: i128) -> i128 {
    if b < 0 {
        return match a {
            1 => 1,
            -1 => {
                if b % 2 == 0 {
                    1
                } else {
                    -1
                }
            }
            _ => 0,
        };
    }
    let (mut result, mut base, mut exponent) = (1i64, a as i64, b);
    while exponent > 0 {
        if exponent & 1 == 1 {
            result = result.wrapping_mul(base);
        }
        base = base.wrapping_mul(base);
        exponent >>= 1;
    }
    result.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn i8s(x: i64) -> Scalar {
        Scalar::Signed(DType::I8, x)
    }

    #[test]
    fn integer_operations_are_total() {
        assert_eq!(Op::Div.eval(&[i8s(5), i8s(0)]), i8s(0));
        assert_eq!(Op::Div.eval(&[i8s(-128), i8s(-1)]), i8s(-128));
        assert_eq!(Op::Rem.eval(&[i8s(-7), i8s(3)]), i8s(-1));
        assert_eq!(Op::Pow.eval(&[i8s(3), i8s(5)]), i8s(243 - 256));
        assert_eq!(Op::Pow.eval(&[i8s(0), i8s(-2)]), i8s(0));
        assert_eq!(Op::Shr.eval(&[i8s(-128), i8s(100)]), i8s(-1));
        assert_eq!(Op::Shl.eval(&[i8s(1), i8s(8)]), i8s(0));
        assert_eq!(Op::Abs.eval(&[i8s(-128)]), i8s(-128));
        let top = Scalar::highest(DType::U64);
        assert_eq!(
            Op::Shr.eval(&[top, Scalar::Unsigned(DType::U64, 64)]),
            Scalar::zero(DType::U64)
        );
    }

    #[test]
    fn maximum_propagates_nan_and_keeps_the_first_of_equals() {
        let [nan, one] = [Scalar::F32(f32::NAN), Scalar::F32(1.0)];
        assert_eq!(Op::Max.eval(&[nan, one]), nan);
        assert_eq!(Op::Max.eval(&[one, nan]), nan);
        let zeros = [Scalar::F32(-0.0), Scalar::F32(0.0)];
        assert_eq!(Op::Max.eval(&zeros), Scalar::F32(-0.0));
        assert_eq!(Op::Min.eval(&zeros), Scalar::F32(-0.0));
    }
}
