//! `split`.

use tracelift_tensor::Dim;

use super::exactly;
use crate::{Builder, Composite, TypeError, Value, operator, require};

operator! {
    /// Cuts a tensor into parts along an axis.
    ///
    /// (C1) `axis < rank`.
    /// (C2) The sizes add up to the extent along `axis`, and there is at least one.
    ///
    /// Results: one per size, as the operand with that extent along `axis`.
    /// Source: ONNX `Split`, opset 18, with the sizes already resolved.
    Split = "split" {
        /// The axis cut.
        axis: usize = 0,
        /// The extents of the parts.
        sizes: Vec<Dim>,
    }
}

impl Composite for Split {
    fn decompose(&self, b: &mut Builder<'_>, operands: &[Value]) -> Result<Vec<Value>, TypeError> {
        let [x] = *exactly(operands)?;
        let ty = b.ty(x).clone();
        require!(self.axis < ty.rank(), "C1: axis {} of {ty}", self.axis);
        let total: Dim = self.sizes.iter().cloned().sum();
        let fits = !self.sizes.is_empty() && total == *ty.dim(self.axis);
        require!(fits, "C2: {} sizes of sum {total} of {ty}", self.sizes.len());
        let mut start = Dim::from(0);
        let mut parts = Vec::with_capacity(self.sizes.len());
        for size in &self.sizes {
            let limit = &start + size;
            parts.push(b.slice_axis(x, self.axis, start, limit.clone())?);
            start = limit;
        }
        Ok(parts)
    }
}
