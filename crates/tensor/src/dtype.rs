//! Element types and single numbers.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// The type of one element.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DType {
    /// A truth value, stored as one byte, 0 or 1.
    Bool,
    /// Unsigned 8-bit integer.
    U8,
    /// Unsigned 16-bit integer.
    U16,
    /// Unsigned 32-bit integer.
    U32,
    /// Unsigned 64-bit integer.
    U64,
    /// Signed 8-bit integer.
    I8,
    /// Signed 16-bit integer.
    I16,
    /// Signed 32-bit integer.
    I32,
    /// Signed 64-bit integer.
    I64,
    /// IEEE 754 binary32.
    F32,
    /// IEEE 754 binary64.
    F64,
}

impl DType {
    /// Every dtype, in declaration order.
    pub const ALL: [DType; 11] = [
        DType::Bool,
        DType::U8,
        DType::U16,
        DType::U32,
        DType::U64,
        DType::I8,
        DType::I16,
        DType::I32,
        DType::I64,
        DType::F32,
        DType::F64,
    ];

    /// The name used in every text form, such as `f32`.
    pub fn name(self) -> &'static str {
        match self {
            DType::Bool => "bool",
            DType::U8 => "u8",
            DType::U16 => "u16",
            DType::U32 => "u32",
            DType::U64 => "u64",
            DType::I8 => "i8",
            DType::I16 => "i16",
            DType::I32 => "i32",
            DType::I64 => "i64",
            DType::F32 => "f32",
            DType::F64 => "f64",
        }
    }

    /// Bytes per element.
    pub fn size_bytes(self) -> usize {
        match self {
            DType::Bool | DType::U8 | DType::I8 => 1,
            DType::U16 | DType::I16 => 2,
            DType::U32 | DType::I32 | DType::F32 => 4,
            DType::U64 | DType::I64 | DType::F64 => 8,
        }
    }

    /// Whether this is `f32` or `f64`.
    pub fn is_float(self) -> bool {
        matches!(self, DType::F32 | DType::F64)
    }

    /// Whether this is an integer, signed or unsigned; `bool` is not.
    pub fn is_int(self) -> bool {
        !self.is_float() && self != DType::Bool
    }

    /// Whether this is a signed integer.
    pub fn is_signed_int(self) -> bool {
        matches!(self, DType::I8 | DType::I16 | DType::I32 | DType::I64)
    }
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A dtype name that is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown dtype '{0}' (known: bool, u8, u16, u32, u64, i8, i16, i32, i64, f32, f64)")]
pub struct UnknownDType(pub String);

impl FromStr for DType {
    type Err = UnknownDType;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        DType::ALL
            .into_iter()
            .find(|dtype| dtype.name() == text)
            .ok_or_else(|| UnknownDType(text.to_string()))
    }
}

/// One number with its dtype; integers are held in 64 bits and always within the range of their dtype.
///
/// Equality and hashing compare bits, so that NaN equals itself and −0 differs from 0.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub enum Scalar {
    /// A truth value.
    Bool(bool),
    /// An unsigned integer of the given dtype.
    Unsigned(DType, u64),
    /// A signed integer of the given dtype.
    Signed(DType, i64),
    /// An `f32`.
    F32(f32),
    /// An `f64`.
    F64(f64),
}

impl Scalar {
    /// The dtype of this number.
    pub fn dtype(self) -> DType {
        match self {
            Scalar::Bool(_) => DType::Bool,
            Scalar::Unsigned(dtype, _) | Scalar::Signed(dtype, _) => dtype,
            Scalar::F32(_) => DType::F32,
            Scalar::F64(_) => DType::F64,
        }
    }

    /// Zero (or `false`) of a dtype.
    pub fn zero(dtype: DType) -> Scalar {
        Scalar::from_bits(dtype, 0)
    }

    /// One (or `true`) of a dtype.
    pub fn one(dtype: DType) -> Scalar {
        Scalar::from_f64(dtype, 1.0)
    }

