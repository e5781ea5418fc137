//! Typed expressions over single numbers: a directed acyclic graph with one root.

use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};
use tracelift_tensor::{DType, Scalar};

use crate::{Op, OpTypeError};

/// A node of an expression under construction or in an [`Expr`]; operands come before their users.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct ExprId(u32);

impl ExprId {
    /// The position in [`Expr::nodes`].
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// What computes one number.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum ExprNode {
    /// The operand of this number, counted from 0.
    Input(u32),
    /// The coordinate of the current point along an axis, as `i64`.
    Index(u32),
    /// A literal.
    Const(Scalar),
    /// An operation over earlier nodes.
    Apply(Op, Vec<ExprId>),
}

/// An expression: nodes in topological order, each used by a later one or the root.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Expr {
    nodes: Vec<ExprNode>,
    dtypes: Vec<DType>,
    root: ExprId,
}

impl Expr {
    /// The nodes, operands before users.
    pub fn nodes(&self) -> &[ExprNode] {
        &self.nodes
    }

    /// The dtypes of the nodes.
    pub fn dtypes(&self) -> &[DType] {
        &self.dtypes
    }

    /// The dtype of a node.
    pub fn dtype_of(&self, id: ExprId) -> DType {
        self.dtypes[id.index()]
    }

    /// The node whose value is the expression's.
    pub fn root(&self) -> ExprId {
        self.root
    }

    /// The dtype of the expression.
    pub fn dtype(&self) -> DType {
        self.dtype_of(self.root)
    }

    /// One operation applied to inputs 0, 1, … of the given dtypes.
    ///
    /// # Errors
    /// When the operation does not take these dtypes.
    pub fn of_op(op: Op, inputs: &[DType]) -> Result<Expr, OpTypeError> {
        let mut b = ExprBuilder::default();
        let operands: Vec<ExprId> =
            inputs.iter().enumerate().map(|(k, &dtype)| b.input(k as u32, dtype)).collect();
        let root = b.try_apply(op, &operands)?;
        Ok(b.finish(root))
    }

    /// The value for the given inputs at the given coordinates.
    ///
    /// # Panics
    /// When an input or a coordinate is missing, or an input has another dtype.
    pub fn eval(&self, inputs: &[Scalar], coordinates: &[usize]) -> Scalar {
        let mut values: Vec<Scalar> = Vec::with_capacity(self.nodes.len());
        for (node, &dtype) in self.nodes.iter().zip(&self.dtypes) {
            let value = match node {
                ExprNode::Input(k) => inputs[*k as usize],
                ExprNode::Index(axis) => {
                    Scalar::Signed(DType::I64, coordinates[*axis as usize] as i64)
                }
                ExprNode::Const(scalar) => *scalar,
                ExprNode::Apply(op, operands) => {
                    let args: Vec<Scalar> = operands.iter().map(|id| values[id.index()]).collect();
                    op.eval(&args)
                }
            };
            assert_eq!(value.dtype(), dtype, "inputs have the expression's dtypes");
            values.push(value);
        }
        values[self.root.index()]
    }
}

/// Builds an [`Expr`], sharing equal nodes.
#[derive(Default, Debug)]
pub struct ExprBuilder {
    nodes: Vec<ExprNode>,
    dtypes: Vec<DType>,
    known: FxHashMap<(ExprNode, DType), ExprId>,
}

impl ExprBuilder {
    fn push(&mut self, node: ExprNode, dtype: DType) -> ExprId {
        let next = ExprId(self.nodes.len() as u32);
        *self.known.entry((node.clone(), dtype)).or_insert_with(|| {
            self.nodes.push(node);
            self.dtypes.push(dtype);
            next
        })
    }

    /// Operand number `k`.
    pub fn input(&mut self, k: u32, dtype: DType) -> ExprId {
        self.push(ExprNode::Input(k), dtype)
    }

    /// The coordinate along an axis, as `i64`.
    pub fn index(&mut self, axis: u32) -> ExprId {
        self.push(ExprNode::Index(axis), DType::I64)
    }

    /// A literal.
    pub fn constant(&mut self, scalar: Scalar) -> ExprId {
        self.push(ExprNode::Const(scalar), scalar.dtype())
    }

