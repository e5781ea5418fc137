//! `concat`.

use tracelift_scalar::{Guard, IndexExpr};
use tracelift_tensor::{Dim, Tensor};

use crate::{
    Access, Movement, Piece, Primitive, Structure, TensorType, TypeError, operator, require,
};

operator! {
    /// Joins tensors along one axis.
    ///
    /// (C1) There is at least one operand.
    /// (C2) `axis < rank`.
    /// (C3) Operands agree in dtype, rank and every dimension except `axis`.
    ///
    /// Result: as operand 0, with dimension `axis` the sum over operands.
    /// Gradient: each operand receives its slice of the cotangent.
    /// Source: ONNX `Concat`, opset 13.
    Concat = "concat" {
        /// The axis joined, counted from 0.
        axis: usize = 0,
    }
}

impl Primitive for Concat {
    fn infer(&self, operands: &[TensorType]) -> Result<Vec<TensorType>, TypeError> {
        let [first, rest @ ..] = operands else {
            return Err(TypeError::arity("at least one (C1)", 0));
        };
        require!(self.axis < first.rank(), "C2: axis {} of rank {}", self.axis, first.rank());
        for ty in rest {
            require!(ty.dtype == first.dtype, "C3: dtype {}, expected {}", ty.dtype, first.dtype);
            require!(ty.rank() == first.rank(), "C3: rank {}, expected {}", ty.rank(), first.rank());
            require!(ty.with_dim(self.axis, 0) == first.with_dim(self.axis, 0), "C3: {ty} beside {first}");
        }
        let joined: Dim = operands.iter().map(|ty| ty.dim(self.axis).clone()).sum();
        Ok(vec![first.with_dim(self.axis, joined)])
    }

    fn structure(&self, operands: &[TensorType]) -> Structure {
        let mut start = 0;
        let mut pieces = Vec::with_capacity(operands.len());
        for (operand, ty) in operands.iter().enumerate() {
            let extent = ty.extents()[self.axis] as i64;
            let mut index: Vec<IndexExpr> = (0..ty.rank()).map(IndexExpr::axis).collect();
            index[self.axis] = index[self.axis].offset(-start);
            let guards = vec![Guard { expr: index[self.axis].clone(), extent }];
            pieces.push(Piece { guards, read: Access { operand, index } });
            start += extent;
        }
        Structure::Move(Movement { pieces, fill: None })
    }

    fn eval(&self, operands: &[&Tensor]) -> Vec<Tensor> {
        let mut shape = operands[0].shape().to_vec();
        shape[self.axis] = operands.iter().map(|x| x.shape()[self.axis]).sum();
        vec![Tensor::from_fn(operands[0].dtype(), &shape, |index| {
            let mut index = index.to_vec();
            for x in operands {
                let extent = x.shape()[self.axis];
                if index[self.axis] < extent {
                    return x.at(&index);
                }
                index[self.axis] -= extent;
            }
            unreachable!("the index lies inside the inferred shape")
        })]
    }
}
