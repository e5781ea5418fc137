//! The structure of every node, and which movements leave the elements in place.

use rustc_hash::{FxHashMap, FxHashSet};
use tracelift_ir::{Fold, Graph, Movement, NodeId, NodeKind, Role, Structure, Value};
use tracelift_scalar::{ExprNode, Guard, IndexExpr, IndexTerm, delinearise, linearise};

use super::LowerError;

/// What lowering knows of the nodes of a graph.
pub(crate) struct Analysis {
    structures: FxHashMap<NodeId, Structure>,
    aliases: FxHashSet<NodeId>,
}

impl Analysis {
    pub(crate) fn of(graph: &Graph) -> Result<Analysis, LowerError> {
        let mut structures = FxHashMap::default();
        let mut aliases = FxHashSet::default();
        for id in graph.topological_order() {
            let NodeKind::Op(op) = &graph.node(id).kind else { continue };
            let no_kernel = || LowerError::NoKernel {
                op: op.syntax().name().to_string(),
                place: graph.node(id).provenance.to_string(),
            };
            let Role::Primitive(primitive) = op.role() else { return Err(no_kernel()) };
            let structure = primitive.structure(&graph.operand_types(id));
            match &structure {
                Structure::Opaque(_) => return Err(no_kernel()),
                Structure::Move(movement) if keeps_order(graph, id, movement) => {
                    aliases.insert(id);
                }
                _ => {}
            }
            structures.insert(id, structure);
        }
        Ok(Analysis { structures, aliases })
    }

    pub(crate) fn structure(&self, id: NodeId) -> &Structure {
        &self.structures[&id]
    }

    /// Whether the node is a movement whose result has the operand's elements in the same order.
    pub(crate) fn is_alias(&self, id: NodeId) -> bool {
        self.aliases.contains(&id)
    }

    /// Whether a node computes each element of its result from elements at known places, so that
    /// it can be computed anywhere.
    pub(crate) fn is_pointwise(&self, id: NodeId) -> bool {
        matches!(
            self.structures.get(&id),
            Some(Structure::Map(_) | Structure::Move(_) | Structure::Gather(_))
        )
    }

    /// The operands of a concatenation with axis and start; empty for anything else.
    pub(crate) fn parts(&self, graph: &Graph, value: Value) -> Vec<(Value, usize, i64)> {
        let Some(Structure::Move(movement)) = self.structures.get(&value.node) else {
            return Vec::new();
        };
        let operands = graph.operands(value.node);
        let dims = graph.ty(value).extents();
        let mut parts = Vec::new();
        let mut covered = 0;
        for piece in &movement.pieces {
            let operand = operands[piece.read.operand];
            let extents = graph.ty(operand).extents();
            let moved =
                |(k, e): (usize, &IndexExpr)| (*e != IndexExpr::axis(k)).then(|| (k, e.clone()));
            let moved: Vec<_> = piece.read.index.iter().enumerate().filter_map(moved).collect();
            let (axis, start) = match moved.as_slice() {
                [] => (None, 0),
                [(axis, e)] => {
                    let shifted = IndexExpr::axis(*axis).offset(e.constant) == *e;
                    if !shifted {
                        return Vec::new();
                    }
                    (Some(*axis), -e.constant)
                }
                _ => return Vec::new(),
            };
            let [Guard { expr, extent }] = piece.guards.as_slice() else { return Vec::new() };
            let Some(axis) = axis.or_else(|| (0..extents.len()).find(|&a| expr.mentions(a))) else {
                return Vec::new();
            };
            let own =
                *expr == IndexExpr::axis(axis).offset(-start) && *extent == extents[axis] as i64;
            // A negative pad leaves elements out.
            let is_whole = start >= 0 && start + *extent <= dims[axis] as i64;
            if !own || !is_whole {
                return Vec::new();
            }
            covered += extents.iter().product::<usize>();
            parts.push((operand, axis, start));
        }
        if covered == dims.iter().product::<usize>() { parts } else { Vec::new() }
    }

    /// The number of scalar operations of a pointwise node, expensive ones counting tenfold.
    pub(crate) fn cost(&self, id: NodeId) -> usize {
        match self.structure(id) {
            Structure::Map(expr) => expr
                .nodes()
                .iter()
                .map(|node| match node {
                    ExprNode::Apply(op, _) if op.is_expensive() => 10,
                    ExprNode::Apply(..) => 1,
                    _ => 0,
                })
                .sum(),
            Structure::Move(movement) => {
                movement.pieces.iter().map(|p| p.guards.len()).sum::<usize>()
                    + 2 * movement.pieces.len().saturating_sub(1)
            }
            Structure::Gather(_) => 6,
            _ => usize::MAX,
        }
    }

