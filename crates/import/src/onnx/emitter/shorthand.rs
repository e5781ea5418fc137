//! Shorthand for what converters say often.

use tracelift_ir::{
    Broadcast, Op, Reduce, ReduceKind, Reshape, Shape, TensorType, Transpose, Value,
    broadcast_shapes, ops,
};
use tracelift_tensor::{DType, Dim, Scalar, Tensor};

use super::Emitter;
use crate::onnx::failure::Converted;

impl Emitter {
    /// Applies an elementwise operator after broadcasting.
    ///
    /// # Errors
    /// When shapes or dtypes do not fit.
    pub fn map(&mut self, op: impl Into<Op>, operands: &[Value]) -> Converted<Value> {
        let op = op.into();
        let shapes: Vec<Shape> = operands.iter().map(|v| self.shape(*v)).collect();
        let shape = broadcast_shapes(&shapes)?;
        let splats: Option<Vec<Scalar>> = operands.iter().map(|v| self.splat_of(*v)).collect();
        if let Some(splats) = splats {
            let scalars: Vec<Tensor> = splats.into_iter().map(Tensor::scalar).collect();
            let types: Vec<TensorType> = scalars
                .iter()
                .map(|s| TensorType { dtype: s.dtype(), shape: Shape::default() })
                .collect();
            op.infer(&types)?;
            let result = op.eval(&scalars.iter().collect::<Vec<_>>());
            return Ok(self.splat(result[0].get(0), shape));
        }
        let operands: Vec<Value> =
            operands.iter().map(|v| self.broadcast(*v, &shape)).collect::<Converted<_>>()?;
        self.op1(op, &operands)
    }

    /// Applies an elementwise operator to a value and a number of its dtype.
    ///
    /// # Errors
    /// When the dtype does not fit.
    pub fn map_scalar(&mut self, op: impl Into<Op>, x: Value, scalar: f64) -> Converted<Value> {
        let scalar = self.splat_like(x, scalar);
        self.map(op, &[x, scalar])
    }

    /// Repeats a value along new and size-1 axes, aligned at the last axis.
    ///
    /// # Errors
    /// When the shapes do not fit.
    pub fn broadcast(&mut self, x: Value, shape: &Shape) -> Converted<Value> {
        if self.ty(x).shape == *shape {
            return Ok(x);
        }
        let op = Broadcast::trailing(self.ty(x), shape)?;
        self.op1(op, &[x])
    }

    /// Casts to a dtype; nothing is added where it is that already.
    ///
    /// # Errors
    /// Never for a well-formed value.
    pub fn cast(&mut self, x: Value, to: DType) -> Converted<Value> {
        if self.dtype(x) == to {
            return Ok(x);
        }
        if self.splat_of(x).is_some() {
            self.map(ops::Cast { to }, &[x])
        } else {
            self.op1(ops::Cast { to }, &[x])
        }
    }

    /// Gives another shape; nothing is added where it is that already.
    ///
    /// # Errors
    /// When the number of elements differs.
    pub fn reshape(&mut self, x: Value, shape: impl Into<Shape>) -> Converted<Value> {
        let shape = shape.into();
        if self.ty(x).shape == shape {
            return Ok(x);
        }
        self.op1(Reshape { shape }, &[x])
    }

    /// Permutes axes; nothing is added for the identity.
    ///
    /// # Errors
    /// When `perm` is not a permutation.
    pub fn transpose(&mut self, x: Value, perm: &[usize]) -> Converted<Value> {
        if perm.iter().enumerate().all(|(k, &p)| k == p) && perm.len() == self.rank(x) {
            return Ok(x);
        }
        self.op1(Transpose { perm: perm.to_vec() }, &[x])
    }

    /// Reduces axes, which vanish.
    ///
    /// # Errors
    /// When an axis or the dtype does not fit.
    pub fn reduce(&mut self, kind: ReduceKind, x: Value, axes: &[usize]) -> Converted<Value> {
        if axes.is_empty() {
            return Ok(x);
        }
        self.op1(Reduce { kind, axes: axes.to_vec() }, &[x])
    }

    /// Reduces axes, which keep extent 1.
    ///
    /// # Errors
    /// When an axis or the dtype does not fit.
    pub fn reduce_keep(&mut self, kind: ReduceKind, x: Value, axes: &[usize]) -> Converted<Value> {
        let mut shape = self.shape(x);
        axes.iter().for_each(|&a| shape.0[a] = Dim::from(1));
        let reduced = self.reduce(kind, x, axes)?;
        self.reshape(reduced, shape)
    }

    /// The mean over axes, which keep extent 1.
    ///
    /// # Errors
    /// When the dtype is not a float.
    pub fn mean_keep(&mut self, x: Value, axes: &[usize]) -> Converted<Value> {
        let sum = self.reduce_keep(ReduceKind::Sum, x, axes)?;
        let count = self.count_of(x, axes)?;
        self.map(ops::Div {}, &[sum, count])
    }

    /// The number of elements along axes, as a scalar of a value's dtype.
    ///
    /// # Errors
    /// Never for axes of the value.
    pub fn count_of(&mut self, x: Value, axes: &[usize]) -> Converted<Value> {
        let dtype = self.dtype(x);
        let count: Dim = axes.iter().map(|&a| self.ty(x).dim(a).clone()).product();
        if let Some(n) = count.as_i64() {
            return Ok(self.splat(Scalar::from_f64(dtype, n as f64), Shape::default()));
        }
        let count = self.dim(&count)?;
        let count = self.builder().op1(Reshape { shape: Shape::default() }, &[count])?;
        self.cast(count, dtype)
    }
}