    /// A literal rounded to the dtype of another node.
    pub fn constant_like(&mut self, like: ExprId, value: f64) -> ExprId {
        self.constant(Scalar::from_f64(self.dtypes[like.index()], value))
    }

    /// The dtype of a node.
    pub fn dtype_of(&self, id: ExprId) -> DType {
        self.dtypes[id.index()]
    }

    /// A node already built.
    pub fn node(&self, id: ExprId) -> &ExprNode {
        &self.nodes[id.index()]
    }

    /// An operation over earlier nodes.
    ///
    /// # Errors
    /// When the operation does not take these dtypes.
    pub fn try_apply(&mut self, op: Op, operands: &[ExprId]) -> Result<ExprId, OpTypeError> {
        let dtypes: Vec<DType> = operands.iter().map(|id| self.dtype_of(*id)).collect();
        let dtype = op.result_dtype(&dtypes)?;
        Ok(self.push(ExprNode::Apply(op, operands.to_vec()), dtype))
    }

    /// An operation whose operands are known to fit.
    ///
    /// # Panics
    /// When they do not.
    pub fn apply(&mut self, op: Op, operands: &[ExprId]) -> ExprId {
        match self.try_apply(op, operands) {
            Ok(id) => id,
            Err(error) => panic!("operands fit the operation: {error}"),
        }
    }

    /// Copies an expression with its inputs replaced by nodes of this builder.
    ///
    /// # Panics
    /// When an input is missing or has another dtype.
    pub fn inline(&mut self, expr: &Expr, inputs: &[ExprId]) -> ExprId {
        let mut map: Vec<ExprId> = Vec::with_capacity(expr.nodes.len());
        for node in &expr.nodes {
            let id = match node {
                ExprNode::Input(k) => inputs[*k as usize],
                ExprNode::Index(axis) => self.index(*axis),
                ExprNode::Const(scalar) => self.constant(*scalar),
                ExprNode::Apply(op, operands) => {
                    let operands: Vec<ExprId> = operands.iter().map(|o| map[o.index()]).collect();
                    self.apply(*op, &operands)
                }
            };
            map.push(id);
        }
        map[expr.root.index()]
    }

    /// The expression rooted at `root`, without the nodes it does not need.
    ///
    /// Nodes stand in the order a depth-first walk from the root leaves them, so that equal graphs
    /// are equal expressions, however they were built.
    pub fn finish(self, root: ExprId) -> Expr {
        let unset = ExprId(u32::MAX);
        let mut renamed = vec![unset; self.nodes.len()];
        let (mut nodes, mut dtypes) = (Vec::new(), Vec::new());
        // A node and how many of its operands are done.
        let mut open = vec![(root, 0)];
        while let Some((id, n_done)) = open.pop() {
            let mut node = self.nodes[id.index()].clone();
            if let ExprNode::Apply(_, operands) = &mut node {
                if let Some(next) = operands.get(n_done) {
                    open.push((id, n_done + 1));
                    if renamed[next.index()] == unset {
                        open.push((*next, 0));
                    }
                    continue;
                }
                operands.iter_mut().for_each(|o| *o = renamed[o.index()]);
            }
            renamed[id.index()] = ExprId(nodes.len() as u32);
            nodes.push(node);
            dtypes.push(self.dtypes[id.index()]);
        }
        Expr { nodes, dtypes, root: renamed[root.index()] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_share_nodes_and_drop_unused_ones() {
        let mut b = ExprBuilder::default();
        let x = b.input(0, DType::F32);
        let unused = b.apply(Op::Exp, &[x]);
        let square = b.apply(Op::Mul, &[x, x]);
        assert_eq!(b.apply(Op::Mul, &[x, x]), square);
        assert_ne!(unused, square);
        let expr = b.finish(square);
        assert_eq!(expr.nodes().len(), 2);
        assert_eq!(expr.eval(&[Scalar::F32(3.0)], &[]), Scalar::F32(9.0));
    }

    #[test]
    fn wrong_dtypes_are_refused() {
        let error = Expr::of_op(Op::Add, &[DType::F32, DType::I32]).unwrap_err();
        assert_eq!(error.to_string(), "add takes numbers of one dtype, found (f32, i32)");
    }
}
