//! Builds one tile program: emits values of the graph at index expressions.
//!
//! A value in memory is loaded; any other is computed from its operands at the indices its
//! structure says, down to what is in memory. Instructions that do not depend on the inner loops
//! are placed before them.

mod gather;

use std::hash::BuildHasher;

use rustc_hash::{FxBuildHasher, FxHashMap};
use tracelift_ir::{Movement, NodeId, Piece, Structure, Value};
use tracelift_loops::{AxisId, BufferId, Inst, Place, Tile, ValueId};
use tracelift_scalar::{Expr, ExprNode, Guard, IndexExpr, Op};
use tracelift_tensor::{DType, Scalar};

use super::{KernelBuilder, Lowering};

/// The instructions that there is room for at first.
const TYPICAL_INSTS: usize = 128;

/// The part of a tile program an instruction belongs to.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Section {
    Init,
    Body,
    Finish,
}

/// What stands for a value instead of its definition.
#[derive(Clone, Debug)]
pub(crate) enum Binding {
    /// A value of this tile program.
    Value(ValueId),
    /// An element that an earlier tile of the kernel has written.
    Element(BufferId, IndexExpr),
}

/// A tile program under construction, with the kernel it is part of.
pub(crate) struct TileBuilder<'b, 'g> {
    pub(crate) lowering: &'b mut Lowering<'g>,
    pub(crate) kernel: &'b mut KernelBuilder,
    rows: AxisId,
    columns: AxisId,
    loops: Vec<AxisId>,
    extents: Vec<usize>,
    insts: Vec<(Section, Inst)>,
    dtypes: Vec<DType>,
    /// Pure instructions by their hash; of several with one hash, the last.
    known: FxHashMap<u64, ValueId>,
    emitted: FxHashMap<(Value, Vec<IndexExpr>, Vec<Guard>), ValueId>,
    bindings: FxHashMap<Value, Binding>,
    /// Nodes that this kernel defines: their values are computed, not loaded.
    members: &'b [NodeId],
    in_finish: bool,
}

impl<'b, 'g> TileBuilder<'b, 'g> {
    pub(crate) fn new(
        lowering: &'b mut Lowering<'g>,
        kernel: &'b mut KernelBuilder,
        rows: AxisId,
        columns: AxisId,
        loops: &[AxisId],
    ) -> TileBuilder<'b, 'g> {
        let extents = kernel.kernel.extents();
        TileBuilder {
            lowering,
            kernel,
            rows,
            columns,
            loops: loops.to_vec(),
            extents,
            insts: Vec::with_capacity(TYPICAL_INSTS),
            dtypes: Vec::new(),
            known: FxHashMap::default(),
            emitted: FxHashMap::default(),
            bindings: FxHashMap::default(),
            members: &[],
            in_finish: false,
        }
    }

    /// The extents of the kernel's axes.
    pub(crate) fn extents(&self) -> &[usize] {
        &self.extents
    }

    /// Lets a value stand for something else from now on.
    pub(crate) fn bind(&mut self, value: Value, binding: Binding) {
        self.bindings.insert(value, binding);
    }

    /// Says which nodes the kernel defines.
    pub(crate) fn set_members(&mut self, members: &'b [NodeId]) {
        self.members = members;
    }

    /// From now on instructions come after the loops; values of the body are out of reach.
    pub(crate) fn start_finish(&mut self) {
        self.in_finish = true;
        let insts = &self.insts;
        let outside = |id: &ValueId| insts[id.index()].0 != Section::Body;
        self.known.retain(|_, id| outside(id));
        self.emitted.retain(|_, id| outside(id));
    }

    fn section_of(&self, inst: &Inst) -> Section {
        if self.in_finish {
            return Section::Finish;
        }
        let in_loops = |e: &IndexExpr| self.loops.iter().any(|&a| e.mentions(a));
        let guards = |g: &[Guard]| g.iter().any(|g| in_loops(&g.expr));
        let value = |v: &ValueId| {
            self.insts[v.index()].0 != Section::Init
                || matches!(self.insts[v.index()].1, Inst::Accumulator(_))
        };
        let place = |p: &Place| in_loops(&p.index) || p.dynamic.iter().any(|(v, _)| value(v));
        let varies = match inst {
            Inst::Const(_) | Inst::Accumulator(_) => false,
            Inst::Index(e) => in_loops(e),
            Inst::Test(g) => guards(g),
            Inst::Apply(_, operands) => operands.iter().any(value),
            Inst::Load { place: p, guards: g, .. } => place(p) || guards(g),
            Inst::Update { .. } | Inst::Prefetch { .. } | Inst::Store { .. } => true,
            Inst::FoldColumns(..) => false,
        };
        if varies && !self.loops.is_empty() { Section::Body } else { Section::Init }
    }

