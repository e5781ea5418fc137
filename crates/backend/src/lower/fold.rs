//! Folds: the iteration space, and the general kernel, vectorised along the result's last axis.

use tracelift_ir::{Fold, FoldKind, NodeId, Structure, Value};
use tracelift_loops::{AxisId, Stmt, Tile, ValueId};
use tracelift_scalar::{Expr, ExprNode, Guard, IndexExpr, Op};
use tracelift_tensor::DType;

use super::{
    Group, KernelBuilder, Lowering, StorageId,
    pointwise::index_position,
    resolve::MemoryRead,
    row::fold_op,
    tile_builder::{Binding, TileBuilder},
};

/// The columns of a tile, in vectors.
const TILE_VECTORS: usize = 4;

/// An operand of a fold.
#[derive(Clone)]
pub(super) enum FoldRead {
    /// An element of a value.
    Value(Value, Vec<IndexExpr>),
    /// An element of memory, by position.
    Memory(MemoryRead),
}

impl FoldRead {
    fn exprs(&mut self) -> &mut [IndexExpr] {
        match self {
            FoldRead::Value(_, index) => index,
            FoldRead::Memory(read) => std::slice::from_mut(&mut read.position),
        }
    }
}

/// A fold over axes of its own: first those that make up the result's index, then the folded ones.
#[derive(Clone)]
pub(super) struct FoldSpace {
    pub(super) extents: Vec<usize>,
    /// How many of the axes belong to the result.
    pub(super) n_result: usize,
    /// The result's index.
    pub(super) index: Vec<IndexExpr>,
    /// The operands read.
    pub(super) reads: Vec<FoldRead>,
    /// Conditions for read 0.
    pub(super) guards: Vec<Guard>,
    pub(super) term: Expr,
    pub(super) kind: FoldKind,
}

impl FoldSpace {
    fn new(result: &[usize], operands: &[Value], fold: &Fold) -> FoldSpace {
        let mut space = FoldSpace {
            extents: [result, &fold.domain].concat(),
            n_result: result.len(),
            index: (0..result.len()).map(IndexExpr::axis).collect(),
            reads: fold
                .reads
                .iter()
                .map(|r| FoldRead::Value(operands[r.operand], r.index.clone()))
                .collect(),
            guards: fold.guards.clone(),
            term: fold.term.clone(),
            kind: fold.kind,
        };
        space.split_groups();
        space
    }

    /// Rewrites everything for new axes; `old` gives each old axis over the new ones.
    pub(super) fn reshape(&mut self, extents: Vec<usize>, n_result: usize, old: &[IndexExpr]) {
        let change = |e: &mut IndexExpr| {
            *e = e.substitute(&|a| old[a].clone(), &extents);
        };
        self.index.iter_mut().for_each(change);
        self.reads.iter_mut().flat_map(FoldRead::exprs).for_each(change);
        self.guards.iter_mut().for_each(|g| change(&mut g.expr));
        self.extents = extents;
        self.n_result = n_result;
    }

    /// Splits the axis of a grouped convolution's output channels into group and channel, so that
    /// the input's channel no longer divides.
    fn split_groups(&mut self) {
        let divided = self.reads.iter_mut().flat_map(FoldRead::exprs).find_map(|e| {
            e.terms.iter().find_map(|(term, _)| match term {
                tracelift_scalar::IndexTerm::Div(inner, by) => {
                    let axis = (0..self.n_result).find(|&a| **inner == IndexExpr::axis(a))?;
                    self.extents[axis].is_multiple_of(*by as usize).then_some((axis, *by as usize))
                }
                _ => None,
            })
        });
        if let Some((axis, by)) = divided {
            self.split(axis, by);
        }
    }

    /// Splits an axis into one that counts blocks of `by` and one inside a block.
    pub(super) fn split(&mut self, axis: usize, by: usize) {
        let mut extents = self.extents.clone();
        extents[axis] /= by;
        extents.insert(axis + 1, by);
        let old: Vec<IndexExpr> = (0..self.extents.len())
            .map(|a| match a.cmp(&axis) {
                std::cmp::Ordering::Less => IndexExpr::axis(a),
                std::cmp::Ordering::Equal => {
                    IndexExpr::axis(a).scale(by as i64).add(&IndexExpr::axis(a + 1))
                }
                std::cmp::Ordering::Greater => IndexExpr::axis(a + 1),
            })
            .collect();
        let n_result = self.n_result + usize::from(axis < self.n_result);
        self.reshape(extents, n_result, &old);
    }

