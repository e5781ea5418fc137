//! `broadcast`.

use tracelift_scalar::IndexExpr;
use tracelift_tensor::Tensor;

use super::exactly;
use crate::{
    Access, Movement, Piece, Primitive, Shape, Structure, TensorType, TypeError, operator, require,
};

operator! {
    /// Repeats a tensor along new axes and axes of extent 1.
    ///
    /// (C1) `axes` has one entry per axis of the operand.
    /// (C2) `axes` ascends and stays below the rank of `shape`.
    /// (C3) Each extent of the operand is 1 or that of `shape` along its axis.
    ///
    /// Result: the operand's dtype with shape `shape`.
    /// Gradient: the sum over the repeated axes.
    /// Source: StableHLO `broadcast_in_dim`.
    Broadcast = "broadcast" {
        /// The shape of the result.
        shape: Shape,
        /// The result axis of each operand axis.
        axes: Vec<usize>,
    }
}

impl Broadcast {
    /// The broadcast that aligns the operand's axes with the last ones of `shape`.
    ///
    /// # Errors
    /// When the operand has more axes.
    pub fn trailing(operand: &TensorType, shape: &Shape) -> Result<Broadcast, TypeError> {
        let rank = operand.rank();
        require!(rank <= shape.rank(), "C2: {operand} has more axes than {shape}");
        let axes = (shape.rank() - rank..shape.rank()).collect();
        Ok(Broadcast { shape: shape.clone(), axes })
    }
}

impl Primitive for Broadcast {
    fn infer(&self, operands: &[TensorType]) -> Result<Vec<TensorType>, TypeError> {
        let [x] = exactly(operands)?;
        require!(self.axes.len() == x.rank(), "C1: {} axes for {x}", self.axes.len());
        let ascends = self.axes.windows(2).all(|w| w[0] < w[1]);
        let below = self.axes.last().is_none_or(|&a| a < self.shape.rank());
        require!(ascends && below, "C2: axes {:?} of {}", self.axes, self.shape);
        for (dim, &axis) in x.shape.iter().zip(&self.axes) {
            let to = &self.shape[axis];
            require!(*dim == 1 || dim == to, "C3: {dim} repeated to {to} along axis {axis}");
        }
        Ok(vec![x.with_shape(self.shape.clone())])
    }

    fn structure(&self, operands: &[TensorType]) -> Structure {
        let index = operands[0]
            .extents()
            .iter()
            .zip(&self.axes)
            .map(|(&extent, &axis)| match extent {
                1 => IndexExpr::constant(0),
                _ => IndexExpr::axis(axis),
            })
            .collect();
        let read = Access { operand: 0, index };
        Structure::Move(Movement { pieces: vec![Piece { guards: Vec::new(), read }], fill: None })
    }

    fn eval(&self, operands: &[&Tensor]) -> Vec<Tensor> {
        let x = operands[0];
        let shape = self.shape.as_consts().expect("symbols are bound before evaluation");
        vec![Tensor::from_fn(x.dtype(), &shape, |index| {
            let at: Vec<usize> =
                x.shape().iter().zip(&self.axes).map(|(&e, &a)| index[a] % e).collect();
            x.at(&at)
        })]
    }
}
