//! Attributes: the static settings of operators, with their text form.

use std::{fmt, hash};

use serde::{Deserialize, Serialize};
use tracelift_tensor::{Bindings, DType, Dim, Scalar};

use crate::{Shape, text};

/// A setting of an operator that prints and parses.
pub trait Attribute: Sized + PartialEq + Clone {
    /// The text after `name=`.
    fn print(&self) -> String;
    /// Reads what [`Attribute::print`] writes.
    fn parse(text: &str) -> Option<Self>;
    /// The setting with symbols replaced by their values.
    fn bind(&self, bindings: &Bindings) -> Self {
        let _ = bindings;
        self.clone()
    }
    /// The setting for the graph in which every `f32` is `f64`.
    fn widened(&self) -> Self {
        self.clone()
    }
}

macro_rules! by_from_str {
    ($($ty:ty)*) => { $(
        impl Attribute for $ty {
            fn print(&self) -> String { self.to_string() }
            fn parse(text: &str) -> Option<Self> { text.trim().parse().ok() }
        }
    )* };
}
by_from_str! { usize i64 u64 bool }

impl Attribute for DType {
    fn print(&self) -> String {
        self.to_string()
    }
    fn parse(text: &str) -> Option<Self> {
        text.trim().parse().ok()
    }
    fn widened(&self) -> Self {
        if *self == DType::F32 { DType::F64 } else { *self }
    }
}

impl Attribute for String {
    fn print(&self) -> String {
        // Escaped as in JSON, so that any text prints on one line and reads back.
        serde_json::Value::from(self.as_str()).to_string()
    }
    fn parse(text: &str) -> Option<Self> {
        serde_json::from_str(text.trim()).ok()
    }
}

impl Attribute for Dim {
    fn print(&self) -> String {
        self.to_string()
    }
    fn parse(text: &str) -> Option<Self> {
        text::parse_dim(text).ok()
    }
    fn bind(&self, bindings: &Bindings) -> Self {
        Dim::bind(self, bindings)
    }
}

impl Attribute for Shape {
    fn print(&self) -> String {
        self.to_string()
    }
    fn parse(text: &str) -> Option<Self> {
        Vec::<Dim>::parse(text).map(Shape)
    }
    fn bind(&self, bindings: &Bindings) -> Self {
        Shape::bind(self, bindings)
    }
}

impl<T: Attribute> Attribute for Vec<T> {
    fn print(&self) -> String {
        format!("[{}]", self.iter().map(T::print).collect::<Vec<_>>().join(", "))
    }
    fn parse(text: &str) -> Option<Self> {
        let inner = text.trim().strip_prefix('[')?.strip_suffix(']')?.trim();
        if inner.is_empty() {
            return Some(Vec::new());
        }
        split_list(inner).into_iter().map(T::parse).collect()
    }
    fn bind(&self, bindings: &Bindings) -> Self {
        self.iter().map(|x| x.bind(bindings)).collect()
    }
}

impl<T: Attribute, const N: usize> Attribute for [T; N] {
    fn print(&self) -> String {
        format!("[{}]", self.iter().map(T::print).collect::<Vec<_>>().join(", "))
    }
    fn parse(text: &str) -> Option<Self> {
        Vec::<T>::parse(text)?.try_into().ok()
    }
}

/// Splits at the commas outside brackets.
fn split_list(text: &str) -> Vec<&str> {
    let (mut depth, mut start, mut parts) = (0i32, 0, Vec::new());
    for (at, c) in text.char_indices() {
        match c {
            '[' | '(' => depth += 1,
            ']' | ')' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

/// A literal number that takes the dtype of its context.
///
/// Equality compares bits, so that NaN equals itself.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub enum Literal {
    /// An integer.
    Int(i64),
    /// A real number.
    Real(f64),
}

impl Literal {
    /// The number rounded to a dtype.
    pub fn to_scalar(self, dtype: DType) -> Scalar {
        match self {
            Literal::Int(i) => Scalar::Signed(DType::I64, i).cast(dtype),
            Literal::Real(x) => Scalar::from_f64(dtype, x),
        }
    }

    /// The number as `f64`.
    pub fn to_f64(self) -> f64 {
        match self {
            Literal::Int(i) => i as f64,
            Literal::Real(x) => x,
        }
    }

    fn key(self) -> (bool, u64) {
        match self {
            Literal::Int(i) => (true, i as u64),
            Literal::Real(x) => (false, x.to_bits()),
        }
    }
}

impl From<Scalar> for Literal {
    fn from(scalar: Scalar) -> Literal {
        match scalar {
            Scalar::F32(x) => Literal::Real(x.into()),
            Scalar::F64(x) => Literal::Real(x),
            other => Literal::Int(other.to_i64()),
        }
    }
}

impl PartialEq for Literal {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Literal {}

impl hash::Hash for Literal {
    fn hash<H: hash::Hasher>(&self, state: &mut H) {
        self.key().hash(state);
    }
}

impl fmt::Display for Literal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Literal::Int(i) => write!(f, "{i}"),
            Literal::Real(x) => write!(f, "{}", Scalar::F64(*x)),
        }
    }
}

impl Attribute for Literal {
    fn print(&self) -> String {
        self.to_string()
    }
    fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        text.parse().map(Literal::Int).ok().or_else(|| {
            let real = Scalar::parse(DType::F64, text).ok()?;
            Some(Literal::Real(real.to_f64()))
        })
    }
}

/// Defines an enum that is an attribute, with the text of each variant.
#[macro_export]
macro_rules! attribute_enum {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $text:literal),* $(,)? }) => {
        $(#[$doc])*
        #[derive(
            Clone, Copy, PartialEq, Eq, Hash, Debug, serde::Serialize, serde::Deserialize,
        )]
        pub enum $name { $($(#[$vdoc])* $variant),* }

        impl $crate::Attribute for $name {
            fn print(&self) -> String {
                match self { $($name::$variant => $text.to_string()),* }
            }
            fn parse(text: &str) -> Option<Self> {
                match text.trim() { $($text => Some($name::$variant),)* _ => None }
            }
        }
    };
}
