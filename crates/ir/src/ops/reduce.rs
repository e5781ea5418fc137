//! `reduce`.

use tracelift_scalar::{ExprBuilder, IndexExpr};
use tracelift_tensor::{DType, Scalar, Tensor, for_each_index, linear};

use super::exactly;
use crate::{
    Access, Fold, FoldKind, Primitive, Structure, TensorType, TypeError, attribute_enum, operator,
    require,
};

attribute_enum! {
    /// How a reduction combines elements.
    ReduceKind {
        /// Their sum.
        Sum = "sum",
        /// Their product.
        Product = "product",
        /// The largest; NaN propagates.
        Max = "max",
        /// The smallest; NaN propagates.
        Min = "min",
    }
}

impl ReduceKind {
    /// The fold it is.
    pub fn fold(self) -> FoldKind {
        match self {
            ReduceKind::Sum => FoldKind::Sum,
            ReduceKind::Product => FoldKind::Product,
            ReduceKind::Max => FoldKind::Max,
            ReduceKind::Min => FoldKind::Min,
        }
    }
}

operator! {
    /// Combines all elements along axes, which vanish.
    ///
    /// (C1) `axes` ascends and stays below the rank.
    /// (C2) A bool operand takes `max` (any) or `min` (all) only.
    ///
    /// Result: the operand's dtype without the dimensions `axes`. An empty reduction gives 0, 1,
    /// the lowest or the highest value. The order of float additions is not specified; it does
    /// not depend on the number of threads.
    /// Source: ONNX `ReduceSum` and its family.
    Reduce = "reduce" {
        /// How elements combine.
        kind: ReduceKind,
        /// The axes that vanish.
        axes: Vec<usize>,
    }
}

impl Primitive for Reduce {
    fn infer(&self, operands: &[TensorType]) -> Result<Vec<TensorType>, TypeError> {
        let [x] = exactly(operands)?;
        let ascends = self.axes.windows(2).all(|w| w[0] < w[1]);
        let below = self.axes.last().is_none_or(|&a| a < x.rank());
        require!(ascends && below, "C1: axes {:?} of {x}", self.axes);
        let arithmetic = matches!(self.kind, ReduceKind::Sum | ReduceKind::Product);
        require!(x.dtype != DType::Bool || !arithmetic, "C2: {:?} of {x}", self.kind);
        let kept = (0..x.rank()).filter(|a| !self.axes.contains(a)).map(|a| x.dim(a).clone());
        Ok(vec![x.with_shape(kept.collect::<crate::Shape>())])
    }

    fn structure(&self, operands: &[TensorType]) -> Structure {
        let x = &operands[0];
        let extents = x.extents();
        let n_kept = x.rank() - self.axes.len();
        let (mut kept, mut folded) = (0, n_kept);
        let index = (0..x.rank())
            .map(|a| {
                let next = if self.axes.contains(&a) { &mut folded } else { &mut kept };
                *next += 1;
                IndexExpr::axis(*next - 1)
            })
            .collect();
        let mut b = ExprBuilder::default();
        let term = b.input(0, x.dtype);
        Structure::Reduce(Fold {
            domain: self.axes.iter().map(|&a| extents[a]).collect(),
            guards: Vec::new(),
            reads: vec![Access { operand: 0, index }],
            term: b.finish(term),
            kind: self.kind.fold(),
        })
    }

    fn eval(&self, operands: &[&Tensor]) -> Vec<Tensor> {
        let x = operands[0];
        let kept: Vec<usize> = (0..x.rank()).filter(|a| !self.axes.contains(a)).collect();
        let shape: Vec<usize> = kept.iter().map(|&a| x.shape()[a]).collect();
        let kind = self.kind.fold();
        let count = shape.iter().product();
        let mut sums: Vec<Scalar> = vec![kind.identity(x.dtype()); count];
        let mut position = 0;
        for_each_index(x.shape(), |index| {
            let at: Vec<usize> = kept.iter().map(|&a| index[a]).collect();
            let sum = &mut sums[linear(&shape, &at)];
            *sum = fold_step(kind, *sum, x.get(position));
            position += 1;
        });
        let mut sums = sums.into_iter();
        vec![Tensor::from_fn(x.dtype(), &shape, |_| sums.next().expect("one value per index"))]
    }
}

/// One step of a fold; on bools the larger is `or` and the smaller `and`.
pub(crate) fn fold_step(kind: FoldKind, sum: Scalar, x: Scalar) -> Scalar {
    kind.op().eval(&[sum, x])
}