    /// Takes axis `a` and the next one together.
    pub(super) fn merge(&mut self, a: usize) {
        let mut extents = self.extents.clone();
        let inner = extents.remove(a + 1);
        extents[a] *= inner;
        let old: Vec<IndexExpr> = (0..self.extents.len())
            .map(|k| match k {
                k if k < a => IndexExpr::axis(k),
                k if k == a => IndexExpr::axis(a).div(inner as i64, &extents),
                k if k == a + 1 => IndexExpr::axis(a).rem(inner as i64, &extents),
                k => IndexExpr::axis(k - 1),
            })
            .collect();
        self.reshape(extents, self.n_result - 1, &old);
    }

    /// Whether the term is the product of the two reads.
    pub(super) fn is_product(&self) -> bool {
        let product = matches!(
            self.term.nodes(),
            [ExprNode::Input(0), ExprNode::Input(1), ExprNode::Apply(Op::Mul, _)]
        );
        product && self.kind == FoldKind::Sum && self.reads.len() == 2
    }

    /// The folded axes that have more than one point, or none at all.
    pub(super) fn folded(&self) -> Vec<usize> {
        (self.n_result..self.extents.len()).filter(|&a| self.extents[a] != 1).collect()
    }
}

/// What a fold's kernel writes.
pub(super) struct FoldOutputs<'f> {
    pub(super) anchor: Value,
    pub(super) members: &'f [NodeId],
    /// The values stored and where.
    pub(super) stores: Vec<(Value, StorageId)>,
    /// The extents of the result.
    pub(super) dims: Vec<usize>,
}

impl Lowering<'_> {
    pub(super) fn lower_fold(&mut self, group: &Group, anchor: NodeId) {
        let (Structure::Reduce(fold) | Structure::Contract(fold) | Structure::Window(fold)) =
            self.analysis.structure(anchor)
        else {
            unreachable!("a fold group is founded by a fold")
        };
        let value = Value { node: anchor, result: 0 };
        let dims = self.extents(value);
        let space = FoldSpace::new(&dims, &self.graph.operands(anchor), fold);
        let stores = group.outputs.iter().map(|v| (*v, self.new_storage_for(*v))).collect();
        let outputs = FoldOutputs { anchor: value, members: &group.members, stores, dims };
        let kernel = match self.contraction(&space, &outputs) {
            Some(contraction) => self.contraction_kernel(&contraction, &outputs),
            None => self.general_fold(&space, &outputs),
        };
        let mut provenance = tracelift_ir::Provenance::default();
        group.members.iter().for_each(|id| provenance.merge(&self.graph.node(*id).provenance));
        self.add_step(kernel, &provenance);
    }

    fn general_fold(&mut self, space: &FoldSpace, outputs: &FoldOutputs<'_>) -> KernelBuilder {
        let mut kernel = KernelBuilder::new();
        kernel.kernel.name = "fold".into();
        let mut axes: Vec<IndexExpr> = Vec::new();
        let last = space.n_result.checked_sub(1);
        for a in 0..space.n_result.saturating_sub(1) {
            axes.push(IndexExpr::axis(kernel.grid_axis(&format!("i{a}"), space.extents[a])));
        }
        let len = last.map_or(1, |a| space.extents[a]);
        let columns = (TILE_VECTORS * self.registers(space.term.dtype()).bytes / 4).min(len.max(1));
        let (n_full, rest) = (len / columns, len % columns);
        let mut body = Vec::new();
        let mut run = GeneralFold { lowering: self, kernel: &mut kernel, space, outputs, axes };
        if n_full > 0 {
            let step = run.kernel.axis("t", n_full);
            let from = IndexExpr::axis(step).scale(columns as i64);
            body.push(Stmt::For { axis: step, body: vec![Stmt::Tile(run.tile(from, columns))] });
        }
        if rest > 0 {
            let from = IndexExpr::constant((n_full * columns) as i64);
            body.push(Stmt::Tile(run.tile(from, rest)));
        }
        kernel.kernel.body = body;
        kernel
    }
}

