//! `conv_transpose`.

use tracelift_tensor::Dim;

use super::{MAX_STEP, exactly};
use crate::{
    Builder, Composite, Conv, ConvLayout, Literal, Pad, Shape, Slice, TensorType, TypeError, Value,
    operator, require,
};

operator! {
    /// The transpose of a convolution: every input element spreads the weights over the output.
    ///
    /// Operands: input `N, C, spatial…`, weight `C, O/groups, spatial…`.
    ///
    /// (C1) Both are numbers of one dtype and one rank of at least 3; the weight's extents are
    ///      known.
    /// (C2) `strides`, `pads`, `dilations` and `output_pads` have one entry per spatial axis, all at
    ///      most 2⁴⁸; strides and dilations are positive; kernel extents are not 0.
    /// (C3) `groups` is positive and divides `C`, which is that of the weight.
    /// (C4) No extent of the result becomes negative.
    ///
    /// Result: `N, O, spatial…` with extents
    /// `stride·(in − 1) + dilation·(kernel − 1) + 1 − before − after + output_pad`.
    /// Source: ONNX `ConvTranspose`, opset 11, without bias.
    ConvTranspose = "conv_transpose" {
        /// Step between the places of two neighbouring input elements, per spatial axis.
        strides: Vec<usize>,
        /// Points removed before and after, per spatial axis.
        pads: Vec<[usize; 2]>,
        /// Step inside the kernel, per spatial axis.
        dilations: Vec<usize>,
        /// Points added at the end, per spatial axis; empty for none.
        output_pads: Vec<usize> = Vec::new(),
        /// The number of independent groups of channels.
        groups: usize = 1,
    }
}

impl ConvTranspose {
    /// The weight's extents (C1 to C3).
    fn check(&self, x: &TensorType, w: &TensorType) -> Result<Vec<usize>, TypeError> {
        let fits = x.rank() == w.rank() && x.rank() >= 3 && x.dtype == w.dtype;
        let (true, Some(extents)) = (fits, w.shape.as_consts()) else {
            return Err(TypeError(format!("C1: input {x}, weight {w}")));
        };
        let n = x.rank() - 2;
        let lengths = [self.strides.len(), self.pads.len(), self.dilations.len()];
        let outputs = self.output_pads.is_empty() || self.output_pads.len() == n;
        require!(lengths == [n; 3] && outputs, "C2: {lengths:?} entries for {n} spatial axes");
        let steps = [&self.strides[..], &self.dilations, &extents[2..]].concat();
        let mut all = steps.iter().chain(&self.output_pads).chain(self.pads.iter().flatten());
        let small = all.all(|&n| n as u64 <= MAX_STEP);
        require!(small && steps.iter().all(|&n| n > 0), "C2: {self:?} by weight {w}");
        let divides = self.groups > 0 && extents[0].is_multiple_of(self.groups);
        require!(
            divides && *x.dim(1) == extents[0],
            "C3: {} groups of {} channels, weight {w}",
            self.groups,
            x.dim(1)
        );
        Ok(extents)
    }

    /// The weight as that of the convolution: groups' channels swapped, kernel turned around.
    fn turned(&self, b: &mut Builder<'_>, w: Value, extents: &[usize]) -> Result<Value, TypeError> {
        let (groups, inputs, outputs) = (self.groups, extents[0] / self.groups, extents[1]);
        let kernel = &extents[2..];
        let shape = |head: &[usize]| head.iter().chain(kernel).copied().collect::<Shape>();
        let split = b.reshape(w, shape(&[groups, inputs, outputs]))?;
        let perm: Vec<usize> = [0, 2, 1].into_iter().chain(3..3 + kernel.len()).collect();
        let swapped = b.transpose(split, &perm)?;
        let joined = b.reshape(swapped, shape(&[groups * outputs, inputs]))?;
        let last = kernel.iter().map(|&n| Dim::from(n as i64 - 1));
        let flip = Slice {
            starts: [Dim::from(0), Dim::from(0)].into_iter().chain(last).collect(),
            limits: [groups * outputs, inputs]
                .into_iter()
                .map(Dim::from)
                .chain(kernel.iter().map(|_| Dim::from(-1)))
                .collect(),
            strides: [1, 1].into_iter().chain(kernel.iter().map(|_| -1)).collect(),
        };
        b.op1(flip, &[joined])
    }

    /// The padding that makes a convolution of stride 1 of this.
    fn spread(&self, kernel: &[usize]) -> Pad {
        let (mut low, mut high, mut interior) = (vec![0; 2], vec![0; 2], vec![0; 2]);
        for (k, &extent) in kernel.iter().enumerate() {
            let reach = (self.dilations[k] as i64).saturating_mul(extent as i64 - 1);
            let output_pad = self.output_pads.get(k).map_or(0, |&n| n as i64);
            low.push(reach.saturating_sub(self.pads[k][0] as i64));
            high.push(reach.saturating_sub(self.pads[k][1] as i64).saturating_add(output_pad));
            interior.push(self.strides[k] - 1);
        }
        Pad { low, high, interior, value: Literal::Int(0) }
    }
}

impl Composite for ConvTranspose {
    fn decompose(&self, b: &mut Builder<'_>, operands: &[Value]) -> Result<Vec<Value>, TypeError> {
        let [x, w] = *exactly(operands)?;
        let extents = self.check(&b.ty(x).clone(), &b.ty(w).clone())?;
        let n = extents.len() - 2;
        let fits = |error: TypeError| TypeError(format!("C4: {error}"));
        let spread = b.op1(self.spread(&extents[2..]), &[x]).map_err(fits)?;
        let turned = self.turned(b, w, &extents)?;
        let conv = Conv {
            strides: vec![1; n],
            pads: vec![[0; 2]; n],
            dilations: self.dilations.clone(),
            groups: self.groups,
            layout: ConvLayout::ChannelsFirst,
        };
        Ok(vec![b.op1(conv, &[spread, turned]).map_err(fits)?])
    }
}
