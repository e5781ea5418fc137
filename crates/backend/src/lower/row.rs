//! Row kernels: reductions along rows with the maps around them, one row at a time.
//!
//! A row is passed over once for every link in the longest chain of reductions. Reductions keep
//! their results in scratch cells; what is expensive and needed by a later pass is kept in a
//! scratch row.

use std::ops::Range;

use rustc_hash::FxHashMap;
use tracelift_ir::{FoldKind, NodeId, Structure, Value};
use tracelift_loops::{AxisId, BufferId, Inst, Kernel, Place, Stmt, Tile, ValueId};
use tracelift_scalar::{IndexExpr, Op, delinearise};
use tracelift_tensor::DType;

use super::{
    Group, KernelBuilder, Lowering,
    analysis::{RowGeometry, RowKind},
    tile_builder::{Binding, TileBuilder},
};

/// The columns of a tile, in vectors.
const TILE_VECTORS: usize = 4;
/// The fewest columns of the tiles that a part of a row is cut into.
const MIN_PART_COLUMNS: usize = 8;
/// The most operations that are worth repeating in a later pass.
const CHEAP: usize = 2;

/// A row kernel under construction.
struct RowKernel<'r, 'g> {
    lowering: &'r mut Lowering<'g>,
    group: &'r Group,
    geometry: RowGeometry,
    /// The elements of a row that are passed over; others have no part in any result.
    columns: Range<usize>,
    /// The elements of a part of the row that tiles do not cross, where the row has such parts.
    part: Option<usize>,
    kernel: KernelBuilder,
    /// The row's number, over the kernel's axes.
    row: IndexExpr,
    /// The pass in which a member can first be computed.
    levels: FxHashMap<NodeId, usize>,
    /// Where a reduction keeps its result.
    cells: FxHashMap<NodeId, BufferId>,
    /// Where a member keeps a row for later passes, or gives it as its output.
    rows: FxHashMap<NodeId, RowPlace>,
    /// Where values that are not in memory have their rows.
    inputs: Vec<(Value, RowPlace)>,
}

/// Tiles one after another.
struct Run {
    /// How often they repeat, and by how many elements each time, outermost first.
    loops: Vec<(usize, usize)>,
    /// The elements of a tile.
    columns: usize,
    /// The first element of the row.
    start: usize,
}

/// A row in a buffer.
#[derive(Clone, Debug)]
pub(super) struct RowPlace {
    pub(super) buffer: BufferId,
    /// The position of its first element.
    pub(super) start: IndexExpr,
}

/// What a row is computed from and where its results go, where neither is in memory.
pub(super) struct RowStage<'s> {
    pub(super) group: &'s Group,
    pub(super) geometry: RowGeometry,
    /// The row's number, over the kernel's axes.
    pub(super) row: IndexExpr,
    pub(super) input: (Value, RowPlace),
    pub(super) output: (Value, RowPlace),
}