    pub(crate) fn push(&mut self, inst: Inst) -> ValueId {
        let pure = inst.has_value() && !matches!(inst, Inst::Accumulator(_));
        let id = ValueId(self.insts.len() as u32);
        if pure {
            let hash = FxBuildHasher.hash_one(&inst);
            if let Some(&known) = self.known.get(&hash)
                && self.insts[known.index()].1 == inst
            {
                return known;
            }
            self.known.insert(hash, id);
        }
        self.dtypes.push(self.infer(&inst));
        self.insts.push((self.section_of(&inst), inst));
        id
    }

    /// Loads what the inner loops write: once for every iteration, in order with the stores.
    pub(crate) fn load_written(&mut self, place: Place) -> ValueId {
        let fill = Scalar::zero(self.kernel.kernel.buffers[place.buffer].dtype);
        let inst = Inst::Load { place, guards: Vec::new(), fill };
        let id = ValueId(self.insts.len() as u32);
        self.dtypes.push(self.infer(&inst));
        self.insts.push((Section::Body, inst));
        id
    }

    fn infer(&self, inst: &Inst) -> DType {
        match inst {
            Inst::Const(scalar) => scalar.dtype(),
            Inst::Index(_) => DType::I64,
            Inst::Load { place, .. } => self.kernel.kernel.buffers[place.buffer].dtype,
            Inst::Accumulator(v) | Inst::FoldColumns(_, v) => self.dtype_of(*v),
            Inst::Apply(op, operands) => {
                let dtypes: Vec<DType> = operands.iter().map(|v| self.dtype_of(*v)).collect();
                op.result_dtype(&dtypes).expect("operators passed inference")
            }
            Inst::Test(_) | Inst::Update { .. } | Inst::Prefetch { .. } | Inst::Store { .. } => {
                DType::Bool
            }
        }
    }

    /// The dtype of a value.
    pub(crate) fn dtype_of(&self, v: ValueId) -> DType {
        self.dtypes[v.index()]
    }

    /// The value where the guards hold, else 0.
    pub(crate) fn zero_unless(&mut self, guards: &[Guard], x: ValueId) -> ValueId {
        let zero = Scalar::zero(self.dtype_of(x));
        if let Inst::Load { guards: own, fill, .. } = &self.insts[x.index()].1
            && *fill == zero
            && guards.iter().all(|g| own.contains(g))
        {
            return x;
        }
        if guards.is_empty() {
            return x;
        }
        let zero = self.constant(zero);
        self.where_holds(guards, x, zero)
    }

    /// The value where the guards hold, else another.
    pub(crate) fn where_holds(&mut self, guards: &[Guard], x: ValueId, other: ValueId) -> ValueId {
        if guards.is_empty() {
            return x;
        }
        let test = self.push(Inst::Test(guards.to_vec()));
        self.apply(Op::Select, &[test, x, other])
    }

    pub(crate) fn constant(&mut self, scalar: Scalar) -> ValueId {
        self.push(Inst::Const(scalar))
    }

    pub(crate) fn index(&mut self, e: &IndexExpr) -> ValueId {
        match e.as_const() {
            Some(c) => self.constant(Scalar::Signed(DType::I64, c)),
            None => self.push(Inst::Index(e.clone())),
        }
    }

    pub(crate) fn apply(&mut self, op: Op, operands: &[ValueId]) -> ValueId {
        self.push(Inst::Apply(op, operands.to_vec()))
    }

    pub(crate) fn load(
        &mut self,
        buffer: BufferId,
        index: IndexExpr,
        guards: &[Guard],
        fill: Option<Scalar>,
    ) -> ValueId {
        let fill = fill.unwrap_or(Scalar::zero(self.kernel.kernel.buffers[buffer].dtype));
        let place = Place { buffer, index, dynamic: Vec::new() };
        self.push(Inst::Load { place, guards: guards.to_vec(), fill })
    }

