//! Symbolic tensors: handles on values of a trace, and how operators are applied to them.
//!
//! An operator that does not fit records a mistake at the caller's line and gives a poisoned
//! tensor; operators on poisoned tensors give poisoned tensors and record nothing.

mod arithmetic;
mod index;
mod linear;
mod reduce;
mod shape;

use std::{fmt, panic::Location, rc::Rc};

pub use arithmetic::Term;
pub use reduce::Axes;
use tracelift_ir::{Builder, Op, Shape, TensorType, Value};
use tracelift_tensor::{DType, Dim, Tensor};

use crate::{Fault, MistakeKind, trace::Tracer};

/// The symbol that extents of poisoned tensors have.
const POISON: &str = "?";

/// A symbolic tensor of a trace; cloning is cheap.
///
/// Methods have PyTorch's names and defaults; axes may be negative and then count from the end.
#[derive(Clone)]
pub struct Var {
    pub(crate) tracer: Tracer,
    /// `None` in a poisoned tensor.
    pub(crate) value: Option<Value>,
    ty: Option<Rc<TensorType>>,
}

impl fmt::Debug for Var {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.ty {
            Some(ty) => write!(f, "Var({ty})"),
            None => f.write_str("Var(poisoned)"),
        }
    }
}

impl Var {
    pub(crate) fn of(tracer: &Tracer, value: Value) -> Var {
        let ty = tracer.0.borrow().graph.ty(value).clone();
        Var { tracer: tracer.clone(), value: Some(value), ty: Some(Rc::new(ty)) }
    }

    pub(crate) fn poisoned(tracer: &Tracer) -> Var {
        Var { tracer: tracer.clone(), value: None, ty: None }
    }

    /// The type; `None` after a mistake.
    pub fn ty(&self) -> Option<&TensorType> {
        self.ty.as_deref()
    }

    /// Whether this comes from a mistake, which is recorded already.
    pub fn is_poisoned(&self) -> bool {
        self.value.is_none()
    }

    /// The element type; `f32` after a mistake.
    pub fn dtype(&self) -> DType {
        self.ty().map_or(DType::F32, |ty| ty.dtype)
    }

    /// The extents; empty after a mistake.
    pub fn shape(&self) -> Shape {
        self.ty().map(|ty| ty.shape.clone()).unwrap_or_default()
    }

    /// The number of axes; 0 after a mistake.
    pub fn rank(&self) -> usize {
        self.ty().map_or(0, TensorType::rank)
    }

    /// The extent along an axis, which may be symbolic.
    #[track_caller]
    pub fn size(&self, axis: i64) -> Dim {
        let Some(ty) = self.ty() else { return Dim::symbol(POISON) };
        match self.axis(axis) {
            Ok(axis) => ty.dim(axis).clone(),
            Err(fault) => {
                self.tracer.record("size", fault, Location::caller());
                Dim::symbol(POISON)
            }
        }
    }

    /// A tensor of known elements, in the same trace.
    #[track_caller]
    pub fn constant(&self, tensor: Tensor) -> Var {
        self.tracer.one("constant", |b| Ok(b.constant(tensor)))
    }

    /// Adds an operator of the graph language as it is, without broadcasting.
    ///
    /// Operators with several results give as many tensors.
    #[track_caller]
    pub fn apply(op: impl Into<Op>, operands: &[&Var]) -> Vec<Var> {
        let op = op.into();
        let Some((first, _)) = operands.split_first() else { return Vec::new() };
        let what = op.syntax().name();
        let count = first.ty().map_or(1, |_| {
            let types: Option<Vec<TensorType>> = operands.iter().map(|v| v.ty().cloned()).collect();
            types.and_then(|types| op.infer(&types).ok()).map_or(1, |types| types.len())
        });
        Var::many(what, operands, count, |b, values| Ok(b.op(op, values)?))
    }

    /// Applies an operator with one result.
    #[track_caller]
    pub(crate) fn build(
        what: &str,
        operands: &[&Var],
        build: impl FnOnce(&mut Builder<'_>, &[Value]) -> Result<Value, Fault>,
    ) -> Var {
        let many = Var::many(what, operands, 1, |b, values| Ok(vec![build(b, values)?]));
        many.into_iter().next().expect("one result was asked for")
    }

    /// Applies an operator; gives `count` poisoned tensors where an operand is poisoned or the
    /// operator does not fit.
    #[track_caller]
    pub(crate) fn many(
        what: &str,
        operands: &[&Var],
        count: usize,
        build: impl FnOnce(&mut Builder<'_>, &[Value]) -> Result<Vec<Value>, Fault>,
    ) -> Vec<Var> {
        let caller = Location::caller();
        let tracer = &operands
            .iter()
            .find(|v| !v.tracer.is_finished())
            .or(operands.first())
            .expect("operators of traced tensors have an operand")
            .tracer;
        let built = if operands.iter().any(|v| !v.tracer.is(tracer)) {
            let fault = Fault::new(MistakeKind::ForeignTrace, "operands belong to two traces")
                .hint("pass the tensor as an input, or make it from one of this trace's");
            tracer.record(what, fault, caller);
            None
        } else {
            let values: Option<Vec<Value>> = operands.iter().map(|v| v.value).collect();
            values.and_then(|values| tracer.build(what, caller, |b| build(b, &values)))
        };
        match built {
            Some(values) => values.into_iter().map(|v| Var::of(tracer, v)).collect(),
            None => vec![Var::poisoned(tracer); count],
        }
    }

    /// This tensor, or a poisoned one after recording the fault.
    #[track_caller]
    pub(crate) fn check(&self, what: &str, check: Result<(), Fault>) -> Var {
        Var::build(what, &[self], |_, values| check.map(|()| values[0]))
    }

    /// An axis counted from 0; a negative one counts from the end.
    pub(crate) fn axis(&self, axis: i64) -> Result<usize, Fault> {
        axis_of(axis, self.rank(), &self.described())
    }

    /// The type and the producer, for messages.
    pub(crate) fn described(&self) -> String {
        match (self.value, self.ty()) {
            (Some(value), Some(ty)) => self.tracer.describe(value, ty),
            _ => String::new(),
        }
    }
}

/// An axis of a tensor of some rank, counted from 0.
pub(crate) fn axis_of(axis: i64, rank: usize, found: &str) -> Result<usize, Fault> {
    let signed = rank as i64;
    if (-signed..signed).contains(&axis) {
        return Ok(axis.rem_euclid(signed) as usize);
    }
    let fault = Fault::new(MistakeKind::Axis, format!("axis {axis} of a tensor of rank {rank}"));
    let fault = fault.found(found);
    Err(match rank {
        0 => fault.expected("a tensor with axes"),
        _ => fault.expected(format!("an axis from {} to {}", -signed, signed - 1)),
    })
}

/// Whether an extent comes from a poisoned tensor.
pub(crate) fn is_poison(dim: &Dim) -> bool {
    let mut symbols = Default::default();
    dim.collect_symbols(&mut symbols);
    symbols.contains(POISON)
}

impl Tracer {
    #[track_caller]
    pub(crate) fn one(
        &self,
        what: &str,
        build: impl FnOnce(&mut Builder<'_>) -> Result<Value, Fault>,
    ) -> Var {
        let built = self.build(what, Location::caller(), |b| Ok(vec![build(b)?]));
        match built.as_deref() {
            Some([value]) => Var::of(self, *value),
            _ => Var::poisoned(self),
        }
    }
}