impl Lowering<'_> {
    pub(super) fn lower_row(&mut self, group: &Group, geometry: RowGeometry) {
        group.outputs.iter().for_each(|v| {
            self.new_storage_for(*v);
        });
        let mut kernel = self.row_kernel(group, geometry, None);
        if !is_strided(&kernel.kernel) {
            let parts = self.parts_of_rows(group, geometry);
            let mut others = parts.into_iter().map(|n| self.row_kernel(group, geometry, Some(n)));
            kernel = others.find(|other| is_strided(&other.kernel)).unwrap_or(kernel);
        }
        self.add_step(kernel, &self.provenance_of(&group.members));
    }

    /// What rows could be cut into, so that an operand which only depends on the part, such as a
    /// scale for each channel, has one element for a whole tile; the largest first.
    fn parts_of_rows(&self, group: &Group, geometry: RowGeometry) -> Vec<usize> {
        let values = group.members.iter().map(|&node| Value { node, result: 0 });
        let rows = values.filter(|v| geometry.kind(self.graph, *v) == Some(RowKind::Row));
        let most = TILE_VECTORS * self.registers(DType::F32).bytes / 4;
        let mut out: Vec<usize> = rows
            .flat_map(|v| {
                let dims = self.extents(v);
                (1..dims.len()).map(move |k| dims[k..].iter().product())
            })
            .filter(|&n: &usize| n < geometry.row_len && geometry.row_len.is_multiple_of(n))
            .filter(|&n| columns_of_part(n, most) >= MIN_PART_COLUMNS)
            .collect();
        out.sort_unstable_by(|a, b| b.cmp(a));
        out.dedup();
        out
    }

    fn row_kernel(
        &mut self,
        group: &Group,
        geometry: RowGeometry,
        part: Option<usize>,
    ) -> KernelBuilder {
        let mut kernel = KernelBuilder::new();
        kernel.kernel.name = "row".into();
        let row = IndexExpr::axis(kernel.grid_axis("o", geometry.n_rows));
        let mut rows = FxHashMap::default();
        for value in &group.outputs {
            let buffer = kernel.write(self.storage_of[value], &self.out.storages);
            if geometry.kind(self.graph, *value) == Some(RowKind::Row) {
                let start = row.scale(geometry.row_len as i64);
                rows.insert(value.node, RowPlace { buffer, start });
            }
        }
        let mut this = RowKernel::new(self, group, geometry, kernel, row);
        this.part = part;
        this.rows = rows;
        this.place();
        let mut body = this.passes();
        body.extend(this.outer_results());
        this.kernel.kernel.body = body;
        this.kernel
    }

    /// The statements that compute one row of a kernel that does more, from some of its columns or
    /// from others.
    pub(super) fn row_stage(
        &mut self,
        kernel: KernelBuilder,
        stage: RowStage<'_>,
        columns: impl Iterator<Item = Range<usize>>,
    ) -> (KernelBuilder, Vec<Vec<Stmt>>) {
        let RowStage { group, geometry, row, input, output: (output, place) } = stage;
        let mut this = RowKernel::new(self, group, geometry, kernel, row);
        this.inputs.push(input);
        this.rows.insert(output.node, place);
        this.place();
        let mut bodies = Vec::new();
        for columns in columns {
            this.columns = columns;
            bodies.push(this.passes());
        }
        (this.kernel, bodies)
    }
}

impl<'r, 'g> RowKernel<'r, 'g> {
    fn new(
        lowering: &'r mut Lowering<'g>,
        group: &'r Group,
        geometry: RowGeometry,
        kernel: KernelBuilder,
        row: IndexExpr,
    ) -> RowKernel<'r, 'g> {
        let (levels, cells) = Default::default();
        let (rows, inputs) = Default::default();
        let (columns, part) = (0..geometry.row_len, None);
        RowKernel {
            lowering,
            group,
            geometry,
            columns,
            part,
            kernel,
            row,
            levels,
            cells,
            rows,
            inputs,
        }
    }

    /// Decides what each pass computes and where it leaves that.
    fn place(&mut self) {
        self.find_levels();
        self.place_cells();
        self.keep_rows();
    }

    fn passes(&mut self) -> Vec<Stmt> {
        let n_passes = self.levels.values().copied().max().unwrap_or(0) + 1;
        let passes: Vec<usize> = (0..n_passes).filter(|&n| self.has_work(n)).collect();
        passes.into_iter().flat_map(|n| self.pass(n)).collect()
    }

    /// Whether a pass reduces or stores anything.
    fn has_work(&self, pass: usize) -> bool {
        let mut members = self.levels.iter().filter(|(_, level)| **level == pass);
        members.any(|(&id, _)| self.fold_of(id).is_some() || self.rows.contains_key(&id))
    }

    fn kind(&self, value: Value) -> RowKind {
        self.geometry.kind(self.lowering.graph, value).expect("members fit the row geometry")
    }

    fn value(id: NodeId) -> Value {
        Value { node: id, result: 0 }
    }

    fn fold_of(&self, id: NodeId) -> Option<FoldKind> {
        match self.lowering.analysis.structure(id) {
            Structure::Reduce(fold) => Some(fold.kind),
            _ => None,
        }
    }

    /// A reduction's result is there one pass after its operand.
    fn find_levels(&mut self) {
        for &id in &self.group.members {
            let operands = self.lowering.graph.operands(id);
            let level = operands
                .iter()
                .map(|v| {
                    let level = self.levels.get(&v.node).copied().unwrap_or(0);
                    let reduced =
                        self.group.members.contains(&v.node) && self.fold_of(v.node).is_some();
                    level + usize::from(reduced)
                })
                .max()
                .unwrap_or(0);
            self.levels.insert(id, level);
        }
    }

