//! `BatchNorm2d` and `LayerNorm`.

use std::panic::Location;

use tracelift_ir::{self as ir, Literal};

use super::{Forward, Init, Module, Parameter, Visitor, layer, require_rank};
use crate::{Fault, MistakeKind, Var};

/// Normalises the channels of images by stored statistics, as PyTorch's layer in evaluation mode.
///
/// Parameters: `weight`, `bias`; buffers: `running_mean`, `running_var`, `num_batches_tracked`.
#[derive(Clone, Debug)]
pub struct BatchNorm2d {
    channels: usize,
    epsilon: f64,
    affine: Option<[Parameter; 2]>,
    statistics: [Parameter; 2],
    batches: Parameter,
    built: &'static Location<'static>,
}

impl BatchNorm2d {
    /// A layer for images of `channels` channels.
    #[track_caller]
    pub fn new(channels: usize) -> BatchNorm2d {
        let filled = |x| Parameter::new(&[channels], Init::Constant(x));
        BatchNorm2d {
            channels,
            epsilon: 1e-5,
            affine: Some([filled(1.0), filled(0.0)]),
            statistics: [filled(0.0), filled(1.0)],
            batches: Parameter::counter(),
            built: Location::caller(),
        }
    }

    /// Sets what is added to the variance.
    pub fn eps(mut self, epsilon: f64) -> BatchNorm2d {
        self.epsilon = epsilon;
        self
    }

    /// Sets whether the result is scaled and shifted by parameters.
    pub fn affine(mut self, affine: bool) -> BatchNorm2d {
        let filled = |x| Parameter::new(&[self.channels], Init::Constant(x));
        self.affine = affine.then(|| [filled(1.0), filled(0.0)]);
        self
    }

    fn check(&self, x: &Var) -> Result<(), Fault> {
        require_rank(x, &[4], "images [N, C, H, W]")?;
        let Some(ty) = x.ty() else { return Ok(()) };
        if *ty.dim(1) == self.channels {
            return Ok(());
        }
        let message = format!("input has {} channels, expected {}", ty.dim(1), self.channels);
        let fault = Fault::new(MistakeKind::LayerInput, message)
            .found(x.described())
            .expected(format!("{} channels on axis 1", self.channels));
        Err(fault.hint(format!("BatchNorm2d({}) would fit this input", ty.dim(1))))
    }
}

impl Module for BatchNorm2d {
    fn visit(&self, visitor: &mut Visitor<'_>) {
        if let Some([weight, bias]) = &self.affine {
            visitor.parameter("weight", weight).parameter("bias", bias);
        }
        let [mean, variance] = &self.statistics;
        visitor.parameter("running_mean", mean).parameter("running_var", variance);
        visitor.parameter("num_batches_tracked", &self.batches);
    }
}

impl Forward for BatchNorm2d {
    #[track_caller]
    fn forward(&self, x: &Var) -> Var {
        layer(self, "BatchNorm2d", self.built, x, |x| {
            let x = x.check("BatchNorm2d", self.check(x));
            let [weight, bias] = match &self.affine {
                Some([weight, bias]) => {
                    [x.parameter_named(weight, "weight"), x.parameter_named(bias, "bias")]
                }
                None => [1.0, 0.0].map(|value| {
                    let number = tracelift_tensor::Scalar::from_f64(x.dtype(), value);
                    x.constant(tracelift_tensor::Tensor::splat(number, &[self.channels]))
                }),
            };
            let [mean, variance] = &self.statistics;
            let mean = x.parameter_named(mean, "running_mean");
            let variance = x.parameter_named(variance, "running_var");
            let epsilon = Literal::Real(self.epsilon);
            Var::build("BatchNorm2d", &[&x, &weight, &bias, &mean, &variance], |b, v| {
                super::same_floats(b, v)?;
                Ok(b.op1(ir::BatchNorm { axis: 1, epsilon }, v)?)
            })
        })
    }
}