    /// Says that what lies around a place will be read soon.
    pub(crate) fn prefetch(&mut self, buffer: BufferId, index: IndexExpr) {
        self.push(Inst::Prefetch { place: Place { buffer, index, dynamic: Vec::new() } });
    }

    pub(crate) fn accumulator(&mut self, initial: Scalar) -> ValueId {
        let initial = self.constant(initial);
        self.push(Inst::Accumulator(initial))
    }

    pub(crate) fn update(&mut self, accumulator: ValueId, value: ValueId) {
        self.push(Inst::Update { accumulator, value });
    }

    pub(crate) fn store(&mut self, buffer: BufferId, index: IndexExpr, value: ValueId) {
        let place = Place { buffer, index, dynamic: Vec::new() };
        self.push(Inst::Store { place, guards: Vec::new(), condition: None, value });
    }

    /// The value of the graph at an index, read under guards that keep the reads in bounds.
    pub(crate) fn value(&mut self, v: Value, index: &[IndexExpr], guards: &[Guard]) -> ValueId {
        match self.bindings.get(&v).cloned() {
            Some(Binding::Value(id)) => return id,
            Some(Binding::Element(buffer, at)) => return self.load(buffer, at, guards, None),
            None => {}
        }
        if let Some(scalar) = self.lowering.graph.splat(v) {
            return self.constant(scalar);
        }
        if !self.members.contains(&v.node)
            && let Some(id) = self.load_value(v, index, guards, None)
        {
            return id;
        }
        let key = (v, index.to_vec(), guards.to_vec());
        if let Some(&id) = self.emitted.get(&key) {
            return id;
        }
        let id = self.define(v, index, guards);
        self.emitted.insert(key, id);
        id
    }

    /// A value by its definition, whether or not it has a place in memory.
    pub(crate) fn define(&mut self, v: Value, index: &[IndexExpr], guards: &[Guard]) -> ValueId {
        let analysis = self.lowering.analysis;
        match analysis.structure(v.node) {
            Structure::Map(expr) => self.map(v, expr, index, guards),
            Structure::Move(movement) => self.movement(v, movement, index, guards),
            Structure::Gather(gather) => self.gather(v, gather, index, guards),
            _ => unreachable!("folds and their like are in memory or bound"),
        }
    }

    /// A load, where the value is in memory.
    fn load_value(
        &mut self,
        v: Value,
        index: &[IndexExpr],
        guards: &[Guard],
        fill: Option<Scalar>,
    ) -> Option<ValueId> {
        let (storage, position) = self.lowering.element(v, index)?;
        let buffer = self.kernel.read(storage, &self.lowering.out.storages);
        Some(self.load(buffer, position.simplify(&self.extents), guards, fill))
    }

    fn map(&mut self, v: Value, expr: &Expr, index: &[IndexExpr], guards: &[Guard]) -> ValueId {
        let operands = self.lowering.graph.operands(v.node);
        self.expression(expr, index, &mut |b, k| b.value(operands[k], index, guards))
    }

    /// Emits a scalar expression over inputs given by `input`.
    pub(crate) fn expression(
        &mut self,
        expr: &Expr,
        index: &[IndexExpr],
        input: &mut dyn FnMut(&mut Self, usize) -> ValueId,
    ) -> ValueId {
        let mut values: Vec<ValueId> = Vec::with_capacity(expr.nodes().len());
        for node in expr.nodes() {
            let id = match node {
                ExprNode::Input(k) => input(self, *k as usize),
                ExprNode::Index(axis) => self.index(&index[*axis as usize].clone()),
                ExprNode::Const(scalar) => self.constant(*scalar),
                ExprNode::Apply(op, operands) => {
                    let operands: Vec<ValueId> =
                        operands.iter().map(|o| values[o.index()]).collect();
                    self.apply(*op, &operands)
                }
            };
            values.push(id);
        }
        values[expr.root().index()]
    }

