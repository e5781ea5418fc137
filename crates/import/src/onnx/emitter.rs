//! Adds operators to the graph and evaluates at once what is small and known.
//!
//! Exporters compute shapes in the graph. Where every operand of an operator is a small constant,
//! the operator is evaluated; where operands are integers known as expressions of symbols (see
//! [`super::symbolic`]), so is the result. What is left takes part in the graph.

mod fold;
mod shorthand;

use std::{
    cell::Cell,
    collections::{BTreeSet, HashMap},
};

use tracelift_ir::{
    Builder, ConstantData, Graph, Literal, Op, Provenance, Reduce, ReduceKind, Reshape, Shape,
    TensorType, Value, ops,
};
use tracelift_tensor::{DType, Dim, Scalar, Tensor, checked_count};

use super::failure::{Converted, Failure, ensure};

/// The most elements a value may have.
const MAX_ELEMENTS: i64 = 1 << 40;

/// The most scalar steps that all evaluations together may take.
const FOLD_BUDGET: usize = 1 << 26;

/// The most integers that are kept as expressions or given by an evaluation.
const MAX_KNOWN: usize = 4096;

/// The number of times that the inputs behind a value are looked up, for messages.
const MAX_TRACES: usize = 64;

/// A graph under construction and what is known of its values.
pub(crate) struct Emitter {
    /// The graph.
    pub graph: Graph,
    /// Where the nodes that follow come from.
    pub provenance: Provenance,
    /// The elements of integer values that are not constants but known as expressions.
    known: HashMap<Value, Vec<Dim>>,
    /// The scalar steps that evaluations may still take.
    fold_budget: usize,
    /// The number of times that inputs may still be traced.
    traces: Cell<usize>,
}

impl Emitter {
    /// Begins a graph.
    pub fn new(name: &str) -> Emitter {
        Emitter {
            graph: Graph::new(name),
            provenance: Provenance::default(),
            known: HashMap::new(),
            fold_budget: FOLD_BUDGET,
            traces: Cell::new(MAX_TRACES),
        }
    }

