//! `cumulative`.

use tracelift_tensor::{DType, Scalar, Tensor, for_each_index, linear};

use super::{ReduceKind, exactly, reduce::fold_step};
use crate::{Primitive, Scan, Structure, TensorType, TypeError, operator, require};

operator! {
    /// The running fold along an axis: element `k` combines elements `0..=k`.
    ///
    /// `exclusive` leaves element `k` itself out, so that the first result is the fold's neutral
    /// value; `reverse` runs from the end.
    ///
    /// (C1) `axis < rank`.
    /// (C2) A bool operand takes `max` (any) or `min` (all) only.
    ///
    /// Result: the operand's type.
    /// Gradient: of a sum, the sum of the cotangent in the other direction.
    /// Source: ONNX `CumSum`, opset 14, and `CumProd`, opset 26.
    Cumulative = "cumulative" {
        /// How elements combine.
        kind: ReduceKind = ReduceKind::Sum,
        /// The axis run along.
        axis: usize,
        /// Whether element `k` itself is left out.
        exclusive: bool = false,
        /// Whether the fold runs from the end.
        reverse: bool = false,
    }
}

impl Primitive for Cumulative {
    fn infer(&self, operands: &[TensorType]) -> Result<Vec<TensorType>, TypeError> {
        let [x] = exactly(operands)?;
        require!(self.axis < x.rank(), "C1: axis {} of {x}", self.axis);
        let arithmetic = matches!(self.kind, ReduceKind::Sum | ReduceKind::Product);
        require!(x.dtype != DType::Bool || !arithmetic, "C2: {:?} of {x}", self.kind);
        Ok(vec![x.clone()])
    }

    fn structure(&self, _operands: &[TensorType]) -> Structure {
        Structure::Scan(Scan {
            axis: self.axis,
            kind: self.kind.fold(),
            exclusive: self.exclusive,
            reverse: self.reverse,
        })
    }

    fn eval(&self, operands: &[&Tensor]) -> Vec<Tensor> {
        let x = operands[0];
        let (kind, extent) = (self.kind.fold(), x.shape()[self.axis]);
        let mut out: Vec<Scalar> = x.iter().collect();
        let mut rows = x.shape().to_vec();
        rows[self.axis] = rows[self.axis].min(1);
        for_each_index(&rows, |row| {
            let mut sum = kind.identity(x.dtype());
            let mut at = row.to_vec();
            for k in 0..extent {
                at[self.axis] = if self.reverse { extent - 1 - k } else { k };
                let before = sum;
                sum = fold_step(kind, sum, x.at(&at));
                out[linear(x.shape(), &at)] = if self.exclusive { before } else { sum };
            }
        });
        let mut out = out.into_iter();
        vec![Tensor::from_fn(x.dtype(), x.shape(), |_| out.next().expect("one value per index"))]
    }
}
