//! `trilu`.

use tracelift_tensor::{DType, Scalar};

use super::exactly;
use crate::{Add, Builder, Composite, Iota, Shape, TypeError, Value, operator, require};

operator! {
    /// The upper or lower triangle of the matrices in the last two axes, zeros elsewhere.
    ///
    /// Element `(i, j)` belongs to the upper triangle where `j ≥ i + diagonal` and to the lower one
    /// where `j ≤ i + diagonal`.
    ///
    /// (C1) The rank is at least 2.
    ///
    /// Result: the operand's type.
    /// Source: ONNX `Trilu`, opset 14.
    Trilu = "trilu" {
        /// Whether the upper triangle is kept.
        upper: bool = true,
        /// The diagonal that bounds the triangle, 0 the main one.
        diagonal: i64 = 0,
    }
}

impl Composite for Trilu {
    fn decompose(&self, b: &mut Builder<'_>, operands: &[Value]) -> Result<Vec<Value>, TypeError> {
        let [x] = *exactly(operands)?;
        let shape = b.shape(x);
        require!(shape.rank() >= 2, "C1: {}", b.ty(x));
        let matrix = Shape(shape[shape.rank() - 2..].to_vec());
        let rows = b.op1(Iota { shape: matrix.clone(), axis: 0, dtype: DType::I64 }, &[])?;
        let columns = b.op1(Iota { shape: matrix.clone(), axis: 1, dtype: DType::I64 }, &[])?;
        // Beyond this no matrix has a diagonal, and the sum below stays within `i64`.
        let bounded = self.diagonal.clamp(-(1 << 62), 1 << 62);
        let diagonal = b.splat(Scalar::from_i64(DType::I64, bounded), matrix);
        let bound = b.op1(Add {}, &[rows, diagonal])?;
        let kept = if self.upper { b.ge(columns, bound)? } else { b.le(columns, bound)? };
        let kept = b.broadcast_to(kept, &shape)?;
        let zero = b.splat(Scalar::zero(b.ty(x).dtype), shape);
        Ok(vec![b.select(kept, x, zero)?])
    }
}
