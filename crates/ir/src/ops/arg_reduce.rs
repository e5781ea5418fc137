//! `arg_reduce`.

use tracelift_tensor::{DType, Scalar};

use super::exactly;
use crate::{
    Builder, Composite, Iota, IsNan, ReduceKind, TypeError, Value, attribute_enum, operator,
    require,
};

attribute_enum! {
    /// Which element `arg_reduce` looks for.
    Extreme {
        /// The largest.
        Max = "max",
        /// The smallest.
        Min = "min",
    }
}

operator! {
    /// The position along an axis, which vanishes, of its largest or smallest element.
    ///
    /// NaN beats every number. Of several equal elements the first is taken, or the last with
    /// `select_last`.
    ///
    /// (C1) `axis < rank`, and its extent is not 0.
    /// (C2) The operand is a number.
    ///
    /// Result: `i64` without the dimension `axis`.
    /// Gradient: none.
    /// Source: ONNX `ArgMax` and `ArgMin`, opset 13; NaN as `numpy.argmax`.
    ArgReduce = "arg_reduce" {
        /// Which element is looked for.
        kind: Extreme,
        /// The axis that vanishes.
        axis: usize,
        /// Whether the last of equals is taken.
        select_last: bool = false,
    }
}

impl Composite for ArgReduce {
    fn decompose(&self, b: &mut Builder<'_>, operands: &[Value]) -> Result<Vec<Value>, TypeError> {
        let [x] = *exactly(operands)?;
        let ty = b.ty(x).clone();
        require!(self.axis < ty.rank() && *ty.dim(self.axis) != 0, "C1: axis {} of {ty}", self.axis);
        require!(ty.dtype != DType::Bool, "C2: {ty}");
        let kind = match self.kind {
            Extreme::Max => ReduceKind::Max,
            Extreme::Min => ReduceKind::Min,
        };
        let extreme = b.reduce(x, kind, &[self.axis], false)?;
        let extreme = b.spread_like(extreme, x, &[self.axis])?;
        let mut found = b.eq(x, extreme)?;
        if ty.dtype.is_float() {
            let nan = b.op1(IsNan {}, &[x])?;
            found = b.or(found, nan)?;
        }
        // Half as wide numbers take half as long to compare.
        let extent = ty.dim(self.axis).as_const();
        let dtype = match extent.is_some_and(|n| i32::try_from(n).is_ok()) {
            true => DType::I32,
            false => DType::I64,
        };
        let iota = Iota { shape: ty.shape.clone(), axis: self.axis, dtype };
        let positions = b.op1(iota, &[])?;
        let (kind, never) = match self.select_last {
            true => (ReduceKind::Max, Scalar::lowest(dtype)),
            false => (ReduceKind::Min, Scalar::highest(dtype)),
        };
        let never = b.splat(never, ty.shape);
        let candidates = b.select(found, positions, never)?;
        let position = b.reduce(candidates, kind, &[self.axis], false)?;
        Ok(vec![b.cast(position, DType::I64)?])
    }
}
