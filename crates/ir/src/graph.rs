//! The graph: nodes over values, in static single assignment.
//!
//! Storage is a petgraph `StableDiGraph`; this is the only file that names it. petgraph reuses the
//! indices of removed nodes, so nodes carry an order key of their own: printing and every traversal
//! go by topological order with ties broken by that key, which makes them deterministic.

use std::{
    cmp::Reverse,
    collections::{BTreeSet, BinaryHeap},
    sync::Arc,
};

use petgraph::{
    Direction,
    stable_graph::{NodeIndex, StableDiGraph},
    visit::EdgeRef,
};
use tracelift_tensor::{Bindings, Scalar, Tensor};

use crate::{Op, OpKind, Provenance, TensorType};

/// A node of a graph; valid until the node is removed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct NodeId(NodeIndex);

impl NodeId {
    /// A small number, unique among the graph's present nodes.
    pub fn index(self) -> usize {
        self.0.index()
    }
}

/// One result of a node.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Value {
    /// The node that computes it.
    pub node: NodeId,
    /// Which of its results it is, from 0.
    pub result: u32,
}

/// The position of a node in print order: a major key, then the order of insertion.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct OrderKey(u64, u64);

/// What a node is.
#[derive(Clone, PartialEq, Debug)]
pub enum NodeKind {
    /// An input of the graph.
    Input,
    /// A value known at compile time.
    Constant(Constant),
    /// An operator applied to values.
    Op(Op),
}

/// A value known at compile time.
#[derive(Clone, PartialEq, Debug)]
pub struct Constant {
    /// The name of the parameter (weight) it is; `None` for other constants.
    pub parameter: Option<Arc<str>>,
    /// Its elements.
    pub data: ConstantData,
}

/// The elements of a constant.
#[derive(Clone, PartialEq, Debug)]
pub enum ConstantData {
    /// Every element is this number; the node's type gives the shape, which may be symbolic.
    Splat(Scalar),
    /// The elements in full.
    Dense(Tensor),
}

/// A node with all that is known of it.
#[derive(Clone, PartialEq, Debug)]
pub struct Node {
    /// What it is.
    pub kind: NodeKind,
    /// The types of its results.
    pub types: Vec<TensorType>,
    /// The names of its results in text form; notation only, empty where there is none.
    pub names: Vec<Arc<str>>,
    /// Where it came from.
    pub provenance: Provenance,
    order: OrderKey,
}

#[derive(Clone, Copy, Debug)]
struct Use {
    operand: u32,
    result: u32,
}

/// A named value that a graph returns.
#[derive(Clone, PartialEq, Debug)]
pub struct GraphResult {
    /// The name outside the graph; empty where there is none.
    pub name: Arc<str>,
    /// The value.
    pub value: Value,
}

/// A static graph: inputs, nodes, results.
#[derive(Clone, Debug, Default)]
pub struct Graph {
    name: String,
    store: StableDiGraph<Node, Use>,
    inputs: Vec<NodeId>,
    results: Vec<GraphResult>,
    next: u64,
}

impl Graph {
    /// An empty graph.
    pub fn new(name: &str) -> Graph {
        Graph { name: name.to_string(), ..Graph::default() }
    }

    /// The name, without `@`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Renames the graph.
    pub fn set_name(&mut self, name: &str) {
        self.name = name.to_string();
    }