    /// The smallest value: −∞ for floats, `false` for bool.
    pub fn lowest(dtype: DType) -> Scalar {
        match dtype {
            DType::Bool => Scalar::Bool(false),
            DType::F32 => Scalar::F32(f32::NEG_INFINITY),
            DType::F64 => Scalar::F64(f64::NEG_INFINITY),
            _ if dtype.is_signed_int() => {
                Scalar::Signed(dtype, i64::MIN >> (64 - 8 * dtype.size_bytes()))
            }
            _ => Scalar::Unsigned(dtype, 0),
        }
    }

    /// The largest value: ∞ for floats, `true` for bool.
    pub fn highest(dtype: DType) -> Scalar {
        match dtype {
            DType::Bool => Scalar::Bool(true),
            DType::F32 => Scalar::F32(f32::INFINITY),
            DType::F64 => Scalar::F64(f64::INFINITY),
            _ if dtype.is_signed_int() => {
                Scalar::Signed(dtype, i64::MAX >> (64 - 8 * dtype.size_bytes()))
            }
            _ => Scalar::Unsigned(dtype, u64::MAX >> (64 - 8 * dtype.size_bytes())),
        }
    }

    /// A float rounded to a dtype; integers saturate and NaN becomes 0, as Rust's `as` does.
    pub fn from_f64(dtype: DType, value: f64) -> Scalar {
        match dtype {
            DType::Bool => Scalar::Bool(value != 0.0),
            DType::F32 => Scalar::F32(value as f32),
            DType::F64 => Scalar::F64(value),
            DType::U8 => Scalar::Unsigned(dtype, (value as u8).into()),
            DType::U16 => Scalar::Unsigned(dtype, (value as u16).into()),
            DType::U32 => Scalar::Unsigned(dtype, (value as u32).into()),
            DType::U64 => Scalar::Unsigned(dtype, value as u64),
            DType::I8 => Scalar::Signed(dtype, (value as i8).into()),
            DType::I16 => Scalar::Signed(dtype, (value as i16).into()),
            DType::I32 => Scalar::Signed(dtype, (value as i32).into()),
            DType::I64 => Scalar::Signed(dtype, value as i64),
        }
    }

    /// An integer converted to a dtype; integers wrap, bool is `value != 0`.
    pub fn from_i64(dtype: DType, value: i64) -> Scalar {
        match dtype {
            DType::Bool => Scalar::Bool(value != 0),
            DType::F32 => Scalar::F32(value as f32),
            DType::F64 => Scalar::F64(value as f64),
            _ => Scalar::from_bits(dtype, value as u64),
        }
    }

    /// The number whose little-endian bytes are the low bytes of `bits`; bool takes the lowest bit.
    pub fn from_bits(dtype: DType, bits: u64) -> Scalar {
        let shift = 64 - 8 * dtype.size_bytes() as u32;
        match dtype {
            DType::Bool => Scalar::Bool(bits & 1 != 0),
            DType::F32 => Scalar::F32(f32::from_bits(bits as u32)),
            DType::F64 => Scalar::F64(f64::from_bits(bits)),
            _ if dtype.is_signed_int() => Scalar::Signed(dtype, ((bits << shift) as i64) >> shift),
            _ => Scalar::Unsigned(dtype, (bits << shift) >> shift),
        }
    }

    /// The bits of this number in the low `size_bytes` bytes, the rest zero.
    pub fn to_bits(self) -> u64 {
        match self {
            Scalar::Bool(b) => b.into(),
            Scalar::Unsigned(_, u) => u,
            Scalar::Signed(dtype, i) => {
                let shift = 64 - 8 * dtype.size_bytes() as u32;
                ((i as u64) << shift) >> shift
            }
            Scalar::F32(x) => x.to_bits().into(),
            Scalar::F64(x) => x.to_bits(),
        }
    }

    /// The value as `f64`, rounded where 64-bit integers need it.
    pub fn to_f64(self) -> f64 {
        match self {
            Scalar::Bool(b) => f64::from(u8::from(b)),
            Scalar::Unsigned(_, u) => u as f64,
            Scalar::Signed(_, i) => i as f64,
            Scalar::F32(x) => x.into(),
            Scalar::F64(x) => x,
        }
    }

    /// The value as `i64`: floats truncate and saturate, `u64` wraps.
    pub fn to_i64(self) -> i64 {
        match self {
            Scalar::Bool(b) => b.into(),
            Scalar::Unsigned(_, u) => u as i64,
            Scalar::Signed(_, i) => i,
            Scalar::F32(x) => x as i64,
            Scalar::F64(x) => x as i64,
        }
    }

