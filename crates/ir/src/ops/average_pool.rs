//! `average_pool`.

use tracelift_tensor::{Dim, Scalar};

use super::{exactly, pooling::pool};
use crate::{
    Broadcast, Builder, Composite, Literal, ReduceKind, Shape, TypeError, Value, Windows, operator,
    require,
};

operator! {
    /// The sum of every window divided by the number of points that count.
    ///
    /// Windows are those of `windows`, whose constraints hold; rounding extents up is said by
    /// larger pads. Points of the operand count, and those of the pads within `counted`.
    ///
    /// (C1) `counted` is empty, so that no pad counts, or has one entry per windowed axis, at most
    ///      that of `pads`.
    /// (C2) The operand is a float.
    ///
    /// Result: the operand's dtype, windowed axes with one element per window; NaN where nothing
    /// counts.
    /// Source: ONNX `AveragePool`, opset 19.
    AveragePool = "average_pool" {
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
        /// The part of the pads that counts, per windowed axis.
        counted: Vec<[usize; 2]> = Vec::new(),
    }
}

impl AveragePool {
    fn windows(&self, axes: Vec<usize>, pads: Vec<[usize; 2]>) -> Windows {
        Windows {
            axes,
            kernel: self.kernel.clone(),
            strides: self.strides.clone(),
            pads,
            dilations: self.dilations.clone(),
            fill: Literal::Int(0),
        }
    }

    /// The pads that count and those that do not.
    fn counted_and_rest(&self) -> Result<[Vec<[usize; 2]>; 2], TypeError> {
        let n = self.axes.len();
        let counted = if self.counted.is_empty() { vec![[0; 2]; n] } else { self.counted.clone() };
        require!(counted.len() == n, "C1: {} entries for {n} axes", counted.len());
        let mut rest = Vec::with_capacity(n);
        for (counted, pads) in counted.iter().zip(&self.pads) {
            let fits = counted[0] <= pads[0] && counted[1] <= pads[1];
            require!(fits, "C1: counted {counted:?} of pads {pads:?}");
            rest.push([pads[0] - counted[0], pads[1] - counted[1]]);
        }
        Ok([counted, rest])
    }

    /// The number of points that count, one per window of the windowed axes alone.
    fn counts(
        &self,
        b: &mut Builder<'_>,
        x: Value,
        counted: &[[usize; 2]],
        rest: Vec<[usize; 2]>,
    ) -> Result<Value, TypeError> {
        let n = self.axes.len();
        let padded = |(k, &axis): (usize, &usize)| {
            let around = &Dim::from(counted[k][0]) + &Dim::from(counted[k][1]);
            b.ty(x).dim(axis) + &around
        };
        let shape = Shape(self.axes.iter().enumerate().map(padded).collect());
        let ones = b.splat(Scalar::one(b.ty(x).dtype), shape);
        pool(b, ones, self.windows((0..n).collect(), rest), ReduceKind::Sum)
    }
}

impl Composite for AveragePool {
    fn decompose(&self, b: &mut Builder<'_>, operands: &[Value]) -> Result<Vec<Value>, TypeError> {
        let [x] = *exactly(operands)?;
        require!(b.ty(x).dtype.is_float(), "C2: {}", b.ty(x));
        let [counted, rest] = self.counted_and_rest()?;
        let sums = pool(b, x, self.windows(self.axes.clone(), self.pads.clone()), ReduceKind::Sum)?;
        let volume = self.kernel.iter().map(|&n| n as f64).product();
        // Every point counts where all pads do, so the counts are known even for symbols.
        let counts = if rest.iter().flatten().all(|&n| n == 0) {
            b.splat_like(sums, volume)
        } else {
            let counts = self.counts(b, x, &counted, rest)?;
            let spread = Broadcast { shape: b.shape(sums), axes: self.axes.clone() };
            b.op1(spread, &[counts])?
        };
        Ok(vec![b.div(sums, counts)?])
    }
}