    fn movement(
        &mut self,
        v: Value,
        movement: &Movement,
        index: &[IndexExpr],
        guards: &[Guard],
    ) -> ValueId {
        let dtype = self.lowering.graph.ty(v).dtype;
        let operands = self.lowering.graph.operands(v.node);
        let mut pieces: Vec<(Value, Vec<IndexExpr>, Vec<Guard>)> = Vec::new();
        let mut covered = false;
        for Piece { guards: conditions, read } in &movement.pieces {
            let Some(conditions) = self.conditions(conditions, index) else { continue };
            covered = conditions.is_empty();
            pieces.push((operands[read.operand], self.at(&read.index, index), conditions));
            if covered {
                break;
            }
        }
        // The last piece needs no test when nothing is left for a fill.
        let mut result = match movement.fill {
            Some(fill) if !covered => Some(self.constant(fill)),
            _ => None,
        };
        if let (Some(fill), [(operand, at, conditions)]) = (movement.fill, pieces.as_slice())
            && !covered
        {
            let all = join(guards, conditions);
            let in_memory = self.lowering.is_in_memory(*operand)
                && !self.members.contains(&operand.node)
                && self.lowering.graph.splat(*operand).is_none()
                && !self.bindings.contains_key(operand);
            // Outer guards may fail as well; the fill is then as good as any value.
            if in_memory {
                let (operand, at) = (*operand, at.clone());
                return self.load_value(operand, &at, &all, Some(fill)).expect("it is in memory");
            }
        }
        for (operand, at, conditions) in pieces.into_iter().rev() {
            let inner = self.value(operand, &at, &join(guards, &conditions));
            result = Some(match result {
                None => inner,
                Some(rest) => {
                    let test = self.push(Inst::Test(conditions));
                    self.apply(Op::Select, &[test, inner, rest])
                }
            });
        }
        result.unwrap_or_else(|| self.constant(Scalar::zero(dtype)))
    }

    /// Guards at an index, without those that always hold; `None` where one never does.
    fn conditions(&self, guards: &[Guard], index: &[IndexExpr]) -> Option<Vec<Guard>> {
        let mut out = Vec::new();
        for guard in guards {
            let expr = guard.expr.substitute(&|a| index[a].clone(), &self.extents);
            let guard = Guard { expr, extent: guard.extent };
            match guard.decide(&self.extents) {
                Some(true) => {}
                Some(false) => return None,
                None => out.push(guard),
            }
        }
        Some(out)
    }

    /// Index expressions over a value's axes, at an index of the value.
    pub(crate) fn at(&self, exprs: &[IndexExpr], index: &[IndexExpr]) -> Vec<IndexExpr> {
        exprs.iter().map(|e| e.substitute(&|a| index[a].clone(), &self.extents)).collect()
    }

    /// The tile program, its instructions in the order init, body, finish.
    pub(crate) fn finish(self, unroll: usize) -> Tile {
        let TileBuilder { rows, columns, loops, insts, .. } = self;
        let mut order: Vec<usize> = (0..insts.len()).collect();
        order.sort_by_key(|&k| insts[k].0);
        let mut renamed = vec![ValueId(u32::MAX); insts.len()];
        order.iter().enumerate().for_each(|(new, &old)| renamed[old] = ValueId(new as u32));
        let mut insts: Vec<(Section, Option<Inst>)> =
            insts.into_iter().map(|(section, inst)| (section, Some(inst))).collect();
        let count = |s: Section| insts.iter().filter(|(section, _)| *section == s).count();
        let (n_init, n_body) = (count(Section::Init), count(Section::Body));
        let mut take = |k: usize| {
            let mut inst = insts[k].1.take().expect("an order has every instruction once");
            rename(&mut inst, &renamed);
            inst
        };
        let insts = order.iter().map(|&k| take(k)).collect();
        Tile { rows, columns, loops, unroll, insts, n_init, n_body }
    }
}

fn join(a: &[Guard], b: &[Guard]) -> Vec<Guard> {
    let mut out = a.to_vec();
    out.extend(b.iter().filter(|g| !a.contains(g)).cloned());
    out
}

/// Gives the operands of an instruction their new names.
fn rename(inst: &mut Inst, renamed: &[ValueId]) {
    let r = |v: &mut ValueId| *v = renamed[v.index()];
    let place = |p: &mut Place| p.dynamic.iter_mut().for_each(|(v, _)| r(v));
    match inst {
        Inst::Const(_) | Inst::Index(_) | Inst::Test(_) => {}
        Inst::Apply(_, operands) => operands.iter_mut().for_each(r),
        Inst::Load { place: p, .. } | Inst::Prefetch { place: p } => place(p),
        Inst::Accumulator(v) | Inst::FoldColumns(_, v) => r(v),
        Inst::Update { accumulator, value } => {
            r(accumulator);
            r(value);
        }
        Inst::Store { place: p, condition, value, .. } => {
            place(p);
            condition.iter_mut().for_each(r);
            r(value);
        }
    }
}
