//! Products of matrices.

use tracelift_ir::{self as ir, Shape};

use crate::{Fault, MistakeKind, Var};

impl Var {
    /// The matrix product; leading axes are batch axes and broadcast, and a tensor of one axis is
    /// a row on the left and a column on the right.
    #[track_caller]
    pub fn matmul(&self, other: &Var) -> Var {
        let checked = self.fits_product(other);
        Var::build("matmul", &[self, other], |b, v| {
            checked?;
            Ok(b.op1(ir::Matmul {}, v)?)
        })
    }

    /// Whether two tensors of no mistake multiply as matrices.
    fn fits_product(&self, other: &Var) -> Result<(), Fault> {
        let (Some(a), Some(b)) = (self.ty(), other.ty()) else { return Ok(()) };
        let found = || format!("{} and {}", self.described(), other.described());
        if a.rank() == 0 || b.rank() == 0 {
            let message = "takes tensors with at least one axis";
            return Err(Fault::new(MistakeKind::Rank, message).found(found()));
        }
        if a.dtype != b.dtype {
            let message = format!("dtypes {} and {} are mixed", a.dtype, b.dtype);
            let fault = Fault::new(MistakeKind::DType, message).found(found());
            return Err(fault.hint(format!("convert one of them with .to(DType::{:?})", a.dtype)));
        }
        let (k, rows) = (a.dim(a.rank() - 1), b.dim(b.rank().saturating_sub(2)));
        if k == rows {
            let batch = |shape: &Shape| Shape(shape.0[..shape.rank().saturating_sub(2)].to_vec());
            let batches = [batch(&a.shape), batch(&b.shape)];
            return ir::broadcast_shapes(&batches).map(drop).map_err(|_| {
                let message = format!("batch axes {} and {} differ", batches[0], batches[1]);
                Fault::new(MistakeKind::Broadcast, message).found(found())
            });
        }
        let message = format!("{k} columns times {rows} rows");
        let fault = Fault::new(MistakeKind::Extent, message)
            .found(found())
            .expected(format!("a second operand with {k} rows"));
        Err(match b.rank() >= 2 && b.dim(b.rank() - 1) == k {
            true => fault.hint("the second operand may lack a transpose(-2, -1)"),
            false => fault,
        })
    }
}
