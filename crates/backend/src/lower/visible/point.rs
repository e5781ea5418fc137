//! What is known of a score at one place.

use tracelift_ir::{Structure, Value};
use tracelift_scalar::{Expr, ExprNode, Op};
use tracelift_tensor::{DType, Scalar};

use super::{HIGH, MOST_VALUES, mask::Mask};

/// What is known of a number.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Known {
    Number(Scalar),
    /// It is made of a product and of numbers that are not high.
    Product,
}

impl Known {
    fn is_low_or_high(self) -> bool {
        matches!(self, Known::Number(x) if x.to_f64().abs() >= HIGH || x.to_f64().is_nan())
    }

    fn of(op: Op, args: &[Option<Known>]) -> Option<Known> {
        if let (Op::Select, [Some(Known::Number(Scalar::Bool(is))), x, y]) = (op, args) {
            return if *is { *x } else { *y };
        }
        let args: Vec<Known> = args.iter().copied().collect::<Option<_>>()?;
        let number = |known: &Known| match known {
            Known::Number(x) => Some(*x),
            Known::Product => None,
        };
        if let Some(numbers) = args.iter().map(number).collect::<Option<Vec<Scalar>>>() {
            return Some(Known::Number(op.eval(&numbers)));
        }
        let keeps = matches!(op, Op::Add | Op::Sub | Op::Mul | Op::Neg | Op::Tanh);
        (keeps && !args.iter().any(|known| known.is_low_or_high())).then_some(Known::Product)
    }
}

impl Mask<'_, '_> {
    /// Whether a score is certainly higher than what masks hide.
    pub(super) fn is_visible(&self, scores: Value, point: &[usize]) -> bool {
        let mut n_left = MOST_VALUES;
        self.known(scores, point, &mut n_left).is_some_and(|known| !known.is_low_or_high())
    }

    fn known(&self, value: Value, point: &[usize], n_left: &mut usize) -> Option<Known> {
        let graph = self.lowering.graph;
        *n_left = n_left.checked_sub(1)?;
        if value == self.anchor {
            return Some(Known::Product);
        }
        if let Some(scalar) = graph.splat(value) {
            return Some(Known::Number(scalar));
        }
        if graph.constant(value).is_some() {
            return Some(Known::Number(graph.constant_tensor(value)?.at(point)));
        }
        match self.structure(value)? {
            Structure::Move(_) => {
                let (operand, read) = self.read(value)?;
                let place: Vec<usize> = read.iter().map(|e| e.eval(point) as usize).collect();
                self.known(operand, &place, n_left)
            }
            Structure::Map(expr) => {
                let operands = graph.operands(value.node);
                self.known_expr(expr, &operands, point, n_left)
            }
            _ => None,
        }
    }

    fn known_expr(
        &self,
        expr: &Expr,
        operands: &[Value],
        point: &[usize],
        n_left: &mut usize,
    ) -> Option<Known> {
        let mut known: Vec<Option<Known>> = Vec::with_capacity(expr.nodes().len());
        for node in expr.nodes() {
            known.push(match node {
                ExprNode::Input(k) => self.known(operands[*k as usize], point, n_left),
                ExprNode::Const(scalar) => Some(Known::Number(*scalar)),
                ExprNode::Index(axis) => {
                    Some(Known::Number(Scalar::Signed(DType::I64, point[*axis as usize] as i64)))
                }
                ExprNode::Apply(op, args) => {
                    let args: Vec<Option<Known>> = args.iter().map(|a| known[a.index()]).collect();
                    Known::of(*op, &args)
                }
            });
        }
        known[expr.root().index()]
    }
}
