//! `transpose`.

use tracelift_scalar::IndexExpr;
use tracelift_tensor::Tensor;

use super::exactly;
use crate::{
    Access, Movement, Piece, Primitive, Structure, TensorType, TypeError, operator, require,
};

operator! {
    /// Reorders the axes: axis `k` of the result is axis `perm[k]` of the operand.
    ///
    /// (C1) `perm` is a permutation of the operand's axes.
    ///
    /// Result: the operand's dtype, extents permuted.
    /// Gradient: the transpose by the inverse permutation.
    /// Source: ONNX `Transpose`, opset 13.
    Transpose = "transpose" {
        /// The operand axis of each result axis.
        perm: Vec<usize>,
    }
}

impl Transpose {
    /// The operand axis `a` becomes result axis `inverse()[a]`.
    pub fn inverse(&self) -> Vec<usize> {
        let mut inverse = vec![0; self.perm.len()];
        self.perm.iter().enumerate().for_each(|(k, &axis)| inverse[axis] = k);
        inverse
    }
}

impl Primitive for Transpose {
    fn infer(&self, operands: &[TensorType]) -> Result<Vec<TensorType>, TypeError> {
        let [x] = exactly(operands)?;
        let mut sorted = self.perm.clone();
        sorted.sort_unstable();
        require!(sorted.into_iter().eq(0..x.rank()), "C1: perm {:?} for {x}", self.perm);
        Ok(vec![x.with_shape(self.perm.iter().map(|&a| x.dim(a).clone()).collect::<crate::Shape>())])
    }

    fn structure(&self, _operands: &[TensorType]) -> Structure {
        let index = self.inverse().into_iter().map(IndexExpr::axis).collect();
        let read = Access { operand: 0, index };
        Structure::Move(Movement { pieces: vec![Piece { guards: Vec::new(), read }], fill: None })
    }

    fn eval(&self, operands: &[&Tensor]) -> Vec<Tensor> {
        let x = operands[0];
        let shape: Vec<usize> = self.perm.iter().map(|&a| x.shape()[a]).collect();
        let inverse = self.inverse();
        vec![Tensor::from_fn(x.dtype(), &shape, |index| {
            let at: Vec<usize> = inverse.iter().map(|&k| index[k]).collect();
            x.at(&at)
        })]
    }
}
