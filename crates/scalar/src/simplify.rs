//! Rewrites expressions by laws that keep every bit of the value.
//!
//! Each law holds for all operands, infinities, signed zeros and denormals included; of NaN only that the
//! value is one is kept, not its sign and payload. Folding a transcendental gives the value of
//! [`Op::eval`]; after [`expand`](crate::expand) there is none left to fold.

mod arithmetic;
mod bits;
mod casts;
mod choice;
#[cfg(test)]
mod tests;

use tracelift_tensor::Scalar;

use crate::{Expr, ExprBuilder, ExprId, ExprNode, Op};

/// A law: what the operation over these operands equals, if the law applies.
type Law = fn(&mut Site<'_>) -> Option<ExprId>;

/// An operation about to be built.
struct Site<'b> {
    b: &'b mut ExprBuilder,
    op: Op,
    operands: Vec<ExprId>,
}

/// The expression with every law applied until none does.
pub fn simplify(expr: &Expr) -> Expr {
    let mut b = ExprBuilder::default();
    let mut ids = Vec::with_capacity(expr.nodes().len());
    for (node, &dtype) in expr.nodes().iter().zip(expr.dtypes()) {
        let id = match node {
            ExprNode::Input(k) => b.input(*k, dtype),
            ExprNode::Index(axis) => b.index(*axis),
            ExprNode::Const(scalar) => b.constant(*scalar),
            ExprNode::Apply(op, operands) => {
                let operands = operands.iter().map(|o| ids[o.index()]).collect();
                build(&mut b, *op, operands)
            }
        };
        ids.push(id);
    }
    let root = ids[expr.root().index()];
    b.finish(root)
}

/// The simplest known node equal to the operation. Every law makes the expression smaller or moves a
/// literal right, so that this ends.
fn build(b: &mut ExprBuilder, op: Op, operands: Vec<ExprId>) -> ExprId {
    let mut site = Site { b, op, operands };
    let lists: [&[Law]; 5] = [&[fold], arithmetic::LAWS, bits::LAWS, casts::LAWS, choice::LAWS];
    match lists.into_iter().flatten().find_map(|law| law(&mut site)) {
        Some(id) => id,
        None => site.b.apply(op, &site.operands),
    }
}

/// An operation over literals is a literal.
fn fold(site: &mut Site<'_>) -> Option<ExprId> {
    let scalars: Option<Vec<Scalar>> = site.operands.iter().map(|o| site.literal(*o)).collect();
    let value = site.op.eval(&scalars?);
    Some(site.b.constant(value))
}

impl Site<'_> {
    /// The value of a node that is a literal.
    fn literal(&self, id: ExprId) -> Option<Scalar> {
        match self.b.node(id) {
            ExprNode::Const(scalar) => Some(*scalar),
            _ => None,
        }
    }

    /// Both operands, where the operation is `op`.
    fn two(&self, op: Op) -> Option<(ExprId, ExprId)> {
        match (self.op == op, self.operands.as_slice()) {
            (true, [x, y]) => Some((*x, *y)),
            _ => None,
        }
    }

    /// The left operand and the literal on the right, where the operation is `op`.
    fn with_literal(&self, op: Op) -> Option<(ExprId, Scalar)> {
        let (x, y) = self.two(op)?;
        Some((x, self.literal(y)?))
    }

    /// The operand of a node that applies the unary `op`.
    fn under(&self, op: Op, id: ExprId) -> Option<ExprId> {
        match self.b.node(id) {
            ExprNode::Apply(found, operands) if *found == op => operands.first().copied(),
            _ => None,
        }
    }

    fn is_float(&self) -> bool {
        self.b.dtype_of(self.operands[0]).is_float()
    }

    fn build(&mut self, op: Op, operands: &[ExprId]) -> Option<ExprId> {
        Some(build(self.b, op, operands.to_vec()))
    }

    fn constant(&mut self, scalar: Scalar) -> Option<ExprId> {
        Some(self.b.constant(scalar))
    }
}

/// The literal with this value in the dtype of `like`, sign of zero included.
fn equals(scalar: Scalar, value: f64) -> bool {
    scalar == Scalar::from_f64(scalar.dtype(), value)
}
