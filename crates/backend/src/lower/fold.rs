//! Folds: the iteration space, and the choice of a kernel.

use tracelift_ir::{Fold, FoldKind, Movement, NodeId, Piece, Structure, Value};
use tracelift_loops::ValueId;
use tracelift_scalar::{Expr, ExprNode, Guard, IndexExpr, Op};

use super::{
    Group, GroupKind, Lowering, StorageId,
    column_fold::{cuts_windows, reads_repeatedly},
    pointwise::index_position,
    resolve::MemoryRead,
    tile_builder::{Binding, TileBuilder},
};

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
    pub(super) fn new(result: &[usize], operands: &[Value], fold: &Fold) -> FoldSpace {
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
        self.reshape(extents, self.n_result - usize::from(a < self.n_result), &old);
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
    pub(super) fn lower_fold(&mut self, group: &Group) {
        let (mut space, outputs) = self.fold_of(group);
        let provenance = self.provenance_of(&group.members);
        let (winograd, words) = self.winograd(&space, &outputs, &provenance);
        self.choices.extend(words.map(|words| (group.members[0], words)));
        let kernel = match winograd {
            Some(kernel) => kernel,
            None => match self.contraction(&space, &outputs) {
                Some(contraction) => self.contraction_kernel(&contraction, &outputs),
                None => {
                    self.prepare_column_fold(&mut space);
                    let lanes = self.lane_fold(&space, &outputs);
                    lanes.unwrap_or_else(|| {
                        let strips = self.in_strips(&space);
                        self.column_fold(strips.as_ref().unwrap_or(&space), &outputs)
                    })
                }
            },
        };
        self.add_step(kernel, &provenance);
    }

    /// The fold that a group is founded by, and what its kernel writes.
    pub(super) fn fold_of<'f>(&mut self, group: &'f Group) -> (FoldSpace, FoldOutputs<'f>) {
        let GroupKind::Fold(anchor) = group.kind else { unreachable!("the group is of a fold") };
        let (Structure::Reduce(fold) | Structure::Contract(fold) | Structure::Window(fold)) =
            self.analysis.structure(anchor)
        else {
            unreachable!("a fold group is founded by a fold")
        };
        let value = Value { node: anchor, result: 0 };
        let dims = self.extents(value);
        let space = FoldSpace::new(&dims, &self.graph.operands(anchor), fold);
        let stores = group.outputs.iter().map(|v| (*v, self.new_storage_for(*v))).collect();
        (space, FoldOutputs { anchor: value, members: &group.members, stores, dims })
    }

    /// Has the operands of a fold lie as its kernel reads them best.
    pub(super) fn prepare_column_fold(&mut self, space: &mut FoldSpace) {
        for read in &space.reads[1..] {
            if let FoldRead::Value(value, index) = read {
                self.lay_columns_together(space, *value, index);
            }
        }
        self.absorb_moves(space);
    }

    /// Gives a movement that windows slide over memory of its own where its operand's elements lie
    /// apart along the result's last axis and its own would lie side by side.
    fn lay_columns_together(
        &mut self,
        space: &FoldSpace,
        value: Value,
        index: &[IndexExpr],
    ) -> bool {
        let Some(columns) = space.n_result.checked_sub(1) else { return false };
        let moves = self.analysis.is_plain_move(value.node);
        if self.is_in_memory(value) || !moves || !reads_repeatedly(space) {
            return false;
        }
        let Some(read) = self.resolve(value, index.to_vec(), &space.extents) else { return false };
        let dims = self.extents(value);
        let own = index_position(index, &dims).simplify(&space.extents);
        let apart = !matches!(read.position.stride_of(columns), Some(0 | 1));
        if !apart || space.extents[columns] == 1 || own.stride_of(columns) != Some(1) {
            return false;
        }
        self.store_moved(value)
    }

    /// Gives a movement memory of its own; `false` where it has some.
    pub(super) fn store_moved(&mut self, value: Value) -> bool {
        if self.is_in_memory(value) {
            return false;
        }
        self.new_storage_for(value);
        let (dims, dtype) = (self.extents(value), self.graph.ty(value).dtype);
        let kernel = self.pointwise(&dims, dtype, &mut |b, index| {
            let x = b.define(value, index, &[]);
            b.store_value(value, index, x);
        });
        self.add_step(kernel, &self.graph.node(value.node).provenance.clone());
        true
    }

    /// Takes a movement that only the fold reads into the fold's own index; points outside an
    /// operand are left out of the fold where they would not change it.
    fn absorb_moves(&mut self, space: &mut FoldSpace) {
        while let FoldRead::Value(value, index) = space.reads[0].clone() {
            if self.is_in_memory(value) || !self.analysis.is_pointwise(value.node) {
                return;
            }
            if self.lay_columns_together(space, value, &index) {
                return;
            }
            let Structure::Move(Movement { pieces, fill }) = self.analysis.structure(value.node)
            else {
                return;
            };
            let [Piece { guards, read }] = pieces.as_slice() else { return };
            let over = |e: &IndexExpr| e.substitute(&|a| index[a].clone(), &space.extents);
            let guards = guards.iter().map(|g| Guard { expr: over(&g.expr), extent: g.extent });
            let guards: Vec<Guard> =
                guards.filter(|g| g.decide(&space.extents) != Some(true)).collect();
            let at = read.index.iter().map(over).collect();
            let operand = self.graph.operands(value.node)[read.operand];
            let mut absorbed = space.clone();
            absorbed.reads[0] = FoldRead::Value(operand, at);
            if !guards.is_empty() {
                let is_plain = matches!(space.term.nodes(), [ExprNode::Input(0)]);
                let identity = space.kind.identity(space.term.dtype());
                absorbed.guards.extend(guards);
                if !is_plain || *fill != Some(identity) || !cuts_windows(&absorbed) {
                    return;
                }
            }
            *space = absorbed;
        }
    }
}

/// The epilogue: computes the group's outputs from the fold's result and stores them.
pub(super) fn store_results<'b>(
    b: &mut TileBuilder<'b, '_>,
    outputs: &FoldOutputs<'b>,
    sum: ValueId,
    index: &[IndexExpr],
) {
    b.start_finish();
    store_values(b, outputs, sum, index);
}

/// As [`store_results`], in the part of the tile program that is being written.
pub(super) fn store_values<'b>(
    b: &mut TileBuilder<'b, '_>,
    outputs: &FoldOutputs<'b>,
    sum: ValueId,
    index: &[IndexExpr],
) {
    b.set_members(outputs.members);
    b.bind(outputs.anchor, Binding::Value(sum));
    for (value, _) in &outputs.stores {
        let x = b.value(*value, index, &[]);
        b.store_value(*value, index, x);
    }
}
