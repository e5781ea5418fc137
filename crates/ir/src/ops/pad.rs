//! `pad`.

use tracelift_scalar::{Guard, IndexExpr};
use tracelift_tensor::{Dim, Tensor};

use super::exactly;
use crate::{
    Access, Literal, Movement, Piece, Primitive, Shape, Structure, TensorType, TypeError, operator,
    require,
};

operator! {
    /// Adds elements of one value around a tensor and between its elements.
    ///
    /// Along axis `k`, `interior[k]` elements come between each two, then `low[k]` before and
    /// `high[k]` after; negative counts crop.
    ///
    /// (C1) `low` and `high` have one entry per axis; `interior` has as many, or none for no
    ///      elements between.
    /// (C2) Counts lie within ±2⁴⁸.
    /// (C3) No extent becomes negative.
    ///
    /// Result: the operand's dtype; extents `low + extent + (extent − 1)·interior + high`, the
    /// term of the interior 0 for an empty axis.
    /// Gradient: the slice of the cotangent that undoes the padding.
    /// Source: StableHLO `pad`.
    Pad = "pad" {
        /// Elements added before, per axis.
        low: Vec<i64>,
        /// Elements added after, per axis.
        high: Vec<i64>,
        /// Elements added between two neighbours, per axis.
        interior: Vec<usize> = Vec::new(),
        /// The element added.
        value: Literal = Literal::Int(0),
    }
}

impl Pad {
    fn interior(&self, axis: usize) -> usize {
        self.interior.get(axis).copied().unwrap_or(0)
    }

    /// The extent of an axis once elements are put between.
    fn spread(&self, axis: usize, extent: &Dim) -> Dim {
        if *extent == 0 {
            return Dim::from(0);
        }
        extent + &(&(extent - &Dim::from(1)) * &Dim::from(self.interior(axis)))
    }
}

impl Primitive for Pad {
    fn infer(&self, operands: &[TensorType]) -> Result<Vec<TensorType>, TypeError> {
        let [x] = exactly(operands)?;
        let lengths = [self.low.len(), self.high.len(), self.interior.len()];
        let interior = self.interior.is_empty() || lengths[2] == x.rank();
        require!(lengths[..2] == [x.rank(); 2] && interior, "C1: {lengths:?} entries for {x}");
        let counts = self.low.iter().chain(&self.high).map(|c| c.unsigned_abs());
        let mut counts = counts.chain(self.interior.iter().map(|&c| c as u64));
        require!(counts.all(|c| c <= super::MAX_STEP), "C2: {self:?}");
        let mut dims = Vec::with_capacity(x.rank());
        for (k, dim) in x.shape.iter().enumerate() {
            let around = Dim::from(self.low[k] + self.high[k]);
            let dim = &self.spread(k, dim) + &around;
            require!(dim.as_i64().is_none_or(|d| d >= 0), "C3: extent {dim} along axis {k}");
            dims.push(dim);
        }
        Ok(vec![x.with_shape(Shape(dims))])
    }

    fn structure(&self, operands: &[TensorType]) -> Structure {
        let x = &operands[0];
        let out = self.infer(operands).expect("operands passed infer")[0].extents();
        let (mut guards, mut index) = (Vec::new(), Vec::new());
        for (k, dim) in x.shape.iter().enumerate() {
            let extent = self.spread(k, dim).as_i64().expect("symbols are bound before lowering");
            let step = self.interior(k) as i64 + 1;
            let position = IndexExpr::axis(k).offset(-self.low[k]);
            guards.push(Guard { expr: position.clone(), extent });
            guards.push(Guard { expr: position.rem(step, &out), extent: 1 });
            index.push(position.div(step, &out));
        }
        guards.retain(|guard| guard.decide(&out) != Some(true));
        let read = Access { operand: 0, index };
        let fill = (!guards.is_empty()).then(|| self.value.to_scalar(x.dtype));
        Structure::Move(Movement { pieces: vec![Piece { guards, read }], fill })
    }

    fn eval(&self, operands: &[&Tensor]) -> Vec<Tensor> {
        let x = operands[0];
        let ty = TensorType::new(x.dtype(), x.shape());
        let shape = self.infer(&[ty]).expect("operands passed infer")[0].extents();
        let value = self.value.to_scalar(x.dtype());
        vec![Tensor::from_fn(x.dtype(), &shape, |index| {
            let mut at = Vec::with_capacity(index.len());
            for (k, &i) in index.iter().enumerate() {
                let (position, step) = (i as i64 - self.low[k], self.interior(k) as i64 + 1);
                let inside = position >= 0 && position % step == 0;
                if !inside || position / step >= x.shape()[k] as i64 {
                    return value;
                }
                at.push((position / step) as usize);
            }
            x.at(&at)
        })]
    }
}
