//! `windows`.

use tracelift_scalar::{Guard, IndexExpr};
use tracelift_tensor::{Dim, Tensor};

use super::exactly;
use crate::{
    Access, Literal, Movement, Piece, Primitive, Shape, Structure, TensorType, TypeError, operator,
    require,
};

operator! {
    /// The view of a tensor as overlapping windows: along each axis of `axes` the result holds one
    /// position per window, and the elements inside a window lie along new last axes.
    ///
    /// With one axis `a`, `result[.., o, .., k] = x[.., o·stride + k·dilation − before, ..]`.
    /// Pooling is a reduction over the new axes.
    ///
    /// (C1) `axes` ascends and stays below the rank.
    /// (C2) `kernel`, `strides`, `pads` and `dilations` have one entry per windowed axis; kernel
    ///      extents, strides and dilations are positive and, as pads, at most 2⁴⁸.
    /// (C3) The dilated kernel fits the padded operand.
    ///
    /// Result: the operand's dtype; along each windowed axis
    /// `⌊(in + before + after − dilation·(kernel − 1) − 1) / stride⌋ + 1`, then the extents of
    /// `kernel`. Points outside the operand are `fill`; infinities stand for an integer dtype's
    /// lowest and highest value.
    /// Gradient: the cotangent added back where each element was read.
    /// Source: PyTorch `unfold`; the windows of ONNX `MaxPool` and `AveragePool`.
    Windows = "windows" {
        /// The operand axes windows slide along.
        axes: Vec<usize>,
        /// The extent of a window, per windowed axis.
        kernel: Vec<usize>,
        /// The step between windows, per windowed axis.
        strides: Vec<usize>,
        /// Points added before and after, per windowed axis.
        pads: Vec<[usize; 2]>,
        /// The step inside a window, per windowed axis.
        dilations: Vec<usize>,
        /// The value outside the operand.
        fill: Literal = Literal::Int(0),
    }
}

/// The number of windows along an axis; `None` where not even one fits.
pub(super) fn window_count(
    input: &Dim,
    kernel: &Dim,
    stride: usize,
    pads: [usize; 2],
    dilation: usize,
) -> Option<Dim> {
    let reach = &(kernel - &Dim::from(1)) * &Dim::from(dilation);
    let padded = &(input + &Dim::from(pads[0])) + &Dim::from(pads[1]);
    let room = &(&padded - &reach) - &Dim::from(1);
    if room.as_i64().is_some_and(|r| r < 0) {
        return None;
    }
    let steps = room.floor_div(&Dim::from(stride))?;
    Some(&steps + &Dim::from(1))
}

impl Windows {
    fn check(&self, x: &TensorType) -> Result<(), TypeError> {
        let ascends = self.axes.windows(2).all(|w| w[0] < w[1]);
        let below = self.axes.last().is_none_or(|&a| a < x.rank());
        require!(ascends && below, "C1: axes {:?} of {x}", self.axes);
        let lengths =
            [self.kernel.len(), self.strides.len(), self.pads.len(), self.dilations.len()];
        require!(
            lengths == [self.axes.len(); 4],
            "C2: {lengths:?} entries for {} axes",
            self.axes.len()
        );
        let positive: Vec<usize> =
            [&self.kernel[..], &self.strides, &self.dilations].concat().to_vec();
        let small = |&n: &usize| n as u64 <= super::MAX_STEP;
        let fits = positive.iter().all(|n| *n > 0 && small(n)) && self.pads.iter().flatten().all(small);
        require!(fits, "C2: {self:?}");
        Ok(())
    }

    /// The coordinate read along windowed axis `k`, where kernel axes begin at `rank`.
    fn position(&self, k: usize, rank: usize) -> IndexExpr {
        IndexExpr::axis(self.axes[k])
            .scale(self.strides[k] as i64)
            .add(&IndexExpr::axis(rank + k).scale(self.dilations[k] as i64))
            .offset(-(self.pads[k][0] as i64))
    }
}

impl Primitive for Windows {
    fn infer(&self, operands: &[TensorType]) -> Result<Vec<TensorType>, TypeError> {
        let [x] = exactly(operands)?;
        self.check(x)?;
        let mut dims = x.shape.0.clone();
        for (k, &axis) in self.axes.iter().enumerate() {
            let (stride, pads) = (self.strides[k], self.pads[k]);
            let kernel = Dim::from(self.kernel[k]);
            let count = window_count(x.dim(axis), &kernel, stride, pads, self.dilations[k]);
            dims[axis] = count.ok_or_else(|| {
                let [before, after] = pads;
                let dilation = self.dilations[k];
                let dim = x.dim(axis);
                TypeError(format!(
                    "C3: kernel {kernel} with dilation {dilation} over {dim} with pads {before}, {after}"
                ))
            })?;
        }
        dims.extend(self.kernel.iter().map(|&n| Dim::from(n)));
        Ok(vec![x.with_shape(Shape(dims))])
    }

    fn structure(&self, operands: &[TensorType]) -> Structure {
        let x = &operands[0];
        let extents = x.extents();
        let out = self.infer(operands).expect("operands passed infer")[0].extents();
        let mut index: Vec<IndexExpr> = (0..x.rank()).map(IndexExpr::axis).collect();
        let mut guards = Vec::new();
        for (k, &axis) in self.axes.iter().enumerate() {
            index[axis] = self.position(k, x.rank());
            guards.push(Guard { expr: index[axis].clone(), extent: extents[axis] as i64 });
        }
        guards.retain(|guard| guard.decide(&out) != Some(true));
        let read = Access { operand: 0, index };
        let fill = (!guards.is_empty()).then(|| self.fill.to_scalar(x.dtype));
        Structure::Move(Movement { pieces: vec![Piece { guards, read }], fill })
    }

    fn eval(&self, operands: &[&Tensor]) -> Vec<Tensor> {
        let x = operands[0];
        let ty = TensorType::new(x.dtype(), x.shape());
        let shape = self.infer(&[ty]).expect("operands passed infer")[0].extents();
        let fill = self.fill.to_scalar(x.dtype());
        vec![Tensor::from_fn(x.dtype(), &shape, |index| {
            let (point, inside) = index.split_at(x.rank());
            let mut at = point.to_vec();
            for (k, &axis) in self.axes.iter().enumerate() {
                let position = point[axis] * self.strides[k] + inside[k] * self.dilations[k];
                match position.checked_sub(self.pads[k][0]) {
                    Some(i) if i < x.shape()[axis] => at[axis] = i,
                    _ => return fill,
                }
            }
            x.at(&at)
        })]
    }
}