    /// Converts to a dtype: float to integer truncates and saturates (NaN gives 0), integer to
    /// integer wraps, anything to bool is `!= 0`.
    pub fn cast(self, dtype: DType) -> Scalar {
        match self {
            Scalar::F32(x) => Scalar::from_f64(dtype, x.into()),
            Scalar::F64(x) => Scalar::from_f64(dtype, x),
            Scalar::Unsigned(_, u) if dtype == DType::F32 => Scalar::F32(u as f32),
            Scalar::Unsigned(_, u) if dtype == DType::F64 => Scalar::F64(u as f64),
            _ => Scalar::from_i64(dtype, self.to_i64()),
        }
    }
}

impl PartialEq for Scalar {
    fn eq(&self, other: &Self) -> bool {
        self.dtype() == other.dtype() && self.to_bits() == other.to_bits()
    }
}

impl Eq for Scalar {}

impl std::hash::Hash for Scalar {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        (self.dtype(), self.to_bits()).hash(state);
    }
}

impl fmt::Display for Scalar {
    /// Writes the shortest text that reads back to the same bits; floats always carry a `.`, an
    /// exponent, or are `nan`, `inf`, `-inf`; a NaN other than the default one is `nan:0x…`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Scalar::Bool(b) => write!(f, "{b}"),
            Scalar::Unsigned(_, u) => write!(f, "{u}"),
            Scalar::Signed(_, i) => write!(f, "{i}"),
            Scalar::F32(x) if x.is_nan() && x.to_bits() != f32::NAN.to_bits() => {
                write!(f, "nan:{:#x}", x.to_bits())
            }
            Scalar::F64(x) if x.is_nan() && x.to_bits() != f64::NAN.to_bits() => {
                write!(f, "nan:{:#x}", x.to_bits())
            }
            Scalar::F32(x) if x.is_nan() => f.write_str("nan"),
            Scalar::F64(x) if x.is_nan() => f.write_str("nan"),
            Scalar::F32(x) => write!(f, "{x:?}"),
            Scalar::F64(x) => write!(f, "{x:?}"),
        }
    }
}

/// A number that does not parse as the dtype asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{text}' is not a number of dtype {dtype}")]
pub struct ScalarParseError {
    /// The text found.
    pub text: String,
    /// The dtype asked for.
    pub dtype: DType,
}

impl Scalar {
    /// Reads what `Display` writes; a float dtype also accepts integers such as `2`.
    pub fn parse(dtype: DType, text: &str) -> Result<Scalar, ScalarParseError> {
        let error = || ScalarParseError { text: text.to_string(), dtype };
        if dtype.is_float()
            && let Some(hex) = text.strip_prefix("nan:0x")
        {
            let bits = u64::from_str_radix(hex, 16).map_err(|_| error())?;
            return Ok(Scalar::from_bits(dtype, bits));
        }
        match dtype {
            DType::Bool => text.parse().map(Scalar::Bool).map_err(|_| error()),
            DType::F32 if text == "nan" => Ok(Scalar::F32(f32::NAN)),
            DType::F64 if text == "nan" => Ok(Scalar::F64(f64::NAN)),
            DType::F32 => text.parse().map(Scalar::F32).map_err(|_| error()),
            DType::F64 => text.parse().map(Scalar::F64).map_err(|_| error()),
            _ if dtype.is_signed_int() => {
                let value: i64 = text.parse().map_err(|_| error())?;
                let scalar = Scalar::from_i64(dtype, value);
                if scalar.to_i64() == value { Ok(scalar) } else { Err(error()) }
            }
            _ => {
                let value: u64 = text.parse().map_err(|_| error())?;
                let scalar = Scalar::from_bits(dtype, value);
                if scalar.to_bits() == value { Ok(scalar) } else { Err(error()) }
            }
        }
    }
}