    /// Whether a fold's operand is a view of overlapping windows: its neighbours share elements, so
    /// that rows are no unit of work.
    pub(crate) fn reads_windows(&self, graph: &Graph, id: NodeId) -> bool {
        let slides = |e: &IndexExpr| {
            e.terms.iter().filter(|(term, _)| matches!(term, IndexTerm::Axis(_))).count() > 1
        };
        graph.operands(id).first().is_some_and(|operand| {
            let moves = matches!(
                self.structures.get(&operand.node),
                Some(Structure::Move(Movement { pieces, .. }))
                    if pieces.len() == 1 && pieces[0].read.index.iter().any(slides)
            );
            moves && !self.is_alias(operand.node)
        })
    }

    /// Whether a node only renames indices: one piece, no conditions.
    pub(crate) fn is_plain_move(&self, id: NodeId) -> bool {
        matches!(
            self.structures.get(&id),
            Some(Structure::Move(Movement { pieces, .. }))
                if pieces.len() == 1 && pieces[0].guards.is_empty()
        )
    }
}

fn keeps_order(graph: &Graph, id: NodeId, movement: &Movement) -> bool {
    let [piece] = movement.pieces.as_slice() else { return false };
    if !piece.guards.is_empty() {
        return false;
    }
    let result = graph.node(id).types[0].extents();
    let operand = graph.ty(graph.operands(id)[piece.read.operand]).extents();
    if result.iter().product::<usize>() != operand.iter().product::<usize>() {
        return false;
    }
    let axes: Vec<IndexExpr> = (0..result.len()).map(IndexExpr::axis).collect();
    let to = linearise(&axes, &result).simplify(&result);
    linearise(&piece.read.index, &operand).simplify(&result) == to
}

/// Rows of equal length that a row kernel handles one at a time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RowGeometry {
    /// The number of rows.
    pub n_rows: usize,
    /// The elements of a row.
    pub row_len: usize,
}

/// How a value relates to a row geometry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum RowKind {
    /// One element per element of a row.
    Row,
    /// One element per row.
    Outer,
}

impl RowGeometry {
    /// The geometry of a reduction over the last axes, where it has rows worth a kernel of theirs.
    pub(crate) fn of(graph: &Graph, id: NodeId, fold: &Fold) -> Option<RowGeometry> {
        let [read] = fold.reads.as_slice() else { return None };
        let trailing = read.index.iter().enumerate().all(|(k, e)| *e == IndexExpr::axis(k));
        let n_rows = graph.node(id).types[0].extents().iter().product();
        let row_len = fold.domain.iter().product();
        (trailing && n_rows > 0 && row_len >= 2).then_some(RowGeometry { n_rows, row_len })
    }

    /// How a value relates to the rows, judged by its number of elements.
    pub(crate) fn kind(&self, graph: &Graph, value: Value) -> Option<RowKind> {
        let count: usize = graph.ty(value).extents().iter().product();
        if count == self.n_rows * self.row_len {
            Some(RowKind::Row)
        } else if count == self.n_rows {
            Some(RowKind::Outer)
        } else {
            None
        }
    }

    /// Whether a movement maps rows to rows: element `(o, j)` or `(o)` to the same.
    pub(crate) fn admits_move(&self, graph: &Graph, id: NodeId, movement: &Movement) -> bool {
        let [piece] = movement.pieces.as_slice() else { return false };
        let operand = graph.operands(id)[piece.read.operand];
        let result = Value { node: id, result: 0 };
        let (Some(from), Some(to)) = (self.kind(graph, operand), self.kind(graph, result)) else {
            return false;
        };
        if !piece.guards.is_empty() || (from, to) == (RowKind::Row, RowKind::Outer) {
            return false;
        }
        let axes = [self.n_rows, self.row_len];
        let index = delinearise(&self.position(to), &graph.ty(result).extents(), &axes);
        let at: Vec<IndexExpr> =
            piece.read.index.iter().map(|e| e.substitute(&|a| index[a].clone(), &axes)).collect();
        linearise(&at, &graph.ty(operand).extents()).simplify(&axes) == self.position(from)
    }

    /// The row-major position of the element at row axis 0, column axis 1.
    fn position(&self, kind: RowKind) -> IndexExpr {
        match kind {
            RowKind::Row => IndexExpr::axis(0).scale(self.row_len as i64).add(&IndexExpr::axis(1)),
            RowKind::Outer => IndexExpr::axis(0),
        }
    }
}
