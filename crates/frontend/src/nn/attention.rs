//! `MultiheadAttention`.

use std::panic::Location;

use tracelift_ir::{self as ir, Literal};
use tracelift_tensor::{DType, Dim};

use super::{
    Entered, Init, Linear, Module, Parameter, Site, Visitor, linear::linear, require_rank,
};
use crate::{Fault, MistakeKind, Var};

/// Attention of several heads over projected queries, keys and values.
///
/// Tensors are `[T, B, E]`, or `[B, T, E]` with [`MultiheadAttention::batch_first`]. The result is
/// the attended values alone, as PyTorch's with `need_weights=False`; a query that may see no key
/// attends to zeros.
///
/// Parameters: `in_proj_weight` of shape `[3·E, E]` (queries, keys, values), `in_proj_bias`,
/// `out_proj.weight`, `out_proj.bias`.
#[derive(Clone, Debug)]
pub struct MultiheadAttention {
    width: usize,
    heads: usize,
    batch_first: bool,
    weight: Parameter,
    bias: Option<Parameter>,
    out: Linear,
    built: &'static Location<'static>,
}

/// What [`MultiheadAttention::forward`] may leave out of sight.
#[derive(Clone, Debug, Default)]
pub struct Attention {
    mask: Option<Var>,
    padding: Option<Var>,
    causal: bool,
}

impl Attention {
    /// Everything is seen.
    pub fn new() -> Attention {
        Attention::default()
    }

    /// Hides pairs of query and key: `[T, S]`, or `[B·H, T, S]` per head; a bool hides where it is
    /// true, a float is added to the logits.
    pub fn attn_mask(mut self, mask: &Var) -> Attention {
        self.mask = Some(mask.clone());
        self
    }

    /// Hides keys: `[B, S]`; a bool hides where it is true, a float is added to the logits.
    pub fn key_padding_mask(mut self, mask: &Var) -> Attention {
        self.padding = Some(mask.clone());
        self
    }

    /// Hides from each query the keys after it.
    pub fn causal(mut self) -> Attention {
        self.causal = true;
        self
    }
}

impl MultiheadAttention {
    /// Attention over `width` features divided among `heads` heads.
    #[track_caller]
    pub fn new(width: usize, heads: usize) -> MultiheadAttention {
        let projected = width.saturating_mul(3);
        let out = Linear::new(width, width).zero_bias();
        MultiheadAttention {
            width,
            heads,
            batch_first: false,
            weight: Parameter::new(&[projected, width], Init::xavier(width, projected)),
            bias: Some(Parameter::new(&[projected], Init::Constant(0.0))),
            out,
            built: Location::caller(),
        }
    }

    /// Sets whether the batch axis comes first.
    pub fn batch_first(mut self, batch_first: bool) -> MultiheadAttention {
        self.batch_first = batch_first;
        self
    }

    /// Sets whether the projections add a bias.
    pub fn bias(mut self, bias: bool) -> MultiheadAttention {
        let projected = self.width.saturating_mul(3);
        self.bias = bias.then(|| Parameter::new(&[projected], Init::Constant(0.0)));
        self.out = self.out.bias(bias).zero_bias();
        self
    }

    /// Attends from `query` to `key` and `value`; all three are one tensor in self-attention.
    #[track_caller]
    pub fn forward(&self, query: &Var, key: &Var, value: &Var, options: &Attention) -> Var {
        let what = "MultiheadAttention";
        let site = Site { what, built: self.built, caller: Location::caller() };
        let _entered = Entered::new(&query.tracer, self, Some(site));
        let query = &query.check(what, self.check(query, key, value));
        let [q, k, v] = self.project(query, key, value);
        let mask = self.mask(options, &q, &k);
        let scale = 1.0 / (self.width as f64 / self.heads.max(1) as f64).sqrt();
        let op = ir::Attention { scale: Literal::Real(scale), causal: options.causal };
        let operands: Vec<&Var> = [&q, &k, &v].into_iter().chain(&mask).collect();
        let mixed = Var::build(what, &operands, |b, v| Ok(b.op1(op, v)?));
        // From heads of `[B, H, T, E / H]` back to the layout of the query.
        let order = if self.batch_first { [0, 2, 1, 3] } else { [2, 0, 1, 3] };
        let mixed = mixed.permute(order).flatten(2, 3);
        let (weight, bias) = self.out.parameters(&mixed, "out_proj");
        linear(&mixed, &weight, bias.as_ref())
    }

