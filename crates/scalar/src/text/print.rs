//! Expression to text.

use std::fmt::{self, Write};

use tracelift_tensor::{DType, Scalar};

use super::share_dtype;
use crate::{Expr, ExprId, ExprNode, Op};

/// Calls nested deeper than this are bound by `let`.
const DEEPEST: usize = 12;

impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let printer = Printer::new(self);
        for (k, name) in printer.names.iter().enumerate() {
            if let Some(name) = name {
                write!(f, "let t{name} = ")?;
                printer.node(f, &self.nodes()[k])?;
                f.write_str("; ")?;
            }
        }
        match &self.nodes()[self.root().index()] {
            ExprNode::Const(scalar) => literal(f, *scalar, false),
            _ => printer.operand(f, self.root()),
        }
    }
}

struct Printer<'e> {
    expr: &'e Expr,
    /// The number of the `let` that binds a node.
    names: Vec<Option<usize>>,
}

impl Printer<'_> {
    fn new(expr: &Expr) -> Printer<'_> {
        let n_nodes = expr.nodes().len();
        let (mut n_uses, mut depths) = (vec![0; n_nodes], vec![0; n_nodes]);
        let operands = |node: &ExprNode| match node {
            ExprNode::Apply(_, operands) => operands.clone(),
            _ => Vec::new(),
        };
        for node in expr.nodes() {
            operands(node).iter().for_each(|o| n_uses[o.index()] += 1);
        }
        let mut names = vec![None; n_nodes];
        let mut n_names = 0;
        for (k, node) in expr.nodes().iter().enumerate() {
            let deepest = operands(node).iter().map(|o| depths[o.index()] + 1).max();
            depths[k] = deepest.unwrap_or(0);
            let is_bound = deepest.is_some() && (n_uses[k] > 1 || depths[k] >= DEEPEST);
            if is_bound && k != expr.root().index() {
                names[k] = Some(n_names);
                n_names += 1;
                depths[k] = 0;
            }
        }
        Printer { expr, names }
    }

    fn operand(&self, f: &mut fmt::Formatter<'_>, id: ExprId) -> fmt::Result {
        match self.names[id.index()] {
            Some(name) => write!(f, "t{name}"),
            None => self.node(f, &self.expr.nodes()[id.index()]),
        }
    }

    fn node(&self, f: &mut fmt::Formatter<'_>, node: &ExprNode) -> fmt::Result {
        let (op, operands) = match node {
            ExprNode::Input(k) => return write!(f, "x{k}"),
            ExprNode::Index(axis) => return write!(f, "i{axis}"),
            ExprNode::Const(scalar) => return literal(f, *scalar, false),
            ExprNode::Apply(op, operands) => (*op, operands),
        };
        f.write_str(op.name())?;
        if let Op::Cast(to) | Op::Bitcast(to) = op {
            write!(f, ".{to}")?;
        }
        f.write_char('(')?;
        for (k, operand) in operands.iter().enumerate() {
            if k > 0 {
                f.write_str(", ")?;
            }
            match self.expr.nodes()[operand.index()] {
                ExprNode::Const(scalar) => literal(f, scalar, self.is_known(op, operands, k))?,
                _ => self.operand(f, *operand)?,
            }
        }
        f.write_char(')')
    }

    /// Whether another operand, no literal, tells the dtype of operand `k`.
    fn is_known(&self, op: Op, operands: &[ExprId], k: usize) -> bool {
        operands.iter().enumerate().any(|(other, id)| {
            let is_literal = matches!(self.expr.nodes()[id.index()], ExprNode::Const(_));
            !is_literal && share_dtype(op, k, other)
        })
    }
}

fn literal(f: &mut fmt::Formatter<'_>, scalar: Scalar, is_known: bool) -> fmt::Result {
    match scalar.dtype() {
        dtype if !is_known && dtype != DType::Bool => write!(f, "{dtype}:{scalar}"),
        _ => write!(f, "{scalar}"),
    }
}
