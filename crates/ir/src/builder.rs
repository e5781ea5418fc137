//! The builder: adds operators to a graph, inferring types and inserting broadcasts.

mod shortcuts;

use std::sync::Arc;

use tracelift_tensor::{DType, Scalar, Tensor};

use crate::{
    Broadcast, Constant, ConstantData, Graph, Literal, NodeKind, Op, OrderKey, Primitive as _,
    Provenance, Role, Shape, TensorType, TypeError, Value, ops,
};

/// Adds nodes to a graph.
///
/// Elementwise methods broadcast their operands as NumPy does; every other operator takes its
/// operands as they are.
pub struct Builder<'g> {
    graph: &'g mut Graph,
    provenance: Provenance,
    near: Option<OrderKey>,
}

impl<'g> Builder<'g> {
    /// A builder that adds at the end, without provenance.
    pub fn new(graph: &'g mut Graph) -> Builder<'g> {
        Builder { graph, provenance: Provenance::default(), near: None }
    }

    /// A builder whose nodes come from `provenance`.
    pub fn with_provenance(graph: &'g mut Graph, provenance: Provenance) -> Builder<'g> {
        Builder { graph, provenance, near: None }
    }

    /// A builder that adds in place of a node: with its provenance and print position.
    pub fn in_place_of(graph: &'g mut Graph, node: crate::NodeId) -> Builder<'g> {
        let (provenance, near) = (graph.node(node).provenance.clone(), graph.order_of(node));
        Builder { graph, provenance, near: Some(near) }
    }

    /// Sets the provenance of the nodes that follow.
    pub fn set_provenance(&mut self, provenance: Provenance) {
        self.provenance = provenance;
    }

    /// Sets the print position of the nodes that follow.
    pub fn set_near(&mut self, near: Option<OrderKey>) {
        self.near = near;
    }

    /// The graph built.
    pub fn graph(&self) -> &Graph {
        self.graph
    }

    /// The graph built, for changes the builder does not offer.
    pub fn graph_mut(&mut self) -> &mut Graph {
        self.graph
    }

    /// The type of a value.
    pub fn ty(&self, value: Value) -> &TensorType {
        self.graph.ty(value)
    }

    /// The shape of a value.
    pub fn shape(&self, value: Value) -> Shape {
        self.graph.ty(value).shape.clone()
    }

    /// Applies an operator.
    ///
    /// # Errors
    /// When the operands do not fit; nothing is added then.
    pub fn op(&mut self, op: impl Into<Op>, operands: &[Value]) -> Result<Vec<Value>, TypeError> {
        let op = op.into();
        let types: Vec<TensorType> = operands.iter().map(|v| self.ty(*v).clone()).collect();
        let types = op.infer(&types)?;
        let from = self.provenance.clone();
        let id = self.graph.add(NodeKind::Op(op), operands, types, from, self.near);
        Ok(self.graph.values(id).collect())
    }

    /// Applies an operator with one result.
    ///
    /// # Errors
    /// When the operands do not fit.
    pub fn op1(&mut self, op: impl Into<Op>, operands: &[Value]) -> Result<Value, TypeError> {
        Ok(self.op(op, operands)?[0])
    }

    /// Builds what an operator stands for: itself for a primitive, its parts for a composite.
    ///
    /// # Errors
    /// When the operands do not fit.
    pub fn decomposed(&mut self, op: &Op, operands: &[Value]) -> Result<Vec<Value>, TypeError> {
        match op.role() {
            Role::Primitive(_) => self.op(op.clone(), operands),
            Role::Composite(composite) => composite.decompose(self, operands),
        }
    }

    /// A constant tensor.
    pub fn constant(&mut self, tensor: Tensor) -> Value {
        let ty = TensorType::new(tensor.dtype(), tensor.shape());
        let data = ConstantData::Dense(tensor);
        self.add_constant(Constant { parameter: None, data }, ty)
    }

    /// A parameter: a constant with a name.
    pub fn parameter(&mut self, name: &str, tensor: Tensor) -> Value {
        let ty = TensorType::new(tensor.dtype(), tensor.shape());
        let data = ConstantData::Dense(tensor);
        self.add_constant(Constant { parameter: Some(name.into()), data }, ty)
    }

    /// A constant whose elements are all the same.
    pub fn splat(&mut self, scalar: Scalar, shape: impl Into<Shape>) -> Value {
        let ty = TensorType::new(scalar.dtype(), shape);
        self.add_constant(Constant { parameter: None, data: ConstantData::Splat(scalar) }, ty)
    }

    /// A constant of the type of another value, whose elements are all `value`.
    pub fn splat_like(&mut self, like: Value, value: f64) -> Value {
        let ty = self.ty(like).clone();
        self.splat(Literal::Real(value).to_scalar(ty.dtype), ty.shape)
    }

    fn add_constant(&mut self, constant: Constant, ty: TensorType) -> Value {
        let name = constant.parameter.clone();
        let (from, kind) = (self.provenance.clone(), NodeKind::Constant(constant));
        let node = self.graph.add(kind, &[], vec![ty], from, self.near);
        if let Some(name) = name {
            self.graph.set_names(node, [&*name]);
        }
        Value { node, result: 0 }
    }

    /// Names a value in text form.
    pub fn name(&mut self, value: Value, name: &str) -> Value {
        let mut names = self.graph.node(value.node).names.clone();
        names.resize(self.graph.node(value.node).types.len(), Arc::from(""));
        names[value.result as usize] = name.into();
        self.graph.set_names(value.node, names);
        value
    }

    /// Repeats a value along new and size-1 axes, aligned at the last axis as NumPy does.
    ///
    /// # Errors
    /// When the shapes do not fit.
    pub fn broadcast_to(&mut self, x: Value, shape: &Shape) -> Result<Value, TypeError> {
        if self.ty(x).shape == *shape {
            return Ok(x);
        }
        if let (Some(scalar), true) = (self.graph.splat(x), self.ty(x).rank() <= shape.rank()) {
            let check = Broadcast::trailing(self.ty(x), shape)?;
            check.infer(&[self.ty(x).clone()])?;
            return Ok(self.splat(scalar, shape.clone()));
        }
        let op = Broadcast::trailing(self.ty(x), shape)?;
        self.op1(op, &[x])
    }

    /// Broadcasts values to one shape.
    ///
    /// # Errors
    /// When two extents differ and neither is 1.
    pub fn broadcast_together(&mut self, values: &[Value]) -> Result<Vec<Value>, TypeError> {
        let shapes: Vec<Shape> = values.iter().map(|v| self.shape(*v)).collect();
        let shape = ops::broadcast_shapes(&shapes)?;
        values.iter().map(|v| self.broadcast_to(*v, &shape)).collect()
    }

    /// Applies an elementwise operator after broadcasting.
    ///
    /// # Errors
    /// When shapes or dtypes do not fit.
    pub fn map(&mut self, op: impl Into<Op>, operands: &[Value]) -> Result<Value, TypeError> {
        let operands = self.broadcast_together(operands)?;
        self.op1(op, &operands)
    }

    /// Applies an elementwise operator to a value and a number of its dtype.
    ///
    /// # Errors
    /// When the dtype does not fit.
    pub fn map_scalar(
        &mut self,
        op: impl Into<Op>,
        x: Value,
        scalar: f64,
    ) -> Result<Value, TypeError> {
        let scalar = self.splat_like(x, scalar);
        self.op1(op, &[x, scalar])
    }

    /// Casts to a dtype; nothing is added where it is that already.
    ///
    /// # Errors
    /// Never for a well-formed value.
    pub fn cast(&mut self, x: Value, to: DType) -> Result<Value, TypeError> {
        if self.ty(x).dtype == to {
            return Ok(x);
        }
        self.op1(ops::Cast { to }, &[x])
    }
}

macro_rules! elementwise_methods {
    ($($(#[$doc:meta])* $method:ident($($x:ident),*) = $op:ident;)*) => {
        impl Builder<'_> { $(
            $(#[$doc])*
            ///
            /// # Errors
            /// When shapes do not broadcast or dtypes do not fit.
            pub fn $method(&mut self, $($x: Value),*) -> Result<Value, TypeError> {
                self.map(ops::$op {}, &[$($x),*])
            }
        )* }
    };
}

elementwise_methods! {
    /// `−x`.
    neg(x) = Neg;
    /// `|x|`.
    abs(x) = Abs;
    /// −1, 0 or 1.
    sign(x) = Sign;
    /// The largest integer not above `x`.
    floor(x) = Floor;
    /// The smallest integer not below `x`.
    ceil(x) = Ceil;
    /// The nearest integer, ties to even.
    round(x) = Round;
    /// The integer part.
    trunc(x) = Trunc;
    /// `eˣ`.
    exp(x) = Exp;
    /// The natural logarithm.
    log(x) = Log;
    /// `√x`.
    sqrt(x) = Sqrt;
    /// The sine of radians.
    sin(x) = Sin;
    /// The cosine of radians.
    cos(x) = Cos;
    /// The hyperbolic tangent.
    tanh(x) = Tanh;
    /// The error function.
    erf(x) = Erf;
    /// Every bit complemented; logical negation of a bool.
    not(x) = Not;
    /// Whether `x` is NaN.
    is_nan(x) = IsNan;
    /// `x + y`.
    add(x, y) = Add;
    /// `x − y`.
    sub(x, y) = Sub;
    /// `x · y`.
    mul(x, y) = Mul;
    /// `x / y`.
    div(x, y) = Div;
    /// The remainder of truncating division.
    rem(x, y) = Rem;
    /// `xʸ`.
    pow(x, y) = Pow;
    /// The larger.
    max(x, y) = Max;
    /// The smaller.
    min(x, y) = Min;
    /// Bitwise and.
    and(x, y) = And;
    /// Bitwise or.
    or(x, y) = Or;
    /// Bitwise exclusive or.
    xor(x, y) = Xor;
    /// Whether `x = y`.
    eq(x, y) = Eq;
    /// Whether `x ≠ y`.
    ne(x, y) = Ne;
    /// Whether `x < y`.
    lt(x, y) = Lt;
    /// Whether `x ≤ y`.
    le(x, y) = Le;
    /// Whether `x > y`.
    gt(x, y) = Gt;
    /// Whether `x ≥ y`.
    ge(x, y) = Ge;
    /// `x · y + z`, rounded once.
    fma(x, y, z) = Fma;
    /// `a` where the condition holds, else `b`.
    select(condition, a, b) = Select;
}
