//! Rewrites transcendental and awkward operations into ones that are single machine instructions.
//!
//! Every engine that computes an expansion bit for bit gives the same result. Each expansion's doc states
//! its largest error; NaN, infinities, signed zeros and denormal numbers come out as the standard library's
//! functions give them. No expansion branches: alternatives are computed and selected.

mod coefficients;
mod double_double;
mod error_function;
mod exponential;
mod hyperbolic;
mod inverse_trigonometric;
mod logarithm;
mod power;
mod remainder;
mod sign;
mod term;
#[cfg(test)]
mod tests;
mod trigonometric;

use rustc_hash::FxHashMap;
use tracelift_tensor::DType;

use crate::{Expr, ExprBuilder, ExprNode, Op};
use term::{Term, binary, unary};

impl Op {
    /// Whether a code generator has this as an instruction, or a short guarded sequence, for operands
    /// of `dtype`; the rest has an [`expansion_of`].
    ///
    /// Basic integer `Div`, `Rem`, `Shl` and `Shr` keep their total meaning: the generator guards them.
    pub fn is_basic(self, dtype: DType) -> bool {
        use Op::*;
        match self {
            Exp | Log | Sin | Cos | Tan | Asin | Acos | Atan | Sinh | Cosh | Tanh | Asinh
            | Acosh | Atanh | Erf | Pow | Sign => false,
            Rem => !dtype.is_float(),
            _ => true,
        }
    }
}

/// The operation over inputs of `dtype` in basic operations; `None` where it is basic itself or
/// does not take the dtype.
pub fn expansion_of(op: Op, dtype: DType) -> Option<Expr> {
    let takes = op.result_dtype(&vec![dtype; op.arity()]).is_ok();
    if op.is_basic(dtype) || !takes {
        return None;
    }
    Some(match op.arity() {
        1 => unary(dtype, |x| unary_expansion(op, x)),
        _ => binary(dtype, |x, y| binary_expansion(op, x, y)),
    })
}

fn unary_expansion(op: Op, x: Term<'_>) -> Term<'_> {
    match op {
        Op::Exp => exponential::exp(x),
        Op::Log => logarithm::log(x),
        Op::Tanh => hyperbolic::tanh(x),
        Op::Erf => error_function::erf(x),
        Op::Sin => trigonometric::sin(x),
        Op::Cos => trigonometric::cos(x),
        Op::Tan => trigonometric::tan(x),
        Op::Sign => sign::sign(x),
        _ => in_f64(op, x),
    }
}

/// Operations written for f64 only; f32 is widened, and its result rounded once.
fn in_f64(op: Op, x: Term<'_>) -> Term<'_> {
    let body = match op {
        Op::Asin => inverse_trigonometric::asin,
        Op::Acos => inverse_trigonometric::acos,
        Op::Atan => inverse_trigonometric::atan,
        Op::Sinh => hyperbolic::sinh,
        Op::Cosh => hyperbolic::cosh,
        Op::Asinh => hyperbolic::asinh,
        Op::Acosh => hyperbolic::acosh,
        Op::Atanh => hyperbolic::atanh,
        _ => unreachable!("{} is basic", op.name()),
    };
    match x.dtype() {
        DType::F32 => body(x.cast(DType::F64)).cast(DType::F32),
        _ => body(x),
    }
}

fn binary_expansion<'s>(op: Op, x: Term<'s>, y: Term<'s>) -> Term<'s> {
    match (op, x.dtype()) {
        (Op::Pow, DType::F32) => power::pow_f32(x, y),
        (Op::Pow, DType::F64) => power::pow_f64(x, y),
        (Op::Pow, _) => power::pow_int(x, y),
        (Op::Rem, DType::F32) => remainder::rem_f32(x, y),
        (Op::Rem, DType::F64) => remainder::rem_f64(x, y),
        _ => unreachable!("{} is basic", op.name()),
    }
}

/// The expression with every operation that is not basic replaced by its expansion.
///
/// The result is one expression: shared nodes stay shared, and its value differs from the original's by the
/// expansions' stated errors only.
pub fn expand(expr: &Expr) -> Expr {
    let mut b = ExprBuilder::default();
    let mut known: FxHashMap<(Op, DType), Expr> = FxHashMap::default();
    let mut ids = Vec::with_capacity(expr.nodes().len());
    for (k, node) in expr.nodes().iter().enumerate() {
        let id = match node {
            ExprNode::Input(input) => b.input(*input, expr.dtypes()[k]),
            ExprNode::Index(axis) => b.index(*axis),
            ExprNode::Const(scalar) => b.constant(*scalar),
            ExprNode::Apply(op, operands) => {
                let operands: Vec<_> = operands.iter().map(|o| ids[o.index()]).collect();
                let dtype = b.dtype_of(operands[0]);
                if op.is_basic(dtype) {
                    b.apply(*op, &operands)
                } else {
                    let expansion = known.entry((*op, dtype)).or_insert_with(|| {
                        expansion_of(*op, dtype).expect("what is not basic has an expansion")
                    });
                    b.inline(expansion, &operands)
                }
            }
        };
        ids.push(id);
    }
    let root = ids[expr.root().index()];
    b.finish(root)
}
