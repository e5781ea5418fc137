//! What an operator is: syntax, type rule, structure, meaning, gradient.

use std::{collections::BTreeMap, fmt};

use tracelift_tensor::Tensor;

use crate::{Builder, GradError, Structure, TensorType, TypeError, Value};

/// The name and attributes of an operator.
pub trait Syntax: fmt::Debug {
    /// The name in text form.
    fn name(&self) -> &'static str;
    /// The attributes that differ from their defaults, in declaration order, as text.
    fn attributes(&self) -> Vec<(&'static str, String)>;
}

/// An operator with a meaning of its own.
pub trait Primitive: Syntax {
    /// The types of the results; the error names the violated constraint.
    fn infer(&self, operands: &[TensorType]) -> Result<Vec<TensorType>, TypeError>;

    /// What kind of computation this is, for operands that pass [`Primitive::infer`] and have no
    /// symbols.
    fn structure(&self, operands: &[TensorType]) -> Structure;

    /// The reference meaning, for operands that pass [`Primitive::infer`].
    fn eval(&self, operands: &[&Tensor]) -> Vec<Tensor>;

    /// The cotangents of the operands given those of the results; `None` is zero.
    ///
    /// # Errors
    /// When the operator has no gradient.
    fn grad(
        &self,
        b: &mut Builder<'_>,
        operands: &[Value],
        results: &[Value],
        cotangents: &[Option<Value>],
    ) -> Result<Vec<Option<Value>>, GradError> {
        let _ = (b, operands, results, cotangents);
        Err(GradError::Undefined(self.name()))
    }
}

/// An operator said in terms of others.
pub trait Composite: Syntax {
    /// Builds the same values from other operators; the error names the violated constraint.
    fn decompose(&self, b: &mut Builder<'_>, operands: &[Value]) -> Result<Vec<Value>, TypeError>;
}

/// How an operator is defined.
pub enum Role<'a> {
    /// By a meaning of its own.
    Primitive(&'a dyn Primitive),
    /// By others.
    Composite(&'a dyn Composite),
}

/// Attributes as parsed: name and text.
pub type AttributeTexts = BTreeMap<String, String>;

/// An attribute that is missing, unknown or ill-formed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AttributeError {
    /// A required attribute is absent.
    #[error("attribute {0} is missing")]
    Missing(&'static str),
    /// The operator has no such attribute.
    #[error("unknown attribute '{found}' (known: {known})")]
    Unknown {
        /// The name found.
        found: String,
        /// The names the operator has.
        known: String,
    },
    /// The text is not of the attribute's form.
    #[error("attribute {name}: '{found}' does not parse")]
    Malformed {
        /// The attribute.
        name: &'static str,
        /// The text found.
        found: String,
    },
}

/// Reads one attribute; used by [`operator!`](crate::operator).
pub fn take_attribute<T: crate::Attribute>(
    texts: &AttributeTexts,
    name: &'static str,
    default: Option<T>,
) -> Result<T, AttributeError> {
    match texts.get(name) {
        Some(text) => {
            T::parse(text).ok_or_else(|| AttributeError::Malformed { name, found: text.clone() })
        }
        None => default.ok_or(AttributeError::Missing(name)),
    }
}

/// Defines an operator's syntax: its struct, name, documentation and attributes with defaults.
#[macro_export]
macro_rules! operator {
    (
        $(#[doc = $doc:literal])*
        $name:ident = $text:literal {
            $($(#[doc = $fdoc:literal])* $field:ident: $ty:ty $(= $default:expr)?),* $(,)?
        }
    ) => {
        $(#[doc = $doc])*
        #[derive(Clone, PartialEq, Eq, Hash, Debug, serde::Serialize, serde::Deserialize)]
        pub struct $name { $($(#[doc = $fdoc])* pub $field: $ty),* }

        impl $name {
            /// The name in text form.
            pub const NAME: &'static str = $text;
            /// The specification: the doc comment of the operator.
            pub const DOC: &'static str = concat!($($doc, "\n"),*);

            /// Reads the attributes; none may be unknown.
            pub fn from_attributes(
                texts: &$crate::AttributeTexts,
            ) -> Result<Self, $crate::AttributeError> {
                let known: &[&str] = &[$(stringify!($field)),*];
                if let Some(found) = texts.keys().find(|k| !known.contains(&k.as_str())) {
                    return Err($crate::AttributeError::Unknown {
                        found: found.clone(),
                        known: known.join(", "),
                    });
                }
                Ok($name { $(
                    $field: $crate::take_attribute(
                        texts,
                        stringify!($field),
                        $crate::operator!(@default $($default)?),
                    )?
                ),* })
            }

            /// The operator with symbols in its attributes replaced by their values.
            pub fn bind(&self, bindings: &tracelift_tensor::Bindings) -> Self {
                let _ = bindings;
                $name { $($field: $crate::Attribute::bind(&self.$field, bindings)),* }
            }

            /// The operator for the graph in which every `f32` is `f64`.
            pub fn widened(&self) -> Self {
                $name { $($field: $crate::Attribute::widened(&self.$field)),* }
            }
        }

        impl $crate::Syntax for $name {
            fn name(&self) -> &'static str { $text }
            fn attributes(&self) -> Vec<(&'static str, String)> {
                #[allow(unused_mut)]
                let mut out: Vec<(&'static str, String)> = Vec::new();
                $(
                    if $crate::operator!(@default $($default)?) != Some(self.$field.clone()) {
                        out.push((stringify!($field), $crate::Attribute::print(&self.$field)));
                    }
                )*
                out
            }
        }
    };
    (@default $default:expr) => { Some($default) };
    (@default) => { None };
}

/// Defines an elementwise operator by one scalar operation.
#[macro_export]
macro_rules! elementwise {
    ($(#[doc = $doc:literal])* $name:ident = $text:literal => $op:expr) => {
        $crate::operator! { $(#[doc = $doc])* $name = $text {} }

        impl $crate::Primitive for $name {
            fn infer(
                &self,
                operands: &[$crate::TensorType],
            ) -> Result<Vec<$crate::TensorType>, $crate::TypeError> {
                $crate::elementwise::infer($op, operands)
            }
            fn structure(&self, operands: &[$crate::TensorType]) -> $crate::Structure {
                $crate::elementwise::structure($op, operands)
            }
            fn eval(&self, operands: &[&tracelift_tensor::Tensor]) -> Vec<tracelift_tensor::Tensor> {
                $crate::elementwise::eval($op, operands)
            }
        }
    };
}

/// Declares the set of operators: the [`Op`](crate::Op) enum and its dispatch.
#[macro_export]
macro_rules! operators {
    (primitive { $($pm:ident :: $p:ident),* $(,)? } composite { $($cm:ident :: $c:ident),* $(,)? }) => {
        $(mod $pm;)* $(mod $cm;)*
        $(pub use $pm::*;)* $(pub use $cm::*;)*

        /// Any operator.
        #[derive(Clone, PartialEq, Eq, Hash, Debug, serde::Serialize, serde::Deserialize)]
        #[serde(tag = "op")]
        #[allow(missing_docs)]
        pub enum Op { $($p($p),)* $($c($c)),* }

        impl Op {
            /// How the operator is defined.
            pub fn role(&self) -> $crate::Role<'_> {
                match self {
                    $(Op::$p(op) => $crate::Role::Primitive(op),)*
                    $(Op::$c(op) => $crate::Role::Composite(op)),*
                }
            }

            /// The operator with symbols in its attributes replaced by their values.
            pub fn bind(&self, bindings: &tracelift_tensor::Bindings) -> Op {
                match self {
                    $(Op::$p(op) => op.bind(bindings).into(),)*
                    $(Op::$c(op) => op.bind(bindings).into()),*
                }
            }

            /// The operator for the graph in which every `f32` is `f64`.
            pub fn widened(&self) -> Op {
                match self {
                    $(Op::$p(op) => op.widened().into(),)*
                    $(Op::$c(op) => op.widened().into()),*
                }
            }

            /// The operator of that name with these attributes; `None` where there is none.
            pub fn parse(
                name: &str,
                attributes: &$crate::AttributeTexts,
            ) -> Option<Result<Op, $crate::AttributeError>> {
                match name {
                    $($p::NAME => Some($p::from_attributes(attributes).map(Op::$p)),)*
                    $($c::NAME => Some($c::from_attributes(attributes).map(Op::$c)),)*
                    _ => None,
                }
            }

            /// The name and the attributes that differ from their defaults.
            pub fn syntax(&self) -> &dyn $crate::Syntax {
                match self {
                    $(Op::$p(op) => op,)*
                    $(Op::$c(op) => op),*
                }
            }

            /// Name, specification and whether it is a primitive, for every operator.
            pub const ALL: &'static [(&'static str, &'static str, bool)] = &[
                $(($p::NAME, $p::DOC, true),)* $(($c::NAME, $c::DOC, false)),*
            ];
        }

        $(impl From<$p> for Op { fn from(op: $p) -> Op { Op::$p(op) } }
          impl $crate::OpKind for $p {
              fn of(op: &Op) -> Option<&Self> { match op { Op::$p(op) => Some(op), _ => None } }
          })*
        $(impl From<$c> for Op { fn from(op: $c) -> Op { Op::$c(op) } }
          impl $crate::OpKind for $c {
              fn of(op: &Op) -> Option<&Self> { match op { Op::$c(op) => Some(op), _ => None } }
          })*
    };
}

/// One kind of operator, found inside an [`Op`](crate::Op).
pub trait OpKind: Sized {
    /// The operator, where it is of this kind.
    fn of(op: &crate::Op) -> Option<&Self>;
}