/// Normalises over the last axes.
///
/// Parameters: `weight` and `bias` of the normalised shape.
#[derive(Clone, Debug)]
pub struct LayerNorm {
    shape: Vec<usize>,
    epsilon: f64,
    weight: Option<Parameter>,
    bias: Option<Parameter>,
    built: &'static Location<'static>,
}

/// The shape that [`LayerNorm`] normalises over: one extent or several.
#[derive(Clone, Debug)]
pub struct NormalisedShape(Vec<usize>);

impl From<usize> for NormalisedShape {
    fn from(extent: usize) -> NormalisedShape {
        NormalisedShape(vec![extent])
    }
}

impl<const N: usize> From<[usize; N]> for NormalisedShape {
    fn from(extents: [usize; N]) -> NormalisedShape {
        NormalisedShape(extents.to_vec())
    }
}

impl LayerNorm {
    /// A layer that normalises over last axes of the given extents.
    #[track_caller]
    pub fn new(shape: impl Into<NormalisedShape>) -> LayerNorm {
        let shape = shape.into().0;
        LayerNorm {
            epsilon: 1e-5,
            weight: Some(Parameter::new(&shape, Init::Constant(1.0))),
            bias: Some(Parameter::new(&shape, Init::Constant(0.0))),
            shape,
            built: Location::caller(),
        }
    }

    /// Sets what is added to the variance.
    pub fn eps(mut self, epsilon: f64) -> LayerNorm {
        self.epsilon = epsilon;
        self
    }

    /// Sets whether a bias is added; there is none without affine parameters.
    pub fn bias(mut self, bias: bool) -> LayerNorm {
        self.bias = bias.then(|| Parameter::new(&self.shape, Init::Constant(0.0)));
        self
    }

    /// Sets whether the result is scaled and shifted by parameters.
    pub fn elementwise_affine(mut self, affine: bool) -> LayerNorm {
        self.weight = affine.then(|| Parameter::new(&self.shape, Init::Constant(1.0)));
        self.bias(affine)
    }

    fn check(&self, x: &Var) -> Result<(), Fault> {
        let Some(ty) = x.ty() else { return Ok(()) };
        let first = ty.rank().checked_sub(self.shape.len());
        let same = |first: usize| ty.shape[first..].iter().zip(&self.shape).all(|(a, b)| a == b);
        if !self.shape.is_empty() && first.is_some_and(same) {
            return Ok(());
        }
        let message = format!("input {} does not end in {:?}", ty.shape, self.shape);
        let fault = Fault::new(MistakeKind::LayerInput, message)
            .found(x.described())
            .expected(format!("last dimensions {:?}", self.shape));
        Err(match (first, ty.shape.last()) {
            (Some(_), Some(last)) if self.shape.len() == 1 => {
                fault.hint(format!("LayerNorm({last}) would fit this input"))
            }
            _ => fault,
        })
    }
}

impl Module for LayerNorm {
    fn visit(&self, visitor: &mut Visitor<'_>) {
        if let Some(weight) = &self.weight {
            visitor.parameter("weight", weight);
        }
        if let Some(bias) = &self.bias {
            visitor.parameter("bias", bias);
        }
    }
}

impl Forward for LayerNorm {
    #[track_caller]
    fn forward(&self, x: &Var) -> Var {
        layer(self, "LayerNorm", self.built, x, |x| {
            let x = x.check("LayerNorm", self.check(x));
            let weight = self.weight.as_ref().map(|w| x.parameter_named(w, "weight"));
            let bias = self.bias.as_ref().map(|b| x.parameter_named(b, "bias"));
            let axis = x.rank().saturating_sub(self.shape.len());
            let epsilon = Literal::Real(self.epsilon);
            let operands: Vec<&Var> = [&x].into_iter().chain(&weight).chain(&bias).collect();
            Var::build("LayerNorm", &operands, |b, v| {
                super::same_floats(b, v)?;
                Ok(b.op1(ir::LayerNorm { axis, epsilon }, v)?)
            })
        })
    }
}
