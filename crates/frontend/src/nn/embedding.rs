//! `Embedding`.

use std::panic::Location;

use super::{Forward, Init, Module, Parameter, Visitor, layer};
use crate::Var;

/// Rows of a table by number: `[.., ]` of `i64` or `i32` to `[.., width]`.
///
/// Parameters: `weight` of shape `[rows, width]`.
#[derive(Clone, Debug)]
pub struct Embedding {
    rows: usize,
    width: usize,
    weight: Parameter,
    built: &'static Location<'static>,
}

impl Embedding {
    /// A table of `rows` rows of `width` numbers.
    #[track_caller]
    pub fn new(rows: usize, width: usize) -> Embedding {
        let weight = Parameter::new(&[rows, width], Init::Normal { zero_row: None });
        Embedding { rows, width, weight, built: Location::caller() }
    }

    /// Starts one row as zeros.
    pub fn padding_idx(mut self, row: usize) -> Embedding {
        let init = Init::Normal { zero_row: Some(row) };
        self.weight = self.weight.rebuilt(&[self.rows, self.width], init);
        self
    }

    /// The table, of shape `[rows, width]`.
    pub fn weight(&self) -> &Parameter {
        &self.weight
    }
}

impl Module for Embedding {
    fn visit(&self, visitor: &mut Visitor<'_>) {
        visitor.parameter("weight", &self.weight);
    }
}

impl Forward for Embedding {
    #[track_caller]
    fn forward(&self, x: &Var) -> Var {
        layer(self, "Embedding", self.built, x, |x| {
            x.parameter_named(&self.weight, "weight").embedding(x)
        })
    }
}
