//! Operations that are no instruction, by their expansion into ones that are.

use std::sync::Arc;

use cranelift_codegen::ir::Value;
use tracelift_scalar::{Expr, ExprNode, Op, expansion_of};
use tracelift_tensor::DType;

use super::{Emitter, op::Operand};
use crate::BackendError;

impl Emitter<'_, '_> {
    /// Applies an operation that is not basic.
    pub(super) fn expanded(
        &mut self,
        op: Op,
        operands: &[Operand],
        lanes: usize,
    ) -> Result<Value, BackendError> {
        let dtype = operands[0].dtype;
        let Some(expr) = self.expansion(op, dtype) else {
            return Err(self.unsupported(op, dtype));
        };
        let size = 16 / lanes;
        let fits = |d: &DType| *d == DType::Bool || d.size_bytes() == size;
        if lanes == 1 || expr.dtypes().iter().all(fits) {
            return self.expression(&expr, operands, lanes);
        }
        let mut elements = Vec::with_capacity(lanes);
        for lane in 0..lanes {
            let parts: Vec<Operand> = operands
                .iter()
                .map(|o| Operand { value: self.lane(o.dtype, lanes, o.value, lane), ..*o })
                .collect();
            elements.push(self.expression(&expr, &parts, 1)?);
        }
        Ok(self.join_lanes(expr.dtype(), &elements))
    }

    fn expansion(&mut self, op: Op, dtype: DType) -> Option<Arc<Expr>> {
        if let Some(expr) = self.expansions.get(&(op, dtype)) {
            return Some(expr.clone());
        }
        let expr = Arc::new(expansion_of(op, dtype)?);
        self.expansions.insert((op, dtype), expr.clone());
        Some(expr)
    }

    /// The value of an expression; literals are emitted where they are used.
    fn expression(
        &mut self,
        expr: &Expr,
        inputs: &[Operand],
        lanes: usize,
    ) -> Result<Value, BackendError> {
        let mut known: Vec<Option<Operand>> = Vec::with_capacity(expr.nodes().len());
        for (node, &dtype) in expr.nodes().iter().zip(expr.dtypes()) {
            let operand = match node {
                ExprNode::Input(k) => Some(inputs[*k as usize]),
                ExprNode::Const(_) => None,
                ExprNode::Index(_) => unreachable!("an operation's expansion reads no coordinate"),
                ExprNode::Apply(op, ids) => {
                    let args: Vec<Operand> =
                        ids.iter().map(|id| self.node(expr, &known, id.index(), lanes)).collect();
                    let value = self.apply(*op, &args, lanes)?;
                    Some(Operand { value, dtype, literal: None })
                }
            };
            known.push(operand);
        }
        Ok(self.node(expr, &known, expr.root().index(), lanes).value)
    }

    fn node(
        &mut self,
        expr: &Expr,
        known: &[Option<Operand>],
        node: usize,
        lanes: usize,
    ) -> Operand {
        match (known[node], &expr.nodes()[node]) {
            (Some(operand), _) => operand,
            (None, ExprNode::Const(scalar)) => Operand {
                value: self.constant(*scalar, lanes),
                dtype: scalar.dtype(),
                literal: Some(*scalar),
            },
            _ => unreachable!("operands come before their users"),
        }
    }
}