/// A Rust type that is the element type of some dtype.
pub trait Element: Copy + PartialEq + PartialOrd + fmt::Debug + Send + Sync + 'static {
    /// The dtype stored as this type.
    const DTYPE: DType;
    /// This value as a scalar.
    fn to_scalar(self) -> Scalar;
    /// The value of a scalar of this dtype; another dtype is cast first.
    fn from_scalar(scalar: Scalar) -> Self;
    /// Reads one element from its little-endian bytes; `bytes` has the dtype's size.
    fn read(bytes: &[u8]) -> Self;
    /// Writes one element as little-endian bytes; `bytes` has the dtype's size.
    fn write(self, bytes: &mut [u8]);
}

macro_rules! element {
    ($($ty:ty, $dtype:ident, $to:expr, $from:expr;)*) => { $(
        impl Element for $ty {
            const DTYPE: DType = DType::$dtype;
            fn to_scalar(self) -> Scalar { let to: fn($ty) -> Scalar = $to; to(self) }
            fn from_scalar(scalar: Scalar) -> Self {
                let from: fn(Scalar) -> $ty = $from;
                from(scalar.cast(DType::$dtype))
            }
            fn read(bytes: &[u8]) -> Self {
                <$ty>::from_le_bytes(bytes.try_into().expect("slice has the size of the dtype"))
            }
            fn write(self, bytes: &mut [u8]) { bytes.copy_from_slice(&self.to_le_bytes()); }
        }
    )* };
}

element! {
    u8, U8, |x| Scalar::Unsigned(DType::U8, x.into()), |s| s.to_bits() as u8;
    u16, U16, |x| Scalar::Unsigned(DType::U16, x.into()), |s| s.to_bits() as u16;
    u32, U32, |x| Scalar::Unsigned(DType::U32, x.into()), |s| s.to_bits() as u32;
    u64, U64, |x| Scalar::Unsigned(DType::U64, x), |s| s.to_bits();
    i8, I8, |x| Scalar::Signed(DType::I8, x.into()), |s| s.to_bits() as i8;
    i16, I16, |x| Scalar::Signed(DType::I16, x.into()), |s| s.to_bits() as i16;
    i32, I32, |x| Scalar::Signed(DType::I32, x.into()), |s| s.to_bits() as i32;
    i64, I64, |x| Scalar::Signed(DType::I64, x), |s| s.to_bits() as i64;
    f32, F32, Scalar::F32, |s| f32::from_bits(s.to_bits() as u32);
    f64, F64, Scalar::F64, |s| f64::from_bits(s.to_bits());
}

impl Element for bool {
    const DTYPE: DType = DType::Bool;
    fn to_scalar(self) -> Scalar {
        Scalar::Bool(self)
    }
    fn from_scalar(scalar: Scalar) -> Self {
        scalar.cast(DType::Bool) == Scalar::Bool(true)
    }
    fn read(bytes: &[u8]) -> Self {
        bytes[0] != 0
    }
    fn write(self, bytes: &mut [u8]) {
        bytes[0] = self.into();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_reads_back_to_the_same_bits() {
        let samples = [
            Scalar::F32(0.1),
            Scalar::F32(-0.0),
            Scalar::F32(f32::NAN),
            Scalar::F32(f32::from_bits(0xffc0_0001)),
            Scalar::F64(f64::NEG_INFINITY),
            Scalar::F64(1e300),
            Scalar::lowest(DType::I8),
            Scalar::highest(DType::U64),
            Scalar::Bool(true),
        ];
        for scalar in samples {
            assert_eq!(Scalar::parse(scalar.dtype(), &scalar.to_string()), Ok(scalar));
        }
    }

    #[test]
    fn out_of_range_integers_do_not_parse() {
        assert!(Scalar::parse(DType::I8, "128").is_err());
        assert!(Scalar::parse(DType::U8, "-1").is_err());
    }

    #[test]
    fn casts_follow_rust() {
        assert_eq!(Scalar::F32(300.7).cast(DType::U8), Scalar::Unsigned(DType::U8, 255));
        assert_eq!(Scalar::F32(-3.9).cast(DType::I32), Scalar::Signed(DType::I32, -3));
        assert_eq!(Scalar::Signed(DType::I64, 257).cast(DType::U8), Scalar::Unsigned(DType::U8, 1));
        assert_eq!(
            Scalar::highest(DType::U64).cast(DType::F64),
            Scalar::F64(18446744073709551615.0)
        );
    }
}