    /// The inputs in order.
    pub fn inputs(&self) -> impl ExactSizeIterator<Item = Value> + '_ {
        self.inputs.iter().map(|&node| Value { node, result: 0 })
    }

    /// The results in order.
    pub fn results(&self) -> &[GraphResult] {
        &self.results
    }

    /// Adds a result.
    pub fn add_result(&mut self, name: &str, value: Value) {
        self.results.push(GraphResult { name: name.into(), value });
    }

    /// Adds an input.
    pub fn add_input(&mut self, name: &str, ty: TensorType) -> Value {
        let provenance = Provenance::at(name, "");
        let node = self.add(NodeKind::Input, &[], vec![ty], provenance, None);
        self.set_names(node, [name]);
        self.inputs.push(node);
        Value { node, result: 0 }
    }

    /// Adds a constant; a parameter where it has a name.
    pub fn add_constant(&mut self, constant: Constant, ty: TensorType, from: Provenance) -> Value {
        let name = constant.parameter.clone();
        let node = self.add(NodeKind::Constant(constant), &[], vec![ty], from, None);
        if let Some(name) = name {
            self.set_names(node, [&*name]);
        }
        Value { node, result: 0 }
    }

    /// Adds a node; the caller has checked that operands and types fit.
    ///
    /// `near` places it in print order just before that node; otherwise it comes last.
    pub fn add(
        &mut self,
        kind: NodeKind,
        operands: &[Value],
        types: Vec<TensorType>,
        provenance: Provenance,
        near: Option<OrderKey>,
    ) -> NodeId {
        self.next += 1;
        let order = OrderKey(near.map_or(self.next, |key| key.0), self.next);
        let names = Vec::new();
        let id = NodeId(self.store.add_node(Node { kind, types, names, provenance, order }));
        for (k, value) in operands.iter().enumerate() {
            let edge = Use { operand: k as u32, result: value.result };
            self.store.add_edge(value.node.0, id.0, edge);
        }
        id
    }

    /// The node.
    ///
    /// # Panics
    /// When it has been removed.
    pub fn node(&self, id: NodeId) -> &Node {
        &self.store[id.0]
    }

    /// Whether the node is still there.
    pub fn contains(&self, id: NodeId) -> bool {
        self.store.contains_node(id.0)
    }

    /// The number of nodes.
    pub fn node_count(&self) -> usize {
        self.store.node_count()
    }

    /// The number of nodes ever added, removed ones included.
    pub fn added_count(&self) -> u64 {
        self.next
    }

    /// Which of the nodes ever added this one is, from 1; it exceeds every [`Graph::added_count`]
    /// taken before the node was.
    pub fn added_as(&self, id: NodeId) -> u64 {
        self.node(id).order.1
    }

    /// The position of a node in print order, for placing others near it.
    pub fn order_of(&self, id: NodeId) -> OrderKey {
        self.node(id).order
    }

    /// Sets the names of a node's results; they are notation only.
    pub fn set_names<N: AsRef<str>>(&mut self, id: NodeId, names: impl IntoIterator<Item = N>) {
        self.store[id.0].names = names.into_iter().map(|n| n.as_ref().into()).collect();
    }

    /// Adds the sources of other nodes to a node's own.
    pub fn add_provenance(&mut self, id: NodeId, from: &Provenance) {
        self.store[id.0].provenance.merge(from);
    }

    /// The operator of a node; `None` for inputs and constants.
    pub fn op(&self, id: NodeId) -> Option<&Op> {
        match &self.node(id).kind {
            NodeKind::Op(op) => Some(op),
            _ => None,
        }
    }

    /// The operator of a node, where it is of one kind.
    pub fn op_as<K: OpKind>(&self, id: NodeId) -> Option<&K> {
        self.op(id).and_then(K::of)
    }

    /// The constant a value is, if it is one.
    pub fn constant(&self, value: Value) -> Option<&Constant> {
        match &self.node(value.node).kind {
            NodeKind::Constant(constant) => Some(constant),
            _ => None,
        }
    }

    /// The number a constant repeats, where it does.
    pub fn splat(&self, value: Value) -> Option<Scalar> {
        match &self.constant(value)?.data {
            ConstantData::Splat(scalar) => Some(*scalar),
            ConstantData::Dense(tensor) if tensor.count() == 1 => Some(tensor.get(0)),
            ConstantData::Dense(_) => None,
        }
    }

    /// The elements of a constant of known extents.
    pub fn constant_tensor(&self, value: Value) -> Option<Tensor> {
        match &self.constant(value)?.data {
            ConstantData::Dense(tensor) => Some(tensor.clone()),
            ConstantData::Splat(scalar) => {
                Some(Tensor::splat(*scalar, &self.ty(value).shape.as_consts()?))
            }
        }
    }

    /// The type of a value.
    pub fn ty(&self, value: Value) -> &TensorType {
        &self.node(value.node).types[value.result as usize]
    }

    /// The operands of a node in order.
    pub fn operands(&self, id: NodeId) -> Vec<Value> {
        self.operand_slots(id).into_iter().map(|(_, value)| value).collect()
    }

    /// The operands of a node with their positions, in order of these; for checking that each
    /// position occurs once.
    pub fn operand_slots(&self, id: NodeId) -> Vec<(u32, Value)> {
        let edges = self.store.edges_directed(id.0, Direction::Incoming);
        let slot = |e: petgraph::stable_graph::EdgeReference<'_, Use>| {
            let value = Value { node: NodeId(e.source()), result: e.weight().result };
            (e.weight().operand, value)
        };
        let mut slots: Vec<(u32, Value)> = edges.map(slot).collect();
        slots.sort_by_key(|(k, _)| *k);
        slots
    }

    /// Every node, those on cycles included, in print order of their keys.
    pub fn nodes(&self) -> Vec<NodeId> {
        let mut nodes: Vec<NodeId> = self.store.node_indices().map(NodeId).collect();
        nodes.sort_by_key(|id| self.node(*id).order);
        nodes
    }

    /// The types of a node's operands in order.
    pub fn operand_types(&self, id: NodeId) -> Vec<TensorType> {
        self.operands(id).into_iter().map(|v| self.ty(v).clone()).collect()
    }

    /// All results of a node.
    pub fn values(&self, id: NodeId) -> impl Iterator<Item = Value> + use<> {
        (0..self.node(id).types.len() as u32).map(move |result| Value { node: id, result })
    }

    /// The nodes that use a value with the operand positions, in print order.
    pub fn users(&self, value: Value) -> Vec<(NodeId, usize)> {
        let mut users: Vec<(NodeId, usize)> = self
            .store
            .edges_directed(value.node.0, Direction::Outgoing)
            .filter(|e| e.weight().result == value.result)
            .map(|e| (NodeId(e.target()), e.weight().operand as usize))
            .collect();
        users.sort_by_key(|(id, k)| (self.node(*id).order, *k));
        users
    }

    /// The number of times a value is used, as an operand or a result of the graph.
    pub fn use_count(&self, value: Value) -> usize {
        let as_result = self.results.iter().filter(|r| r.value == value).count();
        as_result
            + self
                .store
                .edges_directed(value.node.0, Direction::Outgoing)
                .filter(|e| e.weight().result == value.result)
                .count()
    }

    /// Makes every user of `old`, and every result of the graph that is `old`, use `new`.
    ///
    /// The nodes in between keep their operands when `new` itself depends on `old` only through
    /// nodes listed in `except`.
    pub fn replace_uses(&mut self, old: Value, new: Value, except: &[NodeId]) {
        let edges: Vec<_> = self
            .store
            .edges_directed(old.node.0, Direction::Outgoing)
            .filter(|e| e.weight().result == old.result && !except.contains(&NodeId(e.target())))
            .map(|e| (e.id(), e.target(), e.weight().operand))
            .collect();
        for (edge, target, operand) in edges {
            self.store.remove_edge(edge);
            self.store.add_edge(new.node.0, target, Use { operand, result: new.result });
        }
        for result in &mut self.results {
            if result.value == old {
                result.value = new;
            }
        }
    }

    /// Replaces one operand of a node.
    pub fn set_operand(&mut self, id: NodeId, operand: usize, value: Value) {
        let edge = self
            .store
            .edges_directed(id.0, Direction::Incoming)
            .find(|e| e.weight().operand as usize == operand)
            .map(|e| e.id());
        if let Some(edge) = edge {
            self.store.remove_edge(edge);
        }
        let weight = Use { operand: operand as u32, result: value.result };
        self.store.add_edge(value.node.0, id.0, weight);
    }

    /// The nodes in topological order, ties broken by print order; nodes on a cycle are left out.
    pub fn topological_order(&self) -> Vec<NodeId> {
        let mut waiting: Vec<u32> =
            vec![0; self.store.node_indices().map(|n| n.index() + 1).max().unwrap_or(0)];
        let mut ready = BinaryHeap::new();
        for n in self.store.node_indices() {
            let degree = self.store.edges_directed(n, Direction::Incoming).count() as u32;
            waiting[n.index()] = degree;
            if degree == 0 {
                ready.push(Reverse((self.store[n].order, n)));
            }
        }
        let mut order = Vec::with_capacity(self.store.node_count());
        while let Some(Reverse((_, n))) = ready.pop() {
            order.push(NodeId(n));
            for e in self.store.edges_directed(n, Direction::Outgoing) {
                let left = &mut waiting[e.target().index()];
                *left -= 1;
                if *left == 0 {
                    ready.push(Reverse((self.store[e.target()].order, e.target())));
                }
            }
        }
        order
    }

    /// Removes every node that no result needs, inputs excepted; returns how many.
    pub fn remove_dead(&mut self) -> usize {
        let mut live: BTreeSet<NodeId> = self.inputs.iter().copied().collect();
        let mut stack: Vec<NodeId> = self.results.iter().map(|r| r.value.node).collect();
        while let Some(id) = stack.pop() {
            if live.insert(id) || self.inputs.contains(&id) {
                stack.extend(self.store.neighbors_directed(id.0, Direction::Incoming).map(NodeId));
            }
        }
        let before = self.store.node_count();
        self.store.retain_nodes(|_, n| live.contains(&NodeId(n)));
        before - self.store.node_count()
    }

    /// Removes a node that nothing uses, then those it alone used, inputs excepted; returns them,
    /// users before operands. A node in use is left alone.
    pub fn remove_unused(&mut self, id: NodeId) -> Vec<Node> {
        let mut removed = Vec::new();
        let mut stack = vec![id];
        while let Some(id) = stack.pop() {
            let used = !self.contains(id)
                || matches!(self.node(id).kind, NodeKind::Input)
                || self.store.edges_directed(id.0, Direction::Outgoing).next().is_some()
                || self.results.iter().any(|r| r.value.node == id);
            if !used {
                stack.extend(self.operands(id).into_iter().map(|v| v.node));
                removed.extend(self.store.remove_node(id.0));
            }
        }
        removed
    }

    /// Every symbol that occurs in a type of the graph.
    pub fn symbols(&self) -> BTreeSet<Arc<str>> {
        let mut out = BTreeSet::new();
        for node in self.store.node_weights() {
            let dims = node.types.iter().flat_map(|ty| ty.shape.iter());
            dims.for_each(|d| d.collect_symbols(&mut out));
        }
        out
    }

    /// The graph with symbols replaced by their values, in types and attributes.
    ///
    /// # Errors
    /// When an operator's types no longer fit.
    pub fn bind(&self, bindings: &Bindings) -> Result<Graph, crate::TypeError> {
        crate::rebuild(self, &mut |node, b, operands| match &node.kind {
            NodeKind::Op(op) => b.op(op.bind(bindings), operands),
            NodeKind::Constant(constant) => {
                let ty = &node.types[0];
                let ty = ty.with_shape(ty.shape.bind(bindings));
                let from = node.provenance.clone();
                Ok(vec![b.graph_mut().add_constant(constant.clone(), ty, from)])
            }
            NodeKind::Input => {
                let ty = &node.types[0];
                let ty = ty.with_shape(ty.shape.bind(bindings));
                Ok(vec![b.graph_mut().add_input(&node.names[0], ty)])
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Builder;
    use tracelift_tensor::DType;

    #[test]
    fn order_survives_removal_and_reuse_of_indices() {
        let mut g = Graph::new("g");
        let x = g.add_input("x", TensorType::new(DType::F32, [2]));
        let mut b = Builder::new(&mut g);
        let dead = b.neg(x).unwrap();
        let a = b.exp(x).unwrap();
        g.add_result("", a);
        assert_eq!(g.remove_dead(), 1);
        assert!(!g.contains(dead.node));
        let c = Builder::new(&mut g).neg(a).unwrap();
        g.replace_uses(a, c, &[c.node]);
        assert_eq!(g.topological_order(), [x.node, a.node, c.node]);
        assert_eq!(g.results()[0].value, c);
        assert_eq!(g.users(a), [(c.node, 0)]);
    }

    #[test]
    fn unused_nodes_take_their_operands_along() {
        let mut g = Graph::new("g");
        let x = g.add_input("x", TensorType::new(DType::F32, [2]));
        let mut b = Builder::new(&mut g);
        let shared = b.exp(x).unwrap();
        let only = b.neg(shared).unwrap();
        let end = b.add(only, only).unwrap();
        g.add_result("", shared);
        assert!(g.remove_unused(only.node).is_empty());
        assert_eq!(g.remove_unused(end.node).len(), 2);
        assert_eq!(g.topological_order(), [x.node, shared.node]);
    }
}
