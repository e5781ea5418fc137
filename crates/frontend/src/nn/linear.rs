//! `Linear`.

use std::panic::Location;

use tracelift_ir as ir;

use super::{Forward, Init, Module, Parameter, Visitor, layer};
use crate::{Fault, MistakeKind, Var};

/// `x · weightᵀ + bias` over the last axis.
///
/// Parameters: `weight` of shape `[out, in]`, `bias` of shape `[out]`.
#[derive(Clone, Debug)]
pub struct Linear {
    inputs: usize,
    outputs: usize,
    weight: Parameter,
    bias: Option<Parameter>,
    built: &'static Location<'static>,
}

impl Linear {
    /// A layer from `inputs` to `outputs` features, with bias.
    #[track_caller]
    pub fn new(inputs: usize, outputs: usize) -> Linear {
        let init = Init::fan_in(inputs);
        Linear {
            inputs,
            outputs,
            weight: Parameter::new(&[outputs, inputs], init),
            bias: Some(Parameter::new(&[outputs], init)),
            built: Location::caller(),
        }
    }

    /// Sets whether a bias is added.
    pub fn bias(mut self, bias: bool) -> Linear {
        let init = Init::fan_in(self.inputs);
        self.bias = bias.then(|| Parameter::new(&[self.outputs], init));
        self
    }

    /// Starts the bias, if there is one, at 0.
    pub(super) fn zero_bias(mut self) -> Linear {
        self.bias = self.bias.map(|bias| bias.rebuilt(&[self.outputs], Init::Constant(0.0)));
        self
    }

    /// The weight and the bias in the trace of `x`, for a layer named `name` in another.
    #[track_caller]
    pub(super) fn parameters(&self, x: &Var, name: &str) -> (Var, Option<Var>) {
        let weight = x.parameter_named(&self.weight, &format!("{name}.weight"));
        let bias = self.bias.as_ref();
        let bias = bias.map(|bias| x.parameter_named(bias, &format!("{name}.bias")));
        (weight, bias)
    }

    /// The weight, of shape `[out, in]`.
    pub fn weight(&self) -> &Parameter {
        &self.weight
    }

    /// The same layer with another parameter as its weight, for weights used in two places.
    pub fn with_weight(mut self, weight: &Parameter) -> Linear {
        self.weight = weight.clone();
        self
    }

    fn check(&self, x: &Var, weight: &Var) -> Result<(), Fault> {
        let Some(ty) = x.ty() else { return Ok(()) };
        let name = weight.parameter_name();
        let expected =
            format!("last dimension {} (weight {name}: {})", self.inputs, self.weight.describe());
        if ty.rank() == 0 {
            let fault = Fault::new(MistakeKind::Rank, "input has no axes").found(x.described());
            return Err(fault.expected(expected));
        }
        let found = ty.dim(ty.rank() - 1);
        if *found == self.inputs {
            return Ok(());
        }
        let message = format!("input has {found} features, expected {}", self.inputs);
        let fault = Fault::new(MistakeKind::LayerInput, message).found(x.described());
        let fault = fault.expected(expected);
        Err(match found.as_const() {
            Some(n) => fault.hint(format!("Linear({n}, {}) would fit this input", self.outputs)),
            None => fault,
        })
    }
}

impl Module for Linear {
    fn visit(&self, visitor: &mut Visitor<'_>) {
        visitor.parameter("weight", &self.weight);
        if let Some(bias) = &self.bias {
            visitor.parameter("bias", bias);
        }
    }
}

impl Forward for Linear {
    #[track_caller]
    fn forward(&self, x: &Var) -> Var {
        layer(self, "Linear", self.built, x, |x| {
            let weight = x.parameter_named(&self.weight, "weight");
            let x = x.check("Linear", self.check(x, &weight));
            let bias = self.bias.as_ref().map(|bias| x.parameter_named(bias, "bias"));
            linear(&x, &weight, bias.as_ref())
        })
    }
}

/// `x · weightᵀ + bias`.
#[track_caller]
pub(super) fn linear(x: &Var, weight: &Var, bias: Option<&Var>) -> Var {
    let operands: Vec<&Var> = [x, weight].into_iter().chain(bias).collect();
    Var::build("linear", &operands, |b, v| {
        super::same_floats(b, v)?;
        Ok(b.op1(ir::Linear {}, v)?)
    })
}
