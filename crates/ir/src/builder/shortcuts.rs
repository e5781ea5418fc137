//! Methods for the operators that are built most often.

use tracelift_tensor::{DType, Dim, Scalar};

use crate::{
    Broadcast, Builder, Concat, Contract, Gelu, GeluForm, LogSoftmax, Matmul, Mean, Reciprocal,
    Reduce, ReduceKind, Relu, Reshape, Shape, Sigmoid, Silu, Slice, Softmax, Take, Transpose,
    TypeError, Value, require,
};

macro_rules! unary_methods {
    ($($(#[$doc:meta])* $method:ident = $op:expr;)*) => {
        impl Builder<'_> { $(
            $(#[$doc])*
            ///
            /// # Errors
            /// When the dtype does not fit.
            pub fn $method(&mut self, x: Value) -> Result<Value, TypeError> {
                self.op1($op, &[x])
            }
        )* }
    };
}

unary_methods! {
    /// The larger of `x` and 0.
    relu = Relu {};
    /// `1 / (1 + e^(−x))`.
    sigmoid = Sigmoid {};
    /// `x · σ(x)`.
    silu = Silu {};
    /// `x · Φ(x)` by the error function.
    gelu = Gelu { approximate: GeluForm::Exact };
    /// `1 / x`.
    reciprocal = Reciprocal {};
}

impl Builder<'_> {
    /// The elements in row-major order under another shape; nothing is added where it is the same.
    ///
    /// # Errors
    /// When the counts differ.
    pub fn reshape(&mut self, x: Value, shape: impl Into<Shape>) -> Result<Value, TypeError> {
        let shape = shape.into();
        if self.ty(x).shape == shape {
            return Ok(x);
        }
        self.op1(Reshape { shape }, &[x])
    }

    /// Adds axes of extent 1 so that they lie at `axes` of the result, which ascend.
    ///
    /// # Errors
    /// When an axis lies beyond the result's rank.
    pub fn unsqueeze(&mut self, x: Value, axes: &[usize]) -> Result<Value, TypeError> {
        let mut shape = self.shape(x);
        for &axis in axes {
            require!(axis <= shape.rank(), "unsqueeze: axis {axis} of {shape}");
            shape.0.insert(axis, Dim::from(1));
        }
        self.reshape(x, shape)
    }

    /// Drops axes of extent 1.
    ///
    /// # Errors
    /// When an axis lies beyond the rank or its extent is another.
    pub fn squeeze(&mut self, x: Value, axes: &[usize]) -> Result<Value, TypeError> {
        let ty = self.ty(x);
        let fits = axes.iter().all(|&a| a < ty.rank() && *ty.dim(a) == 1);
        require!(fits, "squeeze: axes {axes:?} of {ty}");
        let kept = (0..ty.rank()).filter(|a| !axes.contains(a)).map(|a| ty.dim(a).clone());
        let shape = kept.collect::<Shape>();
        self.reshape(x, shape)
    }

    /// Axis `k` of the result is axis `perm[k]` of `x`; nothing is added for the identity.
    ///
    /// # Errors
    /// When `perm` is not a permutation of the axes.
    pub fn transpose(&mut self, x: Value, perm: &[usize]) -> Result<Value, TypeError> {
        if perm.iter().copied().eq(0..self.ty(x).rank()) {
            return Ok(x);
        }
        self.op1(Transpose { perm: perm.to_vec() }, &[x])
    }

    /// Repeats a value over a shape; axis `k` of the value becomes `axes[k]`.
    ///
    /// # Errors
    /// When the shapes do not fit.
    pub fn broadcast(
        &mut self,
        x: Value,
        shape: Shape,
        axes: &[usize],
    ) -> Result<Value, TypeError> {
        if self.ty(x).shape == shape && axes.iter().copied().eq(0..shape.rank()) {
            return Ok(x);
        }
        self.op1(Broadcast { shape, axes: axes.to_vec() }, &[x])
    }

    /// Repeats a reduction of `x` over the axes it was reduced along, back to the shape of `x`.
    ///
    /// # Errors
    /// When `reduced` does not have the shape of `x` without `axes`.
    pub fn spread_like(
        &mut self,
        reduced: Value,
        x: Value,
        axes: &[usize],
    ) -> Result<Value, TypeError> {
        let shape = self.shape(x);
        let kept: Vec<usize> = (0..shape.rank()).filter(|a| !axes.contains(a)).collect();
        self.broadcast(reduced, shape, &kept)
    }

    /// Joins values along an axis.
    ///
    /// # Errors
    /// When their types do not fit.
    pub fn concat(&mut self, values: &[Value], axis: usize) -> Result<Value, TypeError> {
        self.op1(Concat { axis }, values)
    }

    /// The elements `start..limit` along one axis; nothing is added where that is all of them.
    ///
    /// # Errors
    /// When the bounds lie outside.
    pub fn slice_axis(
        &mut self,
        x: Value,
        axis: usize,
        start: impl Into<Dim>,
        limit: impl Into<Dim>,
    ) -> Result<Value, TypeError> {
        let (ty, start, limit) = (self.ty(x), start.into(), limit.into());
        require!(axis < ty.rank(), "slice: axis {axis} of {ty}");
        if start == 0 && limit == *ty.dim(axis) {
            return Ok(x);
        }
        let op = Slice::of_axis(ty, axis, start, limit, 1);
        self.op1(op, &[x])
    }

    /// The slices of `x` that `indices` names along an axis.
    ///
    /// # Errors
    /// When the axis or the dtype of the indices does not fit.
    pub fn take(&mut self, x: Value, indices: Value, axis: usize) -> Result<Value, TypeError> {
        self.op1(Take { axis }, &[x, indices])
    }

    /// Combines all elements along axes, which ascend; they vanish, or stay with extent 1.
    ///
    /// # Errors
    /// When the axes or the dtype do not fit.
    pub fn reduce(
        &mut self,
        x: Value,
        kind: ReduceKind,
        axes: &[usize],
        keep: bool,
    ) -> Result<Value, TypeError> {
        let y = self.op1(Reduce { kind, axes: axes.to_vec() }, &[x])?;
        if keep { self.unsqueeze(y, axes) } else { Ok(y) }
    }

    /// The mean along axes, which ascend; they vanish, or stay with extent 1.
    ///
    /// # Errors
    /// When the axes or the dtype do not fit.
    pub fn mean(&mut self, x: Value, axes: &[usize], keep: bool) -> Result<Value, TypeError> {
        let y = self.op1(Mean { axes: axes.to_vec() }, &[x])?;
        if keep { self.unsqueeze(y, axes) } else { Ok(y) }
    }

    /// A sum of products over shared letters, such as `"ik, kj -> ij"`.
    ///
    /// # Errors
    /// When the letters or the types do not fit.
    pub fn contract(&mut self, a: Value, b: Value, spec: &str) -> Result<Value, TypeError> {
        self.op1(Contract::new(spec), &[a, b])
    }

    /// The matrix product over the last two axes; the axes before them broadcast.
    ///
    /// # Errors
    /// When the types do not fit.
    pub fn matmul(&mut self, a: Value, b: Value) -> Result<Value, TypeError> {
        self.op1(Matmul {}, &[a, b])
    }

    /// The softmax along an axis.
    ///
    /// # Errors
    /// When the axis or the dtype does not fit.
    pub fn softmax(&mut self, x: Value, axis: usize) -> Result<Value, TypeError> {
        self.op1(Softmax { axis }, &[x])
    }

    /// The logarithm of the softmax along an axis.
    ///
    /// # Errors
    /// When the axis or the dtype does not fit.
    pub fn log_softmax(&mut self, x: Value, axis: usize) -> Result<Value, TypeError> {
        self.op1(LogSoftmax { axis }, &[x])
    }

    /// The product of extents, as a value of the type of another.
    ///
    /// A constant where the extents are known; else it is counted, so that it becomes one once
    /// symbols are bound.
    ///
    /// # Errors
    /// When the dtype is bool.
    pub fn count_like(&mut self, like: Value, dims: Vec<Dim>) -> Result<Value, TypeError> {
        let ty = self.ty(like).clone();
        let dims = Shape(dims);
        if let Some(count) = dims.count().as_i64() {
            return Ok(self.splat(Scalar::from_i64(ty.dtype, count), ty.shape));
        }
        let axes: Vec<usize> = (0..dims.rank()).collect();
        let ones = self.splat(Scalar::one(DType::I64), dims);
        let count = self.reduce(ones, ReduceKind::Sum, &axes, false)?;
        let count = self.cast(count, ty.dtype)?;
        self.broadcast(count, ty.shape, &[])
    }
}