    /// A builder for what needs no evaluation.
    pub fn builder(&mut self) -> Builder<'_> {
        Builder::with_provenance(&mut self.graph, self.provenance.clone())
    }

    /// The type of a value.
    pub fn ty(&self, x: Value) -> &TensorType {
        self.graph.ty(x)
    }

    /// The dtype of a value.
    pub fn dtype(&self, x: Value) -> DType {
        self.ty(x).dtype
    }

    /// The shape of a value.
    pub fn shape(&self, x: Value) -> Shape {
        self.ty(x).shape.clone()
    }

    /// The number of axes of a value.
    pub fn rank(&self, x: Value) -> usize {
        self.ty(x).rank()
    }

    /// The extents of a value, where all are known.
    ///
    /// # Errors
    /// When one is a symbol.
    pub fn extents(&self, x: Value) -> Converted<Vec<usize>> {
        let ty = self.ty(x);
        ty.shape.as_consts().ok_or_else(|| {
            Failure::new(format!("shape {} has to be known at compile time", ty.shape))
                .with_hint("bind its symbols with --set")
        })
    }

    /// Applies an operator, or evaluates it where its operands are known.
    ///
    /// # Errors
    /// When the operands do not fit or the results are too large.
    pub fn op(&mut self, op: impl Into<Op>, operands: &[Value]) -> Converted<Vec<Value>> {
        let op = op.into();
        let types: Vec<TensorType> = operands.iter().map(|v| self.ty(*v).clone()).collect();
        let results = op.infer(&types)?;
        for ty in &results {
            let count = ty.shape.count().as_i64().unwrap_or(0);
            let in_range = (0..MAX_ELEMENTS).contains(&count)
                && ty.shape.iter().all(|d| d.as_i64().is_none_or(|d| d >= 0));
            ensure!(in_range, "a result of type {ty} is too large or negative");
        }
        if let Some(splat) = self.splat_result(&op, operands, &results) {
            return Ok(vec![splat]);
        }
        if let Some(tensors) = self.evaluate(&op, operands, &results) {
            return Ok(tensors.into_iter().map(|t| self.constant(t)).collect());
        }
        let values = self.builder().op(op.clone(), operands)?;
        let known = self.known_result(&op, operands, &results);
        Ok(match known {
            Some(dims) => vec![self.with_known(values[0], dims)],
            None => values,
        })
    }

    /// Applies an operator with one result.
    ///
    /// # Errors
    /// As [`Emitter::op`].
    pub fn op1(&mut self, op: impl Into<Op>, operands: &[Value]) -> Converted<Value> {
        Ok(self.op(op, operands)?[0])
    }

    /// Records a value's elements; the value returned is a constant where they are numbers.
    pub fn with_known(&mut self, x: Value, dims: Vec<Dim>) -> Value {
        let numbers: Option<Vec<i64>> = dims.iter().map(Dim::as_i64).collect();
        match (numbers, self.ty(x).shape.as_consts()) {
            (Some(numbers), Some(shape)) => {
                let tensor = Tensor::new(&shape, &numbers).cast(self.dtype(x));
                self.constant(tensor)
            }
            _ => {
                self.known.insert(x, dims);
                x
            }
        }
    }

    /// The elements of an integer or bool value as expressions, where they are known.
    pub fn known(&self, x: Value) -> Option<Vec<Dim>> {
        if let Some(known) = self.known.get(&x) {
            return Some(known.clone());
        }
        if self.dtype(x).is_float() || checked_count(&self.ty(x).shape.as_consts()?)? > MAX_KNOWN {
            return None;
        }
        let tensor = self.graph.constant_tensor(x)?;
        Some(tensor.iter().map(|s| Dim::from(s.to_i64())).collect())
    }

    /// A vector of `i64` whose elements are dimensions.
    ///
    /// # Errors
    /// Never for dimensions of a value.
    pub fn dims(&mut self, dims: &[Dim]) -> Converted<Value> {
        let parts: Vec<Value> = dims.iter().map(|d| self.dim(d)).collect::<Converted<_>>()?;
        if parts.is_empty() {
            return Ok(self.ints(&[]));
        }
        self.op1(ops::Concat { axis: 0 }, &parts)
    }

    /// One dimension as a vector of one `i64`: the sum over a vector of as many ones.
    fn dim(&mut self, dim: &Dim) -> Converted<Value> {
        if let Some(number) = dim.as_i64() {
            return Ok(self.ints(&[number]));
        }
        let ones = self.splat(Scalar::one(DType::I64), [dim.clone()]);
        let sum = Reduce { kind: ReduceKind::Sum, axes: vec![0] };
        let sum = self.builder().op1(sum, &[ones])?;
        let vector = self.builder().op1(Reshape { shape: [1].into() }, &[sum])?;
        Ok(self.with_known(vector, vec![dim.clone()]))
    }

    /// The elements of a constant, where it is one of known extents and moderate size.
    pub fn constant_of(&self, x: Value) -> Option<Tensor> {
        let constant = self.graph.constant(x)?;
        let count = checked_count(&self.ty(x).shape.as_consts()?)?;
        match constant.data {
            ConstantData::Splat(_) if count > MAX_KNOWN => None,
            _ => self.graph.constant_tensor(x),
        }
    }

    /// The number a constant repeats, where it does.
    pub fn splat_of(&self, x: Value) -> Option<Scalar> {
        self.graph.splat(x)
    }

    /// A constant tensor.
    pub fn constant(&mut self, tensor: Tensor) -> Value {
        self.builder().constant(tensor)
    }

    /// A constant vector of `i64`.
    pub fn ints(&mut self, values: &[i64]) -> Value {
        self.constant(Tensor::new(&[values.len()], values))
    }

    /// A constant whose elements are all the same.
    pub fn splat(&mut self, scalar: Scalar, shape: impl Into<Shape>) -> Value {
        self.builder().splat(scalar, shape)
    }

    /// A constant of the type of another value, whose elements are all `value`.
    pub fn splat_like(&mut self, like: Value, value: f64) -> Value {
        let ty = self.ty(like).clone();
        self.splat(Literal::Real(value).to_scalar(ty.dtype), ty.shape)
    }

    /// The graph inputs that a value depends on, by name; none once many have been looked up.
    pub fn inputs_of(&self, x: Value) -> Vec<String> {
        let Some(left) = self.traces.get().checked_sub(1) else { return Vec::new() };
        self.traces.set(left);
        let mut seen = BTreeSet::from([x.node]);
        let mut stack = vec![x.node];
        while let Some(node) = stack.pop() {
            for operand in self.graph.operands(node) {
                if seen.insert(operand.node) {
                    stack.push(operand.node);
                }
            }
        }
        let inputs = self.graph.inputs().filter(|v| seen.contains(&v.node));
        inputs.filter_map(|v| Some(self.graph.node(v.node).names.first()?.to_string())).collect()
    }
}
