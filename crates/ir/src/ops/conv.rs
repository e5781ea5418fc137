//! `conv`.

use tracelift_scalar::{ExprBuilder, Guard, IndexExpr, Op as ScalarOp};
use tracelift_tensor::{Dim, Tensor};

use super::{contract::sum_of_products, exactly, windows::window_count};
use crate::{
    Access, Fold, FoldKind, Primitive, Shape, Structure, TensorType, TypeError, attribute_enum,
    operator, require,
};

attribute_enum! {
    /// The order of axes in a convolution's operands and result.
    ConvLayout {
        /// Input `N, C, spatial…`; weight `O, I, spatial…`; result `N, O, spatial…`.
        ChannelsFirst = "channels_first",
        /// Input `N, spatial…, C`; weight `spatial…, I, O`; result `N, spatial…, O`.
        ChannelsLast = "channels_last",
    }
}

operator! {
    /// Slides weights over the spatial axes of an input and sums products.
    ///
    /// Operands: input, weight, of any number of spatial axes.
    ///
    /// (C1) Both are numbers of one dtype and one rank of at least 3.
    /// (C2) `strides`, `dilations` and `pads` have one entry per spatial axis; strides and
    ///      dilations are positive.
    /// (C3) `groups` is positive and divides the weight's output channels, and the input's
    ///      channels are `groups` times the weight's input channels.
    /// (C4) The dilated kernel fits the padded input.
    ///
    /// Result: spatial extents `⌊(in + before + after − dilation·(kernel − 1) − 1) / stride⌋ + 1`;
    /// points outside the input count as 0. Output channel `o` belongs to group `⌊o / (O/groups)⌋`.
    /// Floats accumulate by fused multiply-add.
    /// Source: ONNX `Conv`, opset 11, without bias.
    Conv = "conv" {
        /// Step between windows, per spatial axis.
        strides: Vec<usize>,
        /// Points added before and after, per spatial axis.
        pads: Vec<[usize; 2]>,
        /// Step inside a window, per spatial axis.
        dilations: Vec<usize>,
        /// The number of independent groups of channels.
        groups: usize = 1,
        /// The order of axes.
        layout: ConvLayout = ConvLayout::ChannelsFirst,
    }
}

/// Where the axes of a convolution lie.
struct Axes {
    /// Channel axis and first spatial axis of input and result.
    channel: usize,
    spatial: usize,
    /// Output, input and first spatial axis of the weight.
    weight_out: usize,
    weight_in: usize,
    weight_spatial: usize,
}

impl Conv {
    fn axes(&self, rank: usize) -> Axes {
        match self.layout {
            ConvLayout::ChannelsFirst => {
                Axes { channel: 1, spatial: 2, weight_out: 0, weight_in: 1, weight_spatial: 2 }
            }
            ConvLayout::ChannelsLast => Axes {
                channel: rank - 1,
                spatial: 1,
                weight_out: rank - 1,
                weight_in: rank - 2,
                weight_spatial: 0,
            },
        }
    }

    fn check(&self, x: &TensorType, w: &TensorType) -> Result<(), TypeError> {
        let rank = x.rank();
        let numbers = x.dtype == w.dtype && x.dtype != tracelift_tensor::DType::Bool;
        require!(numbers && rank == w.rank() && rank >= 3, "C1: input {x}, weight {w}");
        let n = rank - 2;
        let lengths = [self.strides.len(), self.dilations.len(), self.pads.len()];
        require!(lengths == [n; 3], "C2: {lengths:?} entries for {n} spatial axes");
        let positive = self.strides.iter().chain(&self.dilations).all(|&s| s > 0);
        require!(positive, "C2: strides {:?}, dilations {:?}", self.strides, self.dilations);
        let axes = self.axes(rank);
        let (outputs, inputs) = (w.dim(axes.weight_out), w.dim(axes.weight_in));
        let divides = self.groups > 0
            && outputs.as_const().is_none_or(|o| o % self.groups == 0)
            && *x.dim(axes.channel) == inputs * &Dim::from(self.groups);
        require!(
            divides,
            "C3: {} input channels, {} groups, weight {w}",
            x.dim(axes.channel),
            self.groups
        );
        Ok(())
    }
}

