//! Activations as modules.

use std::panic::Location;

use super::{Forward, Module, Visitor, layer};
use crate::Var;

macro_rules! activations {
    ($($(#[$doc:meta])* $name:ident = $method:ident;)*) => { $(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug)]
        pub struct $name {
            built: &'static Location<'static>,
        }

        impl $name {
            /// The activation.
            #[track_caller]
            #[allow(clippy::new_without_default, reason = "a default would lose the caller's line")]
            pub fn new() -> $name {
                $name { built: Location::caller() }
            }
        }

        impl Module for $name {
            fn visit(&self, _visitor: &mut Visitor<'_>) {}
        }

        impl Forward for $name {
            #[track_caller]
            fn forward(&self, x: &Var) -> Var {
                layer(self, stringify!($name), self.built, x, |x| x.$method())
            }
        }
    )* };
}

activations! {
    /// The larger of `x` and 0.
    ReLU = relu;
    /// `x · σ(x)`.
    SiLU = silu;
    /// The hyperbolic tangent.
    Tanh = tanh;
    /// `1 / (1 + e^(−x))`.
    Sigmoid = sigmoid;
}

/// How [`GELU`] computes the normal distribution function.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum GeluApproximation {
    /// By the error function.
    #[default]
    None,
    /// By a hyperbolic tangent.
    Tanh,
}

/// `x · Φ(x)`, `Φ` the normal distribution function.
#[derive(Clone, Copy, Debug)]
pub struct GELU {
    approximate: GeluApproximation,
    built: &'static Location<'static>,
}

impl GELU {
    /// The exact form.
    #[track_caller]
    #[allow(clippy::new_without_default, reason = "a default would lose the caller's line")]
    pub fn new() -> GELU {
        GELU { approximate: GeluApproximation::None, built: Location::caller() }
    }

    /// Sets how the distribution function is computed.
    pub fn approximate(mut self, approximate: GeluApproximation) -> GELU {
        self.approximate = approximate;
        self
    }
}

impl Module for GELU {
    fn visit(&self, _visitor: &mut Visitor<'_>) {}
}

impl Forward for GELU {
    #[track_caller]
    fn forward(&self, x: &Var) -> Var {
        layer(self, "GELU", self.built, x, |x| match self.approximate {
            GeluApproximation::None => x.gelu(),
            GeluApproximation::Tanh => x.gelu_tanh(),
        })
    }
}

/// The softmax along an axis.
#[derive(Clone, Copy, Debug)]
pub struct Softmax {
    axis: i64,
    built: &'static Location<'static>,
}

impl Softmax {
    /// The softmax along `axis`; below 0 counts from the end.
    #[track_caller]
    pub fn new(axis: i64) -> Softmax {
        Softmax { axis, built: Location::caller() }
    }
}

impl Module for Softmax {
    fn visit(&self, _visitor: &mut Visitor<'_>) {}
}

impl Forward for Softmax {
    #[track_caller]
    fn forward(&self, x: &Var) -> Var {
        layer(self, "Softmax", self.built, x, |x| x.softmax(self.axis))
    }
}
