//! `Conv2d`.

use std::panic::Location;

use tracelift_ir::{self as ir, ConvLayout};
use tracelift_tensor::Dim;

use super::{Forward, Init, Module, Parameter, Visitor, image, layer};
use crate::{Fault, MistakeKind, Var};

/// A setting per spatial axis: one number for both, or `(height, width)`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pair(pub [usize; 2]);

impl From<usize> for Pair {
    fn from(both: usize) -> Pair {
        Pair([both, both])
    }
}

impl From<(usize, usize)> for Pair {
    fn from((height, width): (usize, usize)) -> Pair {
        Pair([height, width])
    }
}

impl Pair {
    /// As the constructor's argument was or could have been written.
    pub(super) fn text(self) -> String {
        let [height, width] = self.0;
        if height == width { height.to_string() } else { format!("({height}, {width})") }
    }
}

/// A convolution over images `[N, C, H, W]` or `[C, H, W]`.
///
/// Parameters: `weight` of shape `[out, in / groups, height, width]`, `bias` of shape `[out]`.
#[derive(Clone, Debug)]
pub struct Conv2d {
    channels: [usize; 2],
    kernel: Pair,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    groups: usize,
    weight: Parameter,
    bias: Option<Parameter>,
    built: &'static Location<'static>,
}

impl Conv2d {
    /// A convolution from `inputs` to `outputs` channels: stride 1, no padding, with bias.
    #[track_caller]
    pub fn new(inputs: usize, outputs: usize, kernel: impl Into<Pair>) -> Conv2d {
        let kernel = kernel.into();
        let (shape, init) = weight_of([inputs, outputs], kernel, 1);
        Conv2d {
            channels: [inputs, outputs],
            kernel,
            stride: Pair::from(1),
            padding: Pair::from(0),
            dilation: Pair::from(1),
            groups: 1,
            weight: Parameter::new(&shape, init),
            bias: Some(Parameter::new(&[outputs], init)),
            built: Location::caller(),
        }
    }

    /// Sets the step between windows.
    pub fn stride(mut self, stride: impl Into<Pair>) -> Conv2d {
        self.stride = stride.into();
        self
    }

    /// Sets the zeros added on each side.
    pub fn padding(mut self, padding: impl Into<Pair>) -> Conv2d {
        self.padding = padding.into();
        self
    }

    /// Sets the step inside a window.
    pub fn dilation(mut self, dilation: impl Into<Pair>) -> Conv2d {
        self.dilation = dilation.into();
        self
    }

    /// Sets the number of independent groups of channels.
    pub fn groups(mut self, groups: usize) -> Conv2d {
        self.groups = groups;
        let (shape, init) = weight_of(self.channels, self.kernel, groups);
        self.weight = self.weight.rebuilt(&shape, init);
        self.bias = self.bias.map(|bias| bias.rebuilt(&[self.channels[1]], init));
        self
    }

    /// Sets whether a bias is added.
    pub fn bias(mut self, bias: bool) -> Conv2d {
        let (_, init) = weight_of(self.channels, self.kernel, self.groups);
        self.bias = bias.then(|| Parameter::new(&[self.channels[1]], init));
        self
    }

    fn check(&self, x: &Var, weight: &Var) -> Result<(), Fault> {
        let [inputs, outputs] = self.channels;
        let groups = self.groups;
        if groups == 0 || !inputs.is_multiple_of(groups) || !outputs.is_multiple_of(groups) {
            let message =
                format!("{groups} groups of {inputs} input and {outputs} output channels");
            let fault = Fault::new(MistakeKind::Setting, message);
            return Err(fault.expected("groups that divide both numbers of channels"));
        }
        let Some(ty) = x.ty() else { return Ok(()) };
        let found = ty.dim(ty.rank() - 3);
        if *found == inputs {
            let (stride, dilation) = (self.stride, self.dilation);
            return image::windows_fit(x, self.kernel, stride, self.padding, dilation);
        }
        let message = format!("input has {found} channels, expected {inputs}");
        let name = weight.parameter_name();
        let fault = Fault::new(MistakeKind::LayerInput, message).found(x.described()).expected(
            format!("{inputs} channels on axis -3 (weight {name}: {})", self.weight.describe()),
        );
        let last = ty.dim(ty.rank() - 1);
        Err(match found.as_const() {
            _ if *last == inputs && ty.rank() == 4 => {
                fault.hint("the input looks channels-last; permute([0, 3, 1, 2]) it first")
            }
            Some(n) => {
                let kernel = self.kernel.text();
                fault.hint(format!("Conv2d({n}, {outputs}, {kernel}) would fit this input"))
            }
            None => fault,
        })
    }

    #[track_caller]
    fn apply(&self, x: &Var) -> Var {
        let op = ir::Conv {
            strides: self.stride.0.to_vec(),
            pads: self.padding.0.iter().map(|&p| [p, p]).collect(),
            dilations: self.dilation.0.to_vec(),
            groups: self.groups,
            layout: ConvLayout::ChannelsFirst,
        };
        let weight = x.parameter_named(&self.weight, "weight");
        let x = x.check("Conv2d", self.check(x, &weight));
        let bias = self.bias.as_ref().map(|bias| x.parameter_named(bias, "bias"));
        let outputs = self.channels[1];
        let operands: Vec<&Var> = [&x, &weight].into_iter().chain(&bias).collect();
        Var::build("Conv2d", &operands, |b, v| {
            super::same_floats(b, v)?;
            let y = b.op1(op, &v[..2])?;
            let Some(&bias) = v.get(2) else { return Ok(y) };
            let shape = ir::Shape([1, outputs, 1, 1].map(Dim::from).to_vec());
            let bias = b.op1(ir::Reshape { shape }, &[bias])?;
            Ok(b.add(y, bias)?)
        })
    }
}

/// The shape and the initial values of a weight.
fn weight_of([inputs, outputs]: [usize; 2], kernel: Pair, groups: usize) -> ([usize; 4], Init) {
    let [height, width] = kernel.0;
    let per_group = inputs / groups.max(1);
    let fan_in = per_group.saturating_mul(height).saturating_mul(width);
    ([outputs, per_group, height, width], Init::fan_in(fan_in))
}

impl Module for Conv2d {
    fn visit(&self, visitor: &mut Visitor<'_>) {
        visitor.parameter("weight", &self.weight);
        if let Some(bias) = &self.bias {
            visitor.parameter("bias", bias);
        }
    }
}

impl Forward for Conv2d {
    #[track_caller]
    fn forward(&self, x: &Var) -> Var {
        layer(self, "Conv2d", self.built, x, |x| image::batched("Conv2d", x, |x| self.apply(x)))
    }
}