    fn place_cells(&mut self) {
        for &id in &self.group.members {
            if self.fold_of(id).is_some() {
                let dtype = self.lowering.graph.node(id).types[0].dtype;
                let cell = self.kernel.scratch(dtype, 1);
                self.cells.insert(id, cell);
            }
        }
    }

    /// Keeps what later passes read and what is dear to compute again.
    fn keep_rows(&mut self) {
        // The operations needed to compute a member again from what lies in memory.
        let mut costs: FxHashMap<NodeId, usize> = FxHashMap::default();
        for &id in &self.group.members {
            let value = Self::value(id);
            if self.fold_of(id).is_some() || self.kind(value) != RowKind::Row {
                continue;
            }
            let operands = self.lowering.graph.operands(id);
            let below: usize = operands
                .iter()
                .map(|v| match costs.get(&v.node) {
                    Some(&cost) => cost,
                    None if self.lowering.storage_of.contains_key(v) => 0,
                    None if self.lowering.analysis.is_pointwise(v.node) => {
                        self.lowering.analysis.cost(v.node)
                    }
                    None => 0,
                })
                .sum();
            let cost = below + self.lowering.analysis.cost(id);
            let level = self.levels[&id];
            let later = self
                .lowering
                .graph
                .users(value)
                .iter()
                .any(|(user, _)| self.levels.get(user).is_some_and(|&used_at| used_at > level));
            if later && cost > CHEAP && !self.rows.contains_key(&id) {
                let dtype = self.lowering.graph.node(id).types[0].dtype;
                let buffer = self.kernel.scratch(dtype, self.geometry.row_len);
                self.rows.insert(id, RowPlace { buffer, start: IndexExpr::default() });
            }
            let kept = self.rows.contains_key(&id);
            costs.insert(id, if kept { 0 } else { cost });
        }
    }

    /// The dtype of the elements of a row.
    fn dtype(&self) -> DType {
        let is_reduced = |id: &&NodeId| self.fold_of(**id).is_some();
        let first = self.group.members.iter().find(is_reduced);
        let first = *first.expect("a row group is founded by a reduction");
        self.lowering.graph.ty(self.lowering.graph.operands(first)[0]).dtype
    }

    fn pass(&mut self, pass: usize) -> Vec<Stmt> {
        let Range { start, end } = self.columns;
        let len = end - start;
        let dtype = self.dtype();
        let columns = (TILE_VECTORS * self.lowering.registers(dtype).bytes / 4).min(len);
        if let Some(part) = self.part {
            let columns = columns_of_part(part, columns);
            let loops = vec![(len / part, part), (part / columns, columns)];
            return vec![Stmt::Tile(self.tile(pass, Run { loops, columns, start }))];
        }
        let (n_full, rest) = (len / columns, len % columns);
        let full = Run { loops: vec![(n_full, columns)], columns, start };
        let mut out = vec![Stmt::Tile(self.tile(pass, full))];
        if rest > 0 {
            let start = start + n_full * columns;
            let last = Run { loops: vec![(1, rest)], columns: rest, start };
            out.push(Stmt::Tile(self.tile(pass, last)));
        }
        out
    }

    /// The tile that a run repeats.
    fn tile(&mut self, pass: usize, run: Run) -> Tile {
        let Run { loops, columns, start } = run;
        let steps: Vec<AxisId> = loops.iter().map(|&(n, _)| self.kernel.axis("t", n)).collect();
        let one = self.kernel.axis("r", 1);
        let column = self.kernel.axis("c", columns);
        let mut j = IndexExpr::axis(column).offset(start as i64);
        for (&axis, (_, step)) in steps.iter().zip(&loops) {
            j = j.add(&IndexExpr::axis(axis).scale(*step as i64));
        }
        let j = j.simplify(&self.kernel.kernel.extents());
        let position = self.row.scale(self.geometry.row_len as i64).add(&j);
        let (group, graph) = (self.group, self.lowering.graph);
        let bindings = self.bindings(pass, &j);
        let mut b = TileBuilder::new(self.lowering, &mut self.kernel, one, column, &steps);
        b.set_members(&group.members);
        bindings.into_iter().for_each(|(value, binding)| b.bind(value, binding));
        let mut sums: Vec<(NodeId, Op, ValueId)> = Vec::new();
        for &id in group.members.iter().filter(|id| self.levels[id] == pass) {
            match b.lowering.analysis.structure(id) {
                Structure::Reduce(fold) => {
                    let operand = graph.operands(id)[0];
                    let x = b.at_position(operand, &position);
                    let dtype = graph.ty(operand).dtype;
                    let op = fold_op(fold.kind, dtype);
                    let sum = b.accumulator(fold.kind.identity(dtype));
                    let next = b.apply(op, &[sum, x]);
                    b.update(sum, next);
                    sums.push((id, op, sum));
                }
                _ => {
                    let value = Self::value(id);
                    if let Some(RowPlace { buffer, start }) = self.rows.get(&id) {
                        let x = b.at_position(value, &position);
                        b.store(*buffer, start.add(&j), x);
                        b.bind(value, Binding::Value(x));
                    }
                }
            }
        }
        b.start_finish();
        for (id, op, sum) in sums {
            let cell = self.cells[&id];
            let mut total = b.push(Inst::FoldColumns(op, sum));
            if start > self.columns.start {
                let before = b.load(cell, IndexExpr::default(), &[], None);
                total = b.apply(op, &[before, total]);
            }
            b.store(cell, IndexExpr::default(), total);
        }
        b.finish(1)
    }

