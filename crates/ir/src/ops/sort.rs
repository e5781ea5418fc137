//! `sort`.

use std::cmp::Ordering;

use tracelift_scalar::Op as ScalarOp;
use tracelift_tensor::{DType, Scalar, Tensor, for_each_index, linear};

use super::exactly;
use crate::{Primitive, Structure, TensorType, TypeError, operator, require};

operator! {
    /// Sorts along an axis; results are the values and the positions they had.
    ///
    /// The sort is stable in either direction: equals keep their order. NaN is the greatest value
    /// and equals itself; the two zeros are equal.
    ///
    /// (C1) `axis < rank`.
    /// (C2) The operand is not bool.
    ///
    /// Results: the operand's type; the operand's shape in `i64`.
    /// Gradient: the cotangent put back to the former positions.
    /// Source: PyTorch `sort(stable=True)`; `numpy.argsort(kind="stable")`.
    Sort = "sort" {
        /// The axis sorted.
        axis: usize,
        /// Whether the greatest comes first.
        descending: bool = false,
    }
}

/// The order of two values, NaN the greatest.
pub(super) fn compare(x: Scalar, y: Scalar) -> Ordering {
    let is_nan = |x: Scalar| x.to_f64().is_nan();
    let holds = |op: ScalarOp| op.eval(&[x, y]) == Scalar::Bool(true);
    match (is_nan(x), is_nan(y)) {
        (false, false) if holds(ScalarOp::Lt) => Ordering::Less,
        (false, false) if holds(ScalarOp::Gt) => Ordering::Greater,
        (false, false) => Ordering::Equal,
        (x, y) => x.cmp(&y),
    }
}

impl Primitive for Sort {
    fn infer(&self, operands: &[TensorType]) -> Result<Vec<TensorType>, TypeError> {
        let [x] = exactly(operands)?;
        require!(self.axis < x.rank(), "C1: axis {} of {x}", self.axis);
        require!(x.dtype != DType::Bool, "C2: {x}");
        Ok(vec![x.clone(), x.with_dtype(DType::I64)])
    }

    fn structure(&self, _operands: &[TensorType]) -> Structure {
        Structure::Sort(crate::structure::Sort { axis: self.axis, descending: self.descending })
    }

    fn eval(&self, operands: &[&Tensor]) -> Vec<Tensor> {
        let x = operands[0];
        let mut order = vec![0usize; x.count()];
        let mut rows = x.shape().to_vec();
        rows[self.axis] = rows[self.axis].min(1);
        let place = |row: &[usize], k: usize| {
            let mut at = row.to_vec();
            at[self.axis] = k;
            linear(x.shape(), &at)
        };
        for_each_index(&rows, |row| {
            let mut positions: Vec<usize> = (0..x.shape()[self.axis]).collect();
            positions.sort_by(|&a, &b| {
                let ascending = compare(x.get(place(row, a)), x.get(place(row, b)));
                if self.descending { ascending.reverse() } else { ascending }
            });
            for (k, position) in positions.into_iter().enumerate() {
                order[place(row, k)] = position;
            }
        });
        let values = Tensor::from_fn(x.dtype(), x.shape(), |index| {
            x.get(place(index, order[linear(x.shape(), index)]))
        });
        let positions = Tensor::from_fn(DType::I64, x.shape(), |index| {
            Scalar::from_i64(DType::I64, order[linear(x.shape(), index)] as i64)
        });
        vec![values, positions]
    }
}