struct GeneralFold<'r, 'g, 'o> {
    lowering: &'r mut Lowering<'g>,
    kernel: &'r mut KernelBuilder,
    space: &'r FoldSpace,
    outputs: &'r FoldOutputs<'o>,
    /// The axes of the result but the last, over the kernel's.
    axes: Vec<IndexExpr>,
}

impl GeneralFold<'_, '_, '_> {
    fn tile(&mut self, from: IndexExpr, columns: usize) -> Tile {
        let space = self.space;
        let (row, column) = (self.kernel.axis("r", 1), self.kernel.axis("c", columns));
        let mut axes = self.axes.clone();
        if space.n_result > 0 {
            axes.push(from.add(&IndexExpr::axis(column)));
        }
        let loops = add_loops(self.kernel, space, &mut axes);
        let extents = self.kernel.kernel.extents();
        let over = |e: &IndexExpr| e.substitute(&|a| axes[a].clone(), &extents);
        let guards: Vec<Guard> = space
            .guards
            .iter()
            .map(|g| Guard { expr: over(&g.expr), extent: g.extent })
            .filter(|g| g.decide(&extents) != Some(true))
            .collect();
        let mut b = TileBuilder::new(self.lowering, self.kernel, row, column, &loops);
        let dtype = space.term.dtype();
        let index: Vec<IndexExpr> = space.index.iter().map(over).collect();
        if space.extents[space.n_result..].contains(&0) {
            // Nothing may be read: the operands can be empty.
            let nothing = b.constant(space.kind.identity(dtype));
            store_results(&mut b, self.outputs, nothing, &index);
            return b.finish(1);
        }
        let sum = b.accumulator(space.kind.identity(dtype));
        let inputs: Vec<ValueId> = space
            .reads
            .iter()
            .enumerate()
            .map(|(k, read)| {
                let FoldRead::Value(value, index) = read else {
                    unreachable!("only contractions read padded copies")
                };
                let at: Vec<IndexExpr> = index.iter().map(over).collect();
                let guards = if k == 0 { guards.as_slice() } else { &[] };
                let x = b.value(*value, &at, guards);
                b.zero_unless(guards, x)
            })
            .collect();
        let next = accumulate(&mut b, space, sum, &inputs, dtype);
        b.update(sum, next);
        store_results(&mut b, self.outputs, sum, &index);
        b.finish(1)
    }
}

/// Adds the inner loops of a fold and maps the folded axes to them.
pub(super) fn add_loops(
    kernel: &mut KernelBuilder,
    space: &FoldSpace,
    axes: &mut Vec<IndexExpr>,
) -> Vec<AxisId> {
    let folded = space.folded();
    let mut loops = Vec::new();
    for a in space.n_result..space.extents.len() {
        if folded.contains(&a) {
            loops.push(kernel.axis("k", space.extents[a]));
            axes.push(IndexExpr::axis(loops[loops.len() - 1]));
        } else {
            axes.push(IndexExpr::constant(0));
        }
    }
    if loops.is_empty() {
        loops.push(kernel.axis("k", 1));
    }
    loops
}

fn accumulate(
    b: &mut TileBuilder<'_, '_>,
    space: &FoldSpace,
    sum: ValueId,
    inputs: &[ValueId],
    dtype: DType,
) -> ValueId {
    if space.is_product() && dtype.is_float() {
        return b.apply(Op::Fma, &[inputs[0], inputs[1], sum]);
    }
    let term = b.expression(&space.term, &[], &mut |_, k| inputs[k]);
    b.apply(fold_op(space.kind, dtype), &[sum, term])
}

/// The epilogue: computes the group's outputs from the fold's result and stores them.
pub(super) fn store_results<'b>(
    b: &mut TileBuilder<'b, '_>,
    outputs: &FoldOutputs<'b>,
    sum: ValueId,
    index: &[IndexExpr],
) {
    b.start_finish();
    b.set_members(outputs.members);
    b.bind(outputs.anchor, Binding::Value(sum));
    for (value, storage) in &outputs.stores {
        let x = b.value(*value, index, &[]);
        b.store_at(*storage, &index_position(index, &outputs.dims), x);
    }
}
