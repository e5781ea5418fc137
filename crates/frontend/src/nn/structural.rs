//! Layers that only move or pass on elements.

use std::panic::Location;

use super::{Forward, Module, Visitor, layer};
use crate::Var;

/// Joins axes into one: from axis 1 to the last, unless said otherwise.
#[derive(Clone, Copy, Debug)]
pub struct Flatten {
    axes: (i64, i64),
    built: &'static Location<'static>,
}

impl Flatten {
    /// Joins axes 1 to the last.
    #[track_caller]
    #[allow(clippy::new_without_default, reason = "a default would lose the caller's line")]
    pub fn new() -> Flatten {
        Flatten { axes: (1, -1), built: Location::caller() }
    }

    /// Joins the axes from `start` to `end`, both included.
    pub fn axes(mut self, start: i64, end: i64) -> Flatten {
        self.axes = (start, end);
        self
    }
}

impl Module for Flatten {
    fn visit(&self, _visitor: &mut Visitor<'_>) {}
}

impl Forward for Flatten {
    #[track_caller]
    fn forward(&self, x: &Var) -> Var {
        layer(self, "Flatten", self.built, x, |x| x.flatten(self.axes.0, self.axes.1))
    }
}

/// Passes its input on, as PyTorch's layer does in evaluation mode.
#[derive(Clone, Copy, Debug)]
pub struct Dropout {
    probability: f64,
}

impl Dropout {
    /// Dropout of elements with some probability; it has no effect in evaluation mode.
    pub fn new(probability: f64) -> Dropout {
        Dropout { probability }
    }

    /// The probability of an element to be dropped in training.
    pub fn probability(&self) -> f64 {
        self.probability
    }
}

impl Module for Dropout {
    fn visit(&self, _visitor: &mut Visitor<'_>) {}
}

impl Forward for Dropout {
    fn forward(&self, x: &Var) -> Var {
        x.clone()
    }
}
