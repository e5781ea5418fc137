//! `one_hot`.

use tracelift_tensor::{DType, Dim};

use super::{exactly, indexing};
use crate::{Broadcast, Builder, Composite, Iota, Shape, TypeError, Value, operator, require};

operator! {
    /// A new axis that is 1 (or `true`) at the position an index names and 0 elsewhere.
    ///
    /// (C1) `axis` is at most the rank of the indices.
    /// (C2) The indices are `i32` or `i64`.
    ///
    /// Result: `dtype`; the indices' shape with an axis of extent `depth` put in at `axis`. A
    /// negative index counts from the end; one outside gives zeros.
    /// Gradient: none.
    /// Source: ONNX `OneHot`, opset 11, for the values 0 and 1.
    OneHot = "one_hot" {
        /// The extent of the new axis.
        depth: Dim,
        /// The position of the new axis.
        axis: usize,
        /// The dtype of the result.
        dtype: DType = DType::Bool,
    }
}

impl Composite for OneHot {
    fn decompose(&self, b: &mut Builder<'_>, operands: &[Value]) -> Result<Vec<Value>, TypeError> {
        let [indices] = *exactly(operands)?;
        let ty = b.ty(indices).clone();
        require!(self.axis <= ty.rank(), "C1: axis {} of {ty}", self.axis);
        indexing::require_index_dtype(&ty)?;
        let mut shape = ty.shape.clone();
        shape.0.insert(self.axis, self.depth.clone());
        let indices = b.cast(indices, DType::I64)?;
        let axes = (0..shape.rank()).filter(|&a| a != self.axis).collect();
        let wanted = b.op1(Broadcast { shape: shape.clone(), axes }, &[indices])?;
        let iota = Iota { shape: Shape(vec![self.depth.clone()]), axis: 0, dtype: DType::I64 };
        let here = b.op1(iota, &[])?;
        let spread = Broadcast { shape: shape.clone(), axes: vec![self.axis] };
        let here = b.op1(spread, &[here])?;
        let hit = b.eq(wanted, here)?;
        // A position counted from the end is the position less the extent.
        let count = b.count_like(here, vec![self.depth.clone()])?;
        let from_end = b.sub(here, count)?;
        let hit_from_end = b.eq(wanted, from_end)?;
        let hit = b.or(hit, hit_from_end)?;
        Ok(vec![b.cast(hit, self.dtype)?])
    }
}
