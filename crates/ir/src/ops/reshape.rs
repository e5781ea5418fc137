//! `reshape`.

use tracelift_scalar::{IndexExpr, delinearise, linearise};
use tracelift_tensor::Tensor;

use super::exactly;
use crate::{
    Access, Movement, Piece, Primitive, Shape, Structure, TensorType, TypeError, operator, require,
};

operator! {
    /// Gives the elements, in row-major order, another shape.
    ///
    /// (C1) `shape` has as many elements as the operand.
    ///
    /// Result: the operand's dtype with shape `shape`.
    /// Gradient: the reshape back.
    /// Source: ONNX `Reshape`, opset 14, with the shape already resolved.
    Reshape = "reshape" {
        /// The shape of the result.
        shape: Shape,
    }
}

impl Primitive for Reshape {
    fn infer(&self, operands: &[TensorType]) -> Result<Vec<TensorType>, TypeError> {
        let [x] = exactly(operands)?;
        let (from, to) = (x.shape.count(), self.shape.count());
        require!(from == to, "C1: {} elements of {x} as {to} of {}", from, self.shape);
        Ok(vec![x.with_shape(self.shape.clone())])
    }

    fn structure(&self, operands: &[TensorType]) -> Structure {
        let to = self.shape.as_consts().expect("symbols are bound before lowering");
        let axes: Vec<IndexExpr> = (0..to.len()).map(IndexExpr::axis).collect();
        let position = linearise(&axes, &to);
        let index = delinearise(&position, &operands[0].extents(), &to);
        let read = Access { operand: 0, index };
        Structure::Move(Movement { pieces: vec![Piece { guards: Vec::new(), read }], fill: None })
    }

    fn eval(&self, operands: &[&Tensor]) -> Vec<Tensor> {
        let shape = self.shape.as_consts().expect("symbols are bound before evaluation");
        vec![operands[0].reshaped(&shape)]
    }
}
