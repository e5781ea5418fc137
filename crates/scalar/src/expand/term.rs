//! Operators on expression nodes, so that an expansion reads like its formula.
//!
//! A `Term` is a node of a builder shared by all terms of one expansion. Literals take the dtype
//! of the term they meet.

use std::cell::RefCell;
use std::ops::{Add, Div, Mul, Neg, Sub};

use tracelift_tensor::{DType, Scalar};

use crate::{Expr, ExprBuilder, ExprId, Op};

/// A node of the expansion being built.
#[derive(Clone, Copy)]
pub(super) struct Term<'s> {
    scope: &'s RefCell<ExprBuilder>,
    id: ExprId,
}

/// The expression of one input of `dtype` that `body` says.
pub(super) fn unary(dtype: DType, body: impl FnOnce(Term<'_>) -> Term<'_>) -> Expr {
    let scope = RefCell::new(ExprBuilder::default());
    let root = body(Term::input(&scope, 0, dtype)).id;
    scope.into_inner().finish(root)
}

/// The expression of two inputs of `dtype` that `body` says.
pub(super) fn binary(
    dtype: DType,
    body: impl for<'s> FnOnce(Term<'s>, Term<'s>) -> Term<'s>,
) -> Expr {
    let scope = RefCell::new(ExprBuilder::default());
    let root = body(Term::input(&scope, 0, dtype), Term::input(&scope, 1, dtype)).id;
    scope.into_inner().finish(root)
}

/// A term, or a literal to be rounded to the dtype of the term it meets.
pub(super) trait Operand<'s> {
    /// This operand as a term beside `like`.
    fn beside(self, like: Term<'s>) -> Term<'s>;
}

impl<'s> Operand<'s> for Term<'s> {
    fn beside(self, _: Term<'s>) -> Term<'s> {
        self
    }
}

impl<'s> Operand<'s> for f64 {
    fn beside(self, like: Term<'s>) -> Term<'s> {
        like.literal(self)
    }
}

impl<'s> Operand<'s> for u64 {
    fn beside(self, like: Term<'s>) -> Term<'s> {
        like.constant(Scalar::from_bits(like.dtype(), self))
    }
}

impl<'s> Term<'s> {
    fn input(scope: &'s RefCell<ExprBuilder>, k: u32, dtype: DType) -> Term<'s> {
        let id = scope.borrow_mut().input(k, dtype);
        Term { scope, id }
    }

    fn apply(self, op: Op, rest: &[Term<'s>]) -> Term<'s> {
        let mut operands = vec![self.id];
        operands.extend(rest.iter().map(|term| term.id));
        Term { scope: self.scope, id: self.scope.borrow_mut().apply(op, &operands) }
    }

    fn apply_two(self, op: Op, other: impl Operand<'s>) -> Term<'s> {
        self.apply(op, &[other.beside(self)])
    }

    /// The dtype of this term.
    pub fn dtype(self) -> DType {
        self.scope.borrow().dtype_of(self.id)
    }

    /// A literal of any dtype.
    pub fn constant(self, scalar: Scalar) -> Term<'s> {
        Term { scope: self.scope, id: self.scope.borrow_mut().constant(scalar) }
    }

    /// A literal of this term's dtype.
    pub fn literal(self, value: f64) -> Term<'s> {
        self.constant(Scalar::from_f64(self.dtype(), value))
    }

    /// `self · y + z`, rounded once.
    pub fn fma(self, y: impl Operand<'s>, z: impl Operand<'s>) -> Term<'s> {
        self.apply(Op::Fma, &[y.beside(self), z.beside(self)])
    }

    /// The polynomial with these coefficients, constant first, by Horner's scheme.
    pub fn polynomial(self, coefficients: &[f64]) -> Term<'s> {
        let (last, rest) = coefficients.split_last().expect("polynomials have coefficients");
        rest.iter().rev().fold(self.literal(*last), |sum, c| sum.fma(self, *c))
    }

    /// `yes` where this bool holds, else `no`.
    pub fn select(self, yes: Term<'s>, no: impl Operand<'s>) -> Term<'s> {
        self.apply(Op::Select, &[yes, no.beside(yes)])
    }

    /// The unsigned integer with the bits of this float.
    pub fn bits(self) -> Term<'s> {
        let to = if self.dtype() == DType::F32 { DType::U32 } else { DType::U64 };
        self.apply(Op::Bitcast(to), &[])
    }

    /// The float with the bits of this unsigned integer.
    pub fn float(self) -> Term<'s> {
        let to = if self.dtype() == DType::U32 { DType::F32 } else { DType::F64 };
        self.apply(Op::Bitcast(to), &[])
    }

    /// This term converted to a dtype.
    pub fn cast(self, to: DType) -> Term<'s> {
        self.apply(Op::Cast(to), &[])
    }

    /// The sign bit of this float, alone.
    pub fn sign_bit(self) -> Term<'s> {
        let top = 8 * self.dtype().size_bytes() - 1;
        self.bits().and(1u64 << top)
    }

    /// This float, whose sign bit is clear, with the sign bit of `other`.
    pub fn with_sign_of(self, other: Term<'s>) -> Term<'s> {
        self.bits().or(other.sign_bit()).float()
    }
}

macro_rules! methods {
    ($($name:ident $op:ident $doc:literal;)*) => {
        impl<'s> Term<'s> { $(
            #[doc = $doc]
            pub fn $name(self) -> Term<'s> {
                self.apply(Op::$op, &[])
            }
        )* }
    };
}

methods! {
    abs Abs "The absolute value.";
    sqrt Sqrt "The square root.";
    trunc Trunc "The integer part.";
}

macro_rules! binary_methods {
    ($($name:ident $op:ident $doc:literal;)*) => {
        impl<'s> Term<'s> { $(
            #[doc = $doc]
            pub fn $name(self, other: impl Operand<'s>) -> Term<'s> {
                self.apply_two(Op::$op, other)
            }
        )* }
    };
}

binary_methods! {
    min Min "The smaller; NaN where either is.";
    max Max "The larger; NaN where either is.";
    and And "Bitwise and.";
    or Or "Bitwise or.";
    xor Xor "Bitwise exclusive or.";
    shl Shl "Shifted left.";
    shr Shr "Shifted right.";
    eq Eq "Whether equal.";
    ne Ne "Whether different.";
    lt Lt "Whether smaller.";
    le Le "Whether not larger.";
    gt Gt "Whether larger.";
    ge Ge "Whether not smaller.";
}

impl Neg for Term<'_> {
    type Output = Self;
    fn neg(self) -> Self {
        self.apply(Op::Neg, &[])
    }
}

macro_rules! operators {
    ($($trait:ident $name:ident;)*) => { $(
        impl<'s, T: Operand<'s>> $trait<T> for Term<'s> {
            type Output = Term<'s>;
            fn $name(self, other: T) -> Term<'s> {
                self.apply_two(Op::$trait, other)
            }
        }

        impl<'s> $trait<Term<'s>> for f64 {
            type Output = Term<'s>;
            fn $name(self, other: Term<'s>) -> Term<'s> {
                other.literal(self).apply_two(Op::$trait, other)
            }
        }
    )* };
}

operators! {
    Add add;
    Sub sub;
    Mul mul;
    Div div;
}
