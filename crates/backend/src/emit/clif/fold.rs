//! Folds over the columns of a tile.

use cranelift_codegen::ir::Value;
use tracelift_scalar::Op;
use tracelift_tensor::DType;

use super::{Emitter, op::Operand};
use crate::BackendError;

impl Emitter<'_, '_> {
    /// Folds chunks of columns, at least one, each with its number of lanes: vectors pairwise, then their lanes
    /// with the single columns.
    pub(super) fn fold_columns(
        &mut self,
        op: Op,
        dtype: DType,
        chunks: &[(Value, usize)],
    ) -> Result<Value, BackendError> {
        let vectors: Vec<Value> = chunks.iter().filter(|c| c.1 > 1).map(|c| c.0).collect();
        let lanes = chunks[0].1;
        let mut elements = Vec::new();
        if !vectors.is_empty() {
            let vector = self.fold_pairwise(op, dtype, vectors, lanes)?;
            elements.extend((0..lanes).map(|lane| self.lane(dtype, lanes, vector, lane)));
        }
        elements.extend(chunks.iter().filter(|c| c.1 == 1).map(|c| c.0));
        self.fold_pairwise(op, dtype, elements, 1)
    }

    fn fold_pairwise(
        &mut self,
        op: Op,
        dtype: DType,
        mut values: Vec<Value>,
        lanes: usize,
    ) -> Result<Value, BackendError> {
        while values.len() > 1 {
            let mut next = Vec::with_capacity(values.len().div_ceil(2));
            for pair in values.chunks(2) {
                next.push(match pair {
                    [x, y] => {
                        let operand = |value| Operand { value, dtype, literal: None };
                        self.apply(op, &[operand(*x), operand(*y)], lanes)?
                    }
                    rest => rest[0],
                });
            }
            values = next;
        }
        Ok(values[0])
    }
}
