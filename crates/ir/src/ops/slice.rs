//! `slice`.

use tracelift_scalar::IndexExpr;
use tracelift_tensor::{Dim, Tensor};

use super::exactly;
use crate::{
    Access, Movement, Piece, Primitive, Shape, Structure, TensorType, TypeError, operator, require,
};

operator! {
    /// Takes every `strides[k]`-th element along axis `k`, from `starts[k]` up to but excluding
    /// `limits[k]`.
    ///
    /// A negative stride walks down; its limit is −1 where element 0 is taken. Bounds are exact:
    /// whoever allows others (importers, the frontend) clamps them first.
    ///
    /// (C1) `starts`, `limits` and `strides` have one entry per axis.
    /// (C2) Strides are not 0 and lie within ±2⁴⁸.
    /// (C3) Ascending: `0 ≤ start ≤ limit ≤ extent`; descending: `−1 ≤ limit ≤ start < extent`.
    ///
    /// Result: the operand's dtype; extents `⌈|limit − start| / |stride|⌉`.
    /// Gradient: the cotangent padded back with zeros.
    /// Source: ONNX `Slice`, opset 13, with bounds already resolved.
    Slice = "slice" {
        /// The first element taken, per axis.
        starts: Vec<Dim>,
        /// The end, exclusive, per axis.
        limits: Vec<Dim>,
        /// The step, per axis.
        strides: Vec<i64>,
    }
}

impl Slice {
    /// The slice that takes all of every axis but one.
    pub fn of_axis(x: &TensorType, axis: usize, start: Dim, limit: Dim, stride: i64) -> Slice {
        let mut out = Slice {
            starts: vec![Dim::from(0); x.rank()],
            limits: x.shape.0.clone(),
            strides: vec![1; x.rank()],
        };
        if axis < x.rank() {
            (out.starts[axis], out.limits[axis], out.strides[axis]) = (start, limit, stride);
        }
        out
    }

    fn extent(&self, axis: usize, extent: &Dim) -> Result<Dim, TypeError> {
        let (start, limit, stride) = (&self.starts[axis], &self.limits[axis], self.strides[axis]);
        require!(
            stride != 0 && stride.unsigned_abs() <= super::MAX_STEP,
            "C2: stride {stride} along axis {axis}"
        );
        let one = Dim::from(1);
        let ordered = match stride > 0 {
            true => [start.clone(), limit - start, extent - limit],
            false => [limit + &one, start - limit, extent - start - one.clone()],
        };
        require!(
            ordered.iter().all(|d| d.as_i64().is_none_or(|d| d >= 0)),
            "C3: {start}..{limit} by {stride} of extent {extent} along axis {axis}"
        );
        let step = Dim::from(stride.abs());
        let rounded = &(&ordered[1] + &step) - &one;
        Ok(rounded.floor_div(&step).expect("the stride is not 0"))
    }
}

impl Primitive for Slice {
    fn infer(&self, operands: &[TensorType]) -> Result<Vec<TensorType>, TypeError> {
        let [x] = exactly(operands)?;
        let lengths = [self.starts.len(), self.limits.len(), self.strides.len()];
        require!(lengths == [x.rank(); 3], "C1: {lengths:?} entries for {x}");
        let dims: Result<Vec<Dim>, TypeError> =
            x.shape.iter().enumerate().map(|(k, dim)| self.extent(k, dim)).collect();
        Ok(vec![x.with_shape(Shape(dims?))])
    }

    fn structure(&self, _operands: &[TensorType]) -> Structure {
        let start = |k: usize| self.starts[k].as_i64().expect("symbols are bound before lowering");
        let index = (0..self.strides.len())
            .map(|k| IndexExpr::axis(k).scale(self.strides[k]).offset(start(k)))
            .collect();
        let read = Access { operand: 0, index };
        Structure::Move(Movement { pieces: vec![Piece { guards: Vec::new(), read }], fill: None })
    }

    fn eval(&self, operands: &[&Tensor]) -> Vec<Tensor> {
        let x = operands[0];
        let taken: Vec<Vec<usize>> = (0..x.rank()).map(|k| self.positions(k)).collect();
        let shape: Vec<usize> = taken.iter().map(Vec::len).collect();
        vec![Tensor::from_fn(x.dtype(), &shape, |index| {
            let at: Vec<usize> = index.iter().zip(&taken).map(|(&i, taken)| taken[i]).collect();
            x.at(&at)
        })]
    }
}

impl Slice {
    /// The positions taken along an axis, found by walking.
    fn positions(&self, axis: usize) -> Vec<usize> {
        let bound = |d: &Dim| d.as_i64().expect("symbols are bound before evaluation");
        let (mut at, limit) = (bound(&self.starts[axis]), bound(&self.limits[axis]));
        let stride = self.strides[axis];
        let mut out = Vec::new();
        while if stride > 0 { at < limit } else { at > limit } {
            out.push(at as usize);
            at += stride;
        }
        out
    }
}