    /// What earlier passes have left behind.
    fn bindings(&self, pass: usize, j: &IndexExpr) -> Vec<(Value, Binding)> {
        let at = |place: &RowPlace| Binding::Element(place.buffer, place.start.add(j));
        let mut out: Vec<(Value, Binding)> =
            self.inputs.iter().map(|(value, place)| (*value, at(place))).collect();
        for (&id, &level) in &self.levels {
            if level >= pass {
                continue;
            }
            let value = Self::value(id);
            if self.fold_of(id).is_some() {
                out.push((value, Binding::Element(self.cells[&id], IndexExpr::default())));
            } else if let Some(place) = self.rows.get(&id) {
                out.push((value, at(place)));
            }
        }
        out
    }

    /// Stores the outputs that have one element per row.
    fn outer_results(&mut self) -> Option<Stmt> {
        let outputs: Vec<Value> = self.group.outputs.clone();
        let outer: Vec<Value> =
            outputs.into_iter().filter(|v| self.kind(*v) == RowKind::Outer).collect();
        if outer.is_empty() {
            return None;
        }
        let (one, column) = (self.kernel.axis("r", 1), self.kernel.axis("c", 1));
        let bindings = self.bindings(usize::MAX, &IndexExpr::default());
        let position = self.row.clone();
        let mut b = TileBuilder::new(self.lowering, &mut self.kernel, one, column, &[]);
        b.set_members(&self.group.members);
        for (value, binding) in bindings {
            b.bind(value, binding);
        }
        for value in outer {
            let storage = b.lowering.storage_of[&value];
            let x = b.at_position(value, &position);
            b.store_at(storage, &position, x);
        }
        Some(Stmt::Tile(b.finish(1)))
    }
}

impl TileBuilder<'_, '_> {
    /// A value at a row-major position; computed where it is about to be stored.
    fn at_position(&mut self, value: Value, position: &IndexExpr) -> ValueId {
        let index = delinearise(position, &self.lowering.extents(value), self.extents());
        self.value(value, &index, &[])
    }
}

/// The columns of equal tiles that a part of a row is cut into, at most so many.
pub(super) fn columns_of_part(part: usize, most: usize) -> usize {
    (1..=most.min(part)).rev().find(|n| part.is_multiple_of(*n)).unwrap_or(1)
}

/// Whether every place of a kernel's tiles is affine in the axes that run inside.
fn is_strided(kernel: &Kernel) -> bool {
    let mut all = true;
    kernel.for_each_tile(&mut |tile| {
        let axes: Vec<AxisId> =
            tile.loops.iter().copied().chain([tile.rows, tile.columns]).collect();
        let affine = |place: &Place| axes.iter().all(|&a| place.index.stride_of(a).is_some());
        all &= tile.insts.iter().all(|inst| match inst {
            Inst::Load { place, .. } | Inst::Store { place, .. } => affine(place),
            _ => true,
        });
    });
    all
}

/// The scalar operation of a fold; on bools the larger is `or` and the smaller `and`.
pub(super) fn fold_op(kind: FoldKind, dtype: DType) -> Op {
    match (kind, dtype) {
        (FoldKind::Max, DType::Bool) => Op::Or,
        (FoldKind::Min, DType::Bool) => Op::And,
        _ => kind.op(),
    }
}
