//! Evaluation of operators while they are added.

use tracelift_ir::{Op, Role, TensorType, Value};
use tracelift_tensor::{Dim, Tensor, checked_count};

use super::{Emitter, MAX_KNOWN};
use crate::onnx::symbolic;

/// The most scalar steps that one evaluation may take.
const MAX_FOLD: usize = 1 << 16;

/// The most floats that an evaluation may give; larger ones are for the passes.
const MAX_FLOATS: usize = 64;

impl Emitter {
    /// A movement of a splat is a splat of the result's shape.
    pub(super) fn splat_result(
        &mut self,
        op: &Op,
        operands: &[Value],
        results: &[TensorType],
    ) -> Option<Value> {
        let moves =
            matches!(op, Op::Broadcast(_) | Op::Reshape(_) | Op::Transpose(_) | Op::Slice(_));
        if !moves || results[0].shape.count() == 0 {
            return None;
        }
        let scalar = self.splat_of(operands[0])?;
        Some(self.splat(scalar, results[0].shape.clone()))
    }

    /// Evaluates an operator over constants, where that is cheap and serves to know shapes.
    pub(super) fn evaluate(
        &mut self,
        op: &Op,
        operands: &[Value],
        results: &[TensorType],
    ) -> Option<Vec<Tensor>> {
        let steps = self.steps(op, operands, results)?;
        if steps > MAX_FOLD || steps > self.fold_budget {
            return None;
        }
        self.fold_budget -= steps;
        let tensors: Option<Vec<Tensor>> =
            operands.iter().map(|v| self.graph.constant_tensor(*v)).collect();
        let tensors = tensors?;
        Some(op.eval(&tensors.iter().collect::<Vec<_>>()))
    }

    /// About how many scalar steps an evaluation takes; `None` where there is to be none.
    fn steps(&self, op: &Op, operands: &[Value], results: &[TensorType]) -> Option<usize> {
        let count = |ty: &TensorType| checked_count(&ty.shape.as_consts()?);
        let is_small = |ty: &TensorType| {
            let most = if ty.dtype.is_float() { MAX_FLOATS } else { MAX_KNOWN };
            count(ty).is_some_and(|n| n <= most)
        };
        // Between small operands and results, windows may hold any number of elements.
        let has_windows = matches!(
            op,
            Op::Conv(_)
                | Op::ConvTranspose(_)
                | Op::Windows(_)
                | Op::MaxPool(_)
                | Op::AveragePool(_)
                | Op::LpPool(_)
        );
        let all_known = operands.iter().all(|v| self.graph.constant(*v).is_some());
        if has_windows || !all_known || !results.iter().all(is_small) {
            return None;
        }
        let total = |types: Vec<&TensorType>| {
            types.into_iter().try_fold(1usize, |sum, ty| Some(sum.saturating_add(count(ty)?)))
        };
        let read = total(operands.iter().map(|v| self.ty(*v)).collect())?;
        let written = total(results.iter().collect())?;
        Some(match (op, op.role()) {
            (Op::Contract(_), _) | (_, Role::Composite(_)) => read.saturating_mul(written),
            _ => read.saturating_add(written),
        })
    }

    pub(super) fn known_result(
        &self,
        op: &Op,
        operands: &[Value],
        results: &[TensorType],
    ) -> Option<Vec<Dim>> {
        if !operands.iter().any(|v| self.known.contains_key(v)) {
            return None;
        }
        let count = checked_count(&results.first()?.shape.as_consts()?)?;
        if count > MAX_KNOWN {
            return None;
        }
        let known: Option<Vec<Vec<Dim>>> = operands.iter().map(|v| self.known(*v)).collect();
        let types: Vec<TensorType> = operands.iter().map(|v| self.ty(*v).clone()).collect();
        symbolic::evaluate(op, &known?, &types, results.first()?)
    }
}