impl Primitive for Conv {
    fn infer(&self, operands: &[TensorType]) -> Result<Vec<TensorType>, TypeError> {
        let [x, w] = exactly(operands)?;
        self.check(x, w)?;
        let axes = self.axes(x.rank());
        let mut dims = x.shape.0.clone();
        dims[axes.channel] = w.dim(axes.weight_out).clone();
        for k in 0..x.rank() - 2 {
            let (input, kernel) = (x.dim(axes.spatial + k), w.dim(axes.weight_spatial + k));
            let (stride, dilation) = (self.strides[k], self.dilations[k]);
            let count = window_count(input, kernel, stride, self.pads[k], dilation);
            dims[axes.spatial + k] = count.ok_or_else(|| {
                let [before, after] = self.pads[k];
                TypeError(format!(
                    "C4: kernel {kernel} with dilation {dilation} over {input} with pads {before}, {after}"
                ))
            })?;
        }
        Ok(vec![x.with_shape(Shape(dims))])
    }

    fn structure(&self, operands: &[TensorType]) -> Structure {
        let (x, w) = (&operands[0], &operands[1]);
        let (rank, n) = (x.rank(), x.rank() - 2);
        let axes = self.axes(rank);
        let (x_extents, w_extents) = (x.extents(), w.extents());
        let mut out = self.infer(operands).expect("operands passed infer")[0].extents();
        // The folded axes are the kernel's spatial axes, then the input channels of a group.
        let kernel = w_extents[axes.weight_spatial..axes.weight_spatial + n].iter();
        let domain: Vec<usize> = kernel.chain([&w_extents[axes.weight_in]]).copied().collect();
        out.extend(&domain);
        let channel = IndexExpr::axis(rank + n);
        let per_group = (w_extents[axes.weight_out] / self.groups).max(1) as i64;
        let group = IndexExpr::axis(axes.channel).div(per_group, &out);
        let mut x_index = vec![IndexExpr::axis(0); rank];
        let mut w_index = vec![IndexExpr::axis(axes.channel); rank];
        let mut guards = Vec::new();
        x_index[axes.channel] = group.scale(w_extents[axes.weight_in] as i64).add(&channel);
        w_index[axes.weight_in] = channel;
        for k in 0..n {
            let position = IndexExpr::axis(axes.spatial + k)
                .scale(self.strides[k] as i64)
                .add(&IndexExpr::axis(rank + k).scale(self.dilations[k] as i64))
                .offset(-(self.pads[k][0] as i64));
            let guard = Guard { expr: position.clone(), extent: x_extents[axes.spatial + k] as i64 };
            if guard.decide(&out) != Some(true) {
                guards.push(guard);
            }
            x_index[axes.spatial + k] = position;
            w_index[axes.weight_spatial + k] = IndexExpr::axis(rank + k);
        }
        let mut b = ExprBuilder::default();
        let (a, c) = (b.input(0, x.dtype), b.input(1, x.dtype));
        let term = b.apply(ScalarOp::Mul, &[a, c]);
        let reads = vec![
            Access { operand: 0, index: x_index },
            Access { operand: 1, index: w_index },
        ];
        let term = b.finish(term);
        Structure::Window(Fold { domain, guards, reads, term, kind: FoldKind::Sum })
    }

    fn eval(&self, operands: &[&Tensor]) -> Vec<Tensor> {
        let types: Vec<TensorType> =
            operands.iter().map(|x| TensorType::new(x.dtype(), x.shape())).collect();
        let shape = self.infer(&types).expect("operands passed infer")[0].extents();
        let Structure::Window(fold) = self.structure(&types) else {
            unreachable!("a convolution has the structure of a window")
        };
        vec![sum_of_products(operands, &shape, &fold)]
    }
}
