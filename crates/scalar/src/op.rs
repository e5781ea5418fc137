//! The operations of the scalar language: names, arity and dtypes.

use serde::{Deserialize, Serialize};
use tracelift_tensor::DType;

macro_rules! scalar_ops {
    ($($(#[$doc:meta])* $name:ident = $text:literal, $arity:literal, $class:ident;)*) => {
        /// An operation over single numbers.
        ///
        /// Every operation is total: no operand makes it trap.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
        pub enum Op {
            $($(#[$doc])* $name,)*
            /// Converts to a dtype: float to integer truncates and saturates (NaN gives 0),
            /// integer to integer wraps, anything to bool is `!= 0`.
            Cast(DType),
            /// Reinterprets the bits as a dtype of the same size.
            Bitcast(DType),
        }

        impl Op {
            /// Every operation but the two casts, in declaration order.
            pub const ALL: &'static [Op] = &[$(Op::$name),*];

            /// The name in text form; a cast's dtype is written after it, as in `cast.f32`.
            pub fn name(self) -> &'static str {
                match self {
                    $(Op::$name => $text,)*
                    Op::Cast(_) => "cast",
                    Op::Bitcast(_) => "bitcast",
                }
            }

            /// The number of operands.
            pub fn arity(self) -> usize {
                match self {
                    $(Op::$name => $arity,)*
                    Op::Cast(_) | Op::Bitcast(_) => 1,
                }
            }

            fn class(self) -> Class {
                match self {
                    $(Op::$name => Class::$class,)*
                    Op::Cast(_) => Class::Cast,
                    Op::Bitcast(_) => Class::Cast,
                }
            }
        }
    };
}

/// What dtypes an operation takes and gives.
enum Class {
    /// Numbers of one dtype to the same dtype.
    Number,
    /// Floats of one dtype to the same dtype.
    Float,
    /// Integers or bools of one dtype to the same dtype.
    Bits,
    /// Integers of one dtype to the same dtype.
    Int,
    /// Two of one dtype to bool.
    Compare,
    /// A float to bool.
    Test,
    /// A bool, then two of one dtype, to that dtype.
    Select,
    /// Anything to a stated dtype.
    Cast,
}

scalar_ops! {
    /// `−x`; integers wrap.
    Neg = "neg", 1, Number;
    /// `|x|`; the lowest integer stays itself.
    Abs = "abs", 1, Number;
    /// −1, 0 or 1; both zeros give 0, NaN gives NaN.
    Sign = "sign", 1, Number;
    /// The largest integer not above `x`.
    Floor = "floor", 1, Float;
    /// The smallest integer not below `x`.
    Ceil = "ceil", 1, Float;
    /// The nearest integer, ties to even.
    Round = "round", 1, Float;
    /// The integer part.
    Trunc = "trunc", 1, Float;
    /// The square root.
    Sqrt = "sqrt", 1, Float;
    /// `eˣ`.
    Exp = "exp", 1, Float;
    /// The natural logarithm.
    Log = "log", 1, Float;
    /// The sine of radians.
    Sin = "sin", 1, Float;
    /// The cosine of radians.
    Cos = "cos", 1, Float;
    /// The tangent of radians.
    Tan = "tan", 1, Float;
    /// The inverse sine.
    Asin = "asin", 1, Float;
    /// The inverse cosine.
    Acos = "acos", 1, Float;
    /// The inverse tangent.
    Atan = "atan", 1, Float;
    /// The hyperbolic sine.
    Sinh = "sinh", 1, Float;
    /// The hyperbolic cosine.
    Cosh = "cosh", 1, Float;
    /// The hyperbolic tangent.
    Tanh = "tanh", 1, Float;
    /// The inverse hyperbolic sine.
    Asinh = "asinh", 1, Float;
    /// The inverse hyperbolic cosine.
    Acosh = "acosh", 1, Float;
    /// The inverse hyperbolic tangent.
    Atanh = "atanh", 1, Float;
    /// The error function `2/√π ∫₀ˣ e^(−t²) dt`.
    Erf = "erf", 1, Float;
    /// Complements every bit; logical negation of a bool.
    Not = "not", 1, Bits;
    /// Whether `x` is NaN.
    IsNan = "is_nan", 1, Test;

    /// `x + y`; integers wrap.
    Add = "add", 2, Number;
    /// `x − y`; integers wrap.
    Sub = "sub", 2, Number;
    /// `x · y`; integers wrap.
    Mul = "mul", 2, Number;
    /// `x / y`; integers truncate, an integer divided by 0 gives 0, and the lowest integer divided by −1 stays itself.
    Div = "div", 2, Number;
    /// The remainder of truncating division, with the sign of `x`; an integer remainder by 0 is 0.
    Rem = "rem", 2, Number;
    /// `xʸ`; for integers by wrapping multiplication, a negative exponent gives the truncated reciprocal (0 for base 0).
    Pow = "pow", 2, Number;
    /// The smaller; NaN where either is NaN; `x` where they compare equal.
    Min = "min", 2, Number;
    /// The larger; NaN where either is NaN; `x` where they compare equal.
    Max = "max", 2, Number;
    /// Bitwise and.
    And = "and", 2, Bits;
    /// Bitwise or.
    Or = "or", 2, Bits;
    /// Bitwise exclusive or.
    Xor = "xor", 2, Bits;
    /// `x` shifted left by `y` bits, `y` read as unsigned; 0 once every bit is out.
    Shl = "shl", 2, Int;
    /// `x` shifted right by `y` bits, `y` read as unsigned; signed integers keep their sign.
    Shr = "shr", 2, Int;
    /// `x = y`; false where either is NaN.
    Eq = "eq", 2, Compare;
    /// `x ≠ y`; true where either is NaN.
    Ne = "ne", 2, Compare;
    /// `x < y`.
    Lt = "lt", 2, Compare;
    /// `x ≤ y`.
    Le = "le", 2, Compare;
    /// `x > y`.
    Gt = "gt", 2, Compare;
    /// `x ≥ y`.
    Ge = "ge", 2, Compare;

    /// `y` where the bool `x` is true, else `z`.
    Select = "select", 3, Select;
    /// `x · y + z`, rounded once.
    Fma = "fma", 3, Float;
}

/// Operands an operation does not take.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{op} takes {expected}, found ({})", list(found))]
pub struct OpTypeError {
    /// The operation's name.
    pub op: &'static str,
    /// What it takes, in words.
    pub expected: String,
    /// The dtypes found.
    pub found: Vec<DType>,
}

fn list(dtypes: &[DType]) -> String {
    dtypes.iter().map(|d| d.name()).collect::<Vec<_>>().join(", ")
}

impl Op {
    /// The dtype of the result.
    ///
    /// # Errors
    /// When the number of operands or their dtypes are wrong.
    pub fn result_dtype(self, operands: &[DType]) -> Result<DType, OpTypeError> {
        let error = |expected: &str| OpTypeError {
            op: self.name(),
            expected: expected.to_string(),
            found: operands.to_vec(),
        };
        if operands.len() != self.arity() {
            return Err(error(&format!("{} operands", self.arity())));
        }
        let first = operands[0];
        let same = operands.iter().all(|&d| d == first);
        match self.class() {
            Class::Number if same && first != DType::Bool => Ok(first),
            Class::Number => Err(error("numbers of one dtype")),
            Class::Float if same && first.is_float() => Ok(first),
            Class::Float => Err(error("floats of one dtype")),
            Class::Bits if same && !first.is_float() => Ok(first),
            Class::Bits => Err(error("integers or bools of one dtype")),
            Class::Int if same && first.is_int() => Ok(first),
            Class::Int => Err(error("integers of one dtype")),
            Class::Compare if same => Ok(DType::Bool),
            Class::Compare => Err(error("two operands of one dtype")),
            Class::Test if first.is_float() => Ok(DType::Bool),
            Class::Test => Err(error("a float")),
            Class::Select if first == DType::Bool && operands[1] == operands[2] => Ok(operands[1]),
            Class::Select => Err(error("a bool and two operands of one dtype")),
            Class::Cast => self.cast_dtype(first).ok_or_else(|| error("a dtype of the same size")),
        }
    }

    fn cast_dtype(self, from: DType) -> Option<DType> {
        match self {
            Op::Bitcast(to) => {
                let bits = to.size_bytes() == from.size_bytes();
                (bits && to != DType::Bool && from != DType::Bool).then_some(to)
            }
            Op::Cast(to) => Some(to),
            _ => None,
        }
    }

    /// Whether `x op y = y op x` for all operands, NaN and the sign of zero included.
    pub fn is_commutative(self) -> bool {
        matches!(self, Op::Add | Op::Mul | Op::And | Op::Or | Op::Xor | Op::Eq | Op::Ne)
    }

    /// Whether fusion should not compute this twice: transcendentals, roots and divisions.
    pub fn is_expensive(self) -> bool {
        use Op::*;
        matches!(
            self,
            Exp | Log
                | Sin
                | Cos
                | Tan
                | Asin
                | Acos
                | Atan
                | Sinh
                | Cosh
                | Tanh
                | Asinh
                | Acosh
                | Atanh
                | Erf
                | Pow
                | Rem
                | Div
                | Sqrt
        )
    }
}