    fn check(&self, query: &Var, key: &Var, value: &Var) -> Result<(), Fault> {
        if self.heads == 0 || !self.width.is_multiple_of(self.heads) {
            let message = format!("{} features among {} heads", self.width, self.heads);
            let fault = Fault::new(MistakeKind::Setting, message);
            return Err(fault.expected("a number of heads that divides the features"));
        }
        let layout = if self.batch_first { "[B, T, E]" } else { "[T, B, E]" };
        for x in [query, key, value] {
            require_rank(x, &[3], &format!("three axes {layout}"))?;
            let Some(ty) = x.ty() else { return Ok(()) };
            if *ty.dim(2) != self.width {
                let message = format!("input has {} features, expected {}", ty.dim(2), self.width);
                let fault = Fault::new(MistakeKind::LayerInput, message).found(x.described());
                return Err(fault.expected(format!("last dimension {}", self.width)));
            }
        }
        let found = || format!("{}, {} and {}", query.shape(), key.shape(), value.shape());
        let batch = usize::from(!self.batch_first);
        let (key_shape, value_shape) = (key.shape(), value.shape());
        if key_shape[..2] != value_shape[..2] || query.shape()[batch] != key_shape[batch] {
            let fault = Fault::new(MistakeKind::Extent, "query, key and value do not fit");
            return Err(fault.found(found()).expected("one batch, as many values as keys"));
        }
        Ok(())
    }

    /// Queries, keys and values as `[B, H, T, E / H]`.
    #[track_caller]
    fn project(&self, query: &Var, key: &Var, value: &Var) -> [Var; 3] {
        let weight = query.parameter_named(&self.weight, "in_proj_weight");
        let bias = self.bias.as_ref().map(|bias| query.parameter_named(bias, "in_proj_bias"));
        let same = |a: &Var, b: &Var| a.value.is_some() && a.value == b.value;
        let parts: [Var; 3] = if same(query, key) && same(query, value) {
            linear(query, &weight, bias.as_ref()).chunk(-1)
        } else {
            let weights: [Var; 3] = weight.chunk(0);
            let biases: Option<[Var; 3]> = bias.map(|bias| bias.chunk(0));
            let inputs = [query, key, value];
            std::array::from_fn(|k| {
                let bias = biases.as_ref().map(|biases| &biases[k]);
                linear(inputs[k], &weights[k], bias)
            })
        };
        parts.map(|x| self.split_heads(&x))
    }

    /// `[B, T, E]` or `[T, B, E]` to `[B, H, T, E / H]`.
    #[track_caller]
    fn split_heads(&self, x: &Var) -> Var {
        let per_head = self.width / self.heads.max(1);
        let dims = (x.size(0), x.size(1), Dim::from(self.heads), Dim::from(per_head));
        let order = if self.batch_first { [0, 2, 1, 3] } else { [1, 2, 0, 3] };
        x.reshape(dims).permute(order)
    }

    /// Both masks as one that broadcasts to `[B, H, T, S]`: true where seen, or added.
    #[track_caller]
    fn mask(&self, options: &Attention, q: &Var, k: &Var) -> Option<Var> {
        let heads = Dim::from(self.heads);
        let mask = options.mask.as_ref().map(|mask| match mask.rank() {
            3 => mask.reshape((q.size(0), heads, q.size(2), k.size(2))),
            _ => mask.expand((q.size(2), k.size(2))).unsqueeze(0).unsqueeze(0),
        });
        let padding = options.padding.as_ref();
        let padding = padding.map(|p| p.expand((q.size(0), k.size(2))).unsqueeze(1).unsqueeze(1));
        let is_bool = |x: &Var| x.dtype() == DType::Bool;
        match (mask, padding) {
            (None, None) => None,
            (Some(one), None) | (None, Some(one)) if is_bool(&one) => Some(!one),
            (Some(one), None) | (None, Some(one)) => Some(one),
            (Some(a), Some(b)) => Some(match (is_bool(&a), is_bool(&b)) {
                (true, true) => !(a | b),
                (true, false) => b.masked_fill(&a, f64::NEG_INFINITY),
                (false, true) => a.masked_fill(&b, f64::NEG_INFINITY),
                (false, false) => a + b,
            }),
        }
    }
}

impl Module for MultiheadAttention {
    fn visit(&self, visitor: &mut Visitor<'_>) {
        visitor.parameter("in_proj_weight", &self.weight);
        if let Some(bias) = &self.bias {
            visitor.parameter("in_proj_bias", bias);
        }
        visitor.child("out_proj", &self.out);
    }
}
