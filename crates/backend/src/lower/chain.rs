//! Chains: a product, rows of it, a product of these, a block of rows at a time.
//!
//! `scores = q · k` with its epilogue, then a row kernel such as softmax, then `weights · v`: a task
//! does all three for some rows of the scores, which only ever lie in its scratch. Where the
//! operands do not allow this, each part gets a kernel of its own. What a mask known at compile time
//! hides of the scores is left out, in whole vectors and blocks of rows.

use std::ops::Range;

use tracelift_ir::{Structure, Value};
use tracelift_loops::{AxisId, BufferId, Stmt, Tile};
use tracelift_scalar::{IndexExpr, Op, linearise};
use tracelift_tensor::{DType, Scalar};

use super::{
    Group, GroupKind, KernelBuilder, Lowering, StorageKind,
    analysis::RowGeometry,
    fold::{FoldOutputs, FoldRead, FoldSpace, store_results},
    product::within,
    register_tile::{TileRun, most_rows, panel_columns, tile_runs},
    resolve::MemoryRead,
    row::{RowPlace, RowStage},
    tile_builder::{Binding, TileBuilder},
    visible::Visible,
};

/// The fewest tasks worth having, where blocks can be made smaller.
const MIN_TASKS: usize = 8;
/// The fewest rows of a block, where there are more.
const MIN_ROWS: usize = 6;
/// The most bands worth code of their own.
const MAX_BANDS: usize = 8;
/// What a block costs besides its rows, in rows: it reads all keys and values.
const BLOCK_ROWS: usize = 2;

/// A chain that one kernel computes.
struct Chain<'c> {
    first: &'c Group,
    rows: &'c Group,
    geometry: RowGeometry,
    scores: FoldSpace,
    score_operands: [MemoryRead; 2],
    results: FoldSpace,
    /// What the second product multiplies with.
    values: MemoryRead,
    /// For each axis of the scores, that of the second product.
    axes: Vec<usize>,
    /// The second product's axis of columns.
    columns: usize,
    /// The rows of a block.
    block: usize,
    bands: Vec<Band>,
}

/// Neighbouring blocks of rows for which the same columns are computed.
struct Band {
    blocks: Range<usize>,
    columns: Range<usize>,
}

impl Lowering<'_> {
    pub(super) fn lower_chain(&mut self, group: &Group) {
        let [first, rows, last] = group.parts.as_slice() else {
            unreachable!("a chain has three parts")
        };
        let words = match self.chain(first, rows, last) {
            Ok(chain) => {
                let words = chain.words();
                self.chain_kernel(group, chain, last);
                words
            }
            Err(reason) => {
                group.parts.iter().for_each(|part| self.lower_group(part));
                format!("a kernel for each part: {reason}")
            }
        };
        self.choices.insert(group.members[0], words);
    }

    fn fold_space(&self, group: &Group) -> FoldSpace {
        let anchor = anchor(group);
        let Structure::Contract(fold) = self.analysis.structure(anchor.node) else {
            unreachable!("chains have contractions at both ends")
        };
        FoldSpace::new(&self.extents(anchor), &self.graph.operands(anchor.node), fold)
    }

    /// The chain, or why its parts need kernels of their own.
    fn chain<'c>(
        &mut self,
        first: &'c Group,
        rows: &'c Group,
        last: &'c Group,
    ) -> Result<Chain<'c>, &'static str> {
        let GroupKind::Row(geometry) = rows.kind else { unreachable!("the second part is rows") };
        let (scores, results) = (self.fold_space(first), self.fold_space(last));
        for space in [&scores, &results] {
            let identity = (0..space.n_result).all(|a| space.index[a] == IndexExpr::axis(a));
            let plain = space.is_product() && space.guards.is_empty() && identity;
            if !plain || space.term.dtype() != DType::F32 || space.extents.contains(&0) {
                return Err("they are not plain products of f32");
            }
        }
        let (n, weights) = (scores.n_result, rows.outputs[0]);
        let dims = &scores.extents[..n];
        if n < 2 || self.extents(weights) != dims || geometry.row_len != dims[n - 1] {
            return Err("the rows are not those of the product");
        }
        let (row, column) = (n - 2, n - 1);
        let score_operands = self.score_operands(&scores, row, column)?;
        let (values, axes) = self.value_operand(&results, weights)?;
        let is_known = |read: &MemoryRead| {
            matches!(self.out.storages[read.storage].kind, StorageKind::Constant(_))
        };
        if [&score_operands[1], &values].into_iter().any(is_known) {
            return Err("weights are read best in panels");
        }
        let folded = results.folded();
        let columns = (0..results.n_result).rev().find(|&a| results.extents[a] > 1);
        let columns = columns.filter(|a| !axes.contains(a)).ok_or("rows are not summed over")?;
        let free = |a: usize| axes.contains(&a) || a == columns || results.extents[a] == 1;
        let fits = axes[column] >= results.n_result
            && folded.iter().all(|a| *a == axes[column])
            && axes[..column].iter().all(|&a| a < results.n_result)
            && (0..results.n_result).all(free);
        let stride = |a: usize| values.position.stride_of(a);
        let plain = stride(columns).is_some_and(|s| s != 0)
            && stride(axes[column]).is_some()
            && !values.position.mentions(axes[row]);
        if !fits || !plain {
            return Err("rows are not summed over");
        }
        let visible = self.visible(anchor(first), &scores, (first, rows));
        let (block, bands) = self
            .blocks(&scores.extents[..n], visible.as_ref())
            .ok_or("no even block of rows fits the cache")?;
        Ok(Chain {
            first,
            rows,
            geometry,
            scores,
            score_operands,
            results,
            values,
            axes,
            columns,
            block,
            bands,
        })
    }

    /// The first product's operands: that of the rows, then that of the columns.
    fn score_operands(
        &mut self,
        scores: &FoldSpace,
        row: usize,
        column: usize,
    ) -> Result<[MemoryRead; 2], &'static str> {
        let operands = self.product_operands(scores).ok_or("an operand is not in memory")?;
        let has = |k: usize, a: usize| operands[k].position.mentions(a);
        let (l, r) = match (has(0, column), has(1, column)) {
            (false, true) => (0, 1),
            (true, false) => (1, 0),
            _ => return Err("both operands have columns"),
        };
        let inner: Vec<usize> = [row, column].into_iter().chain(scores.folded()).collect();
        let affine = |k: usize| inner.iter().all(|&a| operands[k].position.stride_of(a).is_some());
        if has(r, row) || !affine(l) || !affine(r) {
            return Err("the operands are not strided");
        }
        Ok([operands[l].clone(), operands[r].clone()])
    }

    /// What the second product multiplies the rows with, and its axis for each of the rows' axes.
    fn value_operand(
        &mut self,
        results: &FoldSpace,
        weights: Value,
    ) -> Result<(MemoryRead, Vec<usize>), &'static str> {
        let reads = |k: usize| match &results.reads[k] {
            FoldRead::Value(value, index) => (*value, index.clone()),
            FoldRead::Memory(_) => unreachable!("nothing is padded yet"),
        };
        let k = (0..2).find(|&k| reads(k).0 == weights).ok_or("rows are moved before")?;
        let axis = |e: &IndexExpr| (0..results.extents.len()).find(|&a| *e == IndexExpr::axis(a));
        let axes: Option<Vec<usize>> = reads(k).1.iter().map(axis).collect();
        let axes = axes.ok_or("rows are moved before")?;
        let distinct = axes.iter().enumerate().all(|(k, a)| !axes[..k].contains(a));
        let (value, index) = reads(1 - k);
        let read = self.resolve(value, index, &results.extents);
        let read = read.filter(|_| distinct && value != weights);
        Ok((read.ok_or("an operand is not in memory")?, axes))
    }

    /// The rows of a block, a divisor of all rows, so that all blocks are equal, and the bands.
    fn blocks(&self, dims: &[usize], visible: Option<&Visible>) -> Option<(usize, Vec<Band>)> {
        let (len, n_rows) = (dims[dims.len() - 1], dims[dims.len() - 2]);
        let n_outer: usize = dims[..dims.len() - 2].iter().product();
        // Scores and weights fill half of the cache.
        let most = self.target.l2_bytes / 2 / (2 * 4 * len);
        let fitting = (1..=n_rows.min(most)).filter(|b| n_rows.is_multiple_of(*b));
        let fitting: Vec<usize> = fitting.filter(|&b| b >= MIN_ROWS || b == n_rows).collect();
        let enough = |b: &&usize| n_outer * (n_rows / **b) >= MIN_TASKS;
        let Some(visible) = visible else {
            let block = *fitting.iter().rev().find(enough).or(fitting.first())?;
            return Some((block, vec![Band { blocks: 0..n_rows / block, columns: 0..len }]));
        };
        let lanes = self.registers(DType::F32).lanes(DType::F32);
        let cost = |(block, bands): &(usize, Vec<Band>)| -> usize {
            bands.iter().map(|b| b.blocks.len() * (block + BLOCK_ROWS) * b.columns.len()).sum()
        };
        let ways = |all: bool| {
            let blocks = fitting.iter().filter(move |b| all || enough(b));
            blocks.map(|&block| (block, bands(visible, block, len, lanes))).min_by_key(cost)
        };
        ways(false).or_else(|| ways(true))
    }

    fn chain_kernel(&mut self, group: &Group, mut chain: Chain<'_>, last: &Group) {
        let row = chain.scores.n_result - 2;
        let column = row + 1;
        let [_, keys] = &chain.score_operands;
        if keys.position.stride_of(column) != Some(1) {
            chain.score_operands[1] = self.columns_apart(&chain.scores, keys, column);
        }
        if chain.values.position.stride_of(chain.columns) != Some(1) {
            chain.values = self.columns_apart(&chain.results, &chain.values, chain.columns);
        }
        let value = anchor(last);
        let stores = last.outputs.iter().map(|v| (*v, self.new_storage_for(*v))).collect();
        let dims = self.extents(value);
        let outputs = FoldOutputs { anchor: value, members: &last.members, stores, dims };
        let mut kernel = KernelBuilder::new();
        let outer: Vec<AxisId> =
            (0..row).map(|a| kernel.grid_axis("i", chain.scores.extents[a])).collect();
        let block = kernel.grid_axis("m", chain.scores.extents[row] / chain.block);
        let len = chain.block * chain.geometry.row_len;
        let [scores, weights] = [(); 2].map(|()| kernel.scratch(DType::F32, len));
        kernel.kernel.name = format!("f32_chain_{}x{}", chain.block, chain.geometry.row_len);
        let mut builder =
            Builder { lowering: self, kernel, chain: &chain, outer, block, scores, weights };
        let body = builder.bands(&outputs);
        let mut kernel = builder.kernel;
        kernel.kernel.body = body;
        self.add_step(kernel, &self.provenance_of(&group.members));
    }

    /// A copy of an operand whose columns lie side by side.
    fn columns_apart(
        &mut self,
        space: &FoldSpace,
        read: &MemoryRead,
        columns: usize,
    ) -> MemoryRead {
        let others: Vec<usize> =
            (0..space.n_result).filter(|&a| a != columns && read.position.mentions(a)).collect();
        self.copy_right(space, read, &others, &space.folded(), columns)
    }
}

impl Chain<'_> {
    /// How the kernel goes over the scores.
    fn words(&self) -> String {
        let mut words = format!("one kernel, {} rows at a time", self.block);
        if self.bands.iter().any(|band| band.columns != (0..self.geometry.row_len)) {
            let ranges = self.bands.iter().map(|band| format!("{:?}", band.columns));
            let ranges: Vec<String> = ranges.collect();
            words += &format!(", of the columns that a mask leaves: {}", ranges.join(", "));
        }
        words
    }
}

/// The bands of blocks of rows, whose columns are whole vectors, or several where the bands would be
/// too many.
fn bands(visible: &Visible, block: usize, len: usize, lanes: usize) -> Vec<Band> {
    let mut grain = lanes;
    loop {
        let mut out: Vec<Band> = Vec::new();
        for (k, rows) in visible.chunks(block).enumerate() {
            let some = rows.iter().filter(|r| !r.is_empty());
            let start = some.clone().map(|r| r.start).min().unwrap_or(0) / grain * grain;
            let end = some.map(|r| r.end).max().unwrap_or(1).next_multiple_of(grain).min(len);
            match out.last_mut().filter(|band| band.columns == (start..end)) {
                Some(band) => band.blocks.end = k + 1,
                None => out.push(Band { blocks: k..k + 1, columns: start..end }),
            }
        }
        if out.len() <= MAX_BANDS || grain >= len {
            return out;
        }
        grain *= 2;
    }
}

struct Builder<'k, 'g> {
    lowering: &'k mut Lowering<'g>,
    kernel: KernelBuilder,
    chain: &'k Chain<'k>,
    /// The grid's axes for the scores' axes but the last two.
    outer: Vec<AxisId>,
    /// The grid's axis of blocks of rows.
    block: AxisId,
    scores: BufferId,
    weights: BufferId,
}

/// Where a register tile lies in its block.
struct Corner {
    row: IndexExpr,
    column: IndexExpr,
    n_rows: usize,
    n_columns: usize,
}

impl Builder<'_, '_> {
    /// All three parts, band by band.
    fn bands(&mut self, outputs: &FoldOutputs<'_>) -> Vec<Stmt> {
        let chain = self.chain;
        let n_blocks = self.kernel.kernel.axes[self.block].extent;
        let rows = self.rows();
        let mut out = Vec::new();
        for (band, rows) in chain.bands.iter().zip(rows) {
            let mut body = self.scores(&band.columns);
            body.push(rows);
            body.extend(self.results(&band.columns, outputs));
            out.extend(within(self.block, band.blocks.clone(), n_blocks, body));
        }
        out
    }

    fn scores(&mut self, columns: &Range<usize>) -> Vec<Stmt> {
        self.tiles(columns.clone(), &mut |this, corner| this.score_tile(corner))
    }

    fn results(&mut self, summed: &Range<usize>, outputs: &FoldOutputs<'_>) -> Vec<Stmt> {
        let n = self.chain.results.extents[self.chain.columns];
        self.tiles(0..n, &mut |this, corner| this.result_tile(corner, summed, outputs))
    }

    /// Register tiles over some columns of the block.
    fn tiles(
        &mut self,
        columns: Range<usize>,
        tile: &mut dyn FnMut(&mut Self, &Corner) -> Tile,
    ) -> Vec<Stmt> {
        let chain = self.chain;
        let n = columns.len();
        let registers = self.lowering.registers(DType::F32);
        let lanes = registers.lanes(DType::F32);
        let width = panel_columns(registers, lanes, n);
        let mut out = Vec::new();
        for (start, count, n_columns) in [(0, n / width, width), (n - n % width, 1, n % width)] {
            if count * n_columns == 0 {
                continue;
            }
            let panel = self.kernel.axis("p", count);
            let column = IndexExpr::axis(panel).scale(width as i64);
            let column = column.offset((columns.start + start) as i64);
            let mut body = Vec::new();
            for run in tile_runs(chain.block, most_rows(registers, n_columns.div_ceil(lanes))) {
                let TileRun { start, n_tiles, rows: n_rows } = run;
                let axis = self.kernel.axis("t", n_tiles);
                let row = IndexExpr::axis(axis).scale(n_rows as i64).offset(start as i64);
                let corner = Corner { row, column: column.clone(), n_rows, n_columns };
                let tile = tile(self, &corner);
                body.push(Stmt::For { axis, body: vec![Stmt::Tile(tile)] });
            }
            out.push(Stmt::For { axis: panel, body });
        }
        out
    }

    /// The scores' axes but the last over the kernel's, for a row of the block.
    fn row_index(&self, row: &IndexExpr) -> Vec<IndexExpr> {
        let start = IndexExpr::axis(self.block).scale(self.chain.block as i64);
        let outer = self.outer.iter().map(|&a| IndexExpr::axis(a));
        outer.chain([start.add(row)]).collect()
    }

    /// A loop for each folded axis, at least one, of which one may only be folded over in part; the
    /// coordinates come behind the result's.
    fn loops(
        &mut self,
        space: &FoldSpace,
        part: Option<(usize, &Range<usize>)>,
        axes: &mut Vec<IndexExpr>,
    ) -> Vec<AxisId> {
        let mut loops = Vec::new();
        for a in space.n_result..space.extents.len() {
            let is_last = a + 1 == space.extents.len() && loops.is_empty();
            let range = match part {
                Some((axis, part)) if axis == a => part.clone(),
                _ => 0..space.extents[a],
            };
            let start = range.start as i64;
            axes.push(match range.len() {
                1 if !is_last => IndexExpr::constant(start),
                extent => {
                    loops.push(self.kernel.axis("k", extent));
                    IndexExpr::axis(loops[loops.len() - 1]).offset(start)
                }
            });
        }
        loops
    }

    fn score_tile(&mut self, corner: &Corner) -> Tile {
        let chain = self.chain;
        let (r, c) =
            (self.kernel.axis("r", corner.n_rows), self.kernel.axis("c", corner.n_columns));
        let row = corner.row.add(&IndexExpr::axis(r));
        let column = corner.column.add(&IndexExpr::axis(c));
        let mut axes = self.row_index(&row);
        axes.push(column.clone());
        let index = axes.clone();
        let loops = self.loops(&chain.scores, None, &mut axes);
        let extents = self.kernel.kernel.extents();
        let over = |e: &IndexExpr| e.substitute(&|a| axes[a].clone(), &extents);
        let mut b = TileBuilder::new(self.lowering, &mut self.kernel, r, c, &loops);
        let sum = b.accumulator(Scalar::F32(0.0));
        let [x, y] = [0, 1].map(|k| {
            let read = &chain.score_operands[k];
            let buffer = b.kernel.read(read.storage, &b.lowering.out.storages);
            b.load(buffer, over(&read.position), &[], None)
        });
        let next = b.apply(Op::Fma, &[x, y, sum]);
        b.update(sum, next);
        b.start_finish();
        b.set_members(&chain.first.members);
        b.bind(anchor(chain.first), Binding::Value(sum));
        let value = b.value(chain.first.outputs[0], &index, &[]);
        let at = row.scale(chain.geometry.row_len as i64).add(&column);
        b.store(self.scores, at, value);
        b.finish(4)
    }

    fn result_tile(
        &mut self,
        corner: &Corner,
        summed: &Range<usize>,
        outputs: &FoldOutputs<'_>,
    ) -> Tile {
        let chain = self.chain;
        let (r, c) =
            (self.kernel.axis("r", corner.n_rows), self.kernel.axis("c", corner.n_columns));
        let row = corner.row.add(&IndexExpr::axis(r));
        let mut axes = vec![IndexExpr::default(); chain.results.n_result];
        for (&a, e) in chain.axes.iter().zip(self.row_index(&row)) {
            axes[a] = e;
        }
        axes[chain.columns] = corner.column.add(&IndexExpr::axis(c));
        let index = axes.clone();
        let column = chain.axes[chain.axes.len() - 1];
        let loops = self.loops(&chain.results, Some((column, summed)), &mut axes);
        let extents = self.kernel.kernel.extents();
        let over = |e: &IndexExpr| e.substitute(&|a| axes[a].clone(), &extents);
        let (weights, len) = (self.weights, chain.geometry.row_len as i64);
        let folded = &axes[column];
        let mut b = TileBuilder::new(self.lowering, &mut self.kernel, r, c, &loops);
        let sum = b.accumulator(Scalar::F32(0.0));
        let x = b.load(weights, row.scale(len).add(folded), &[], None);
        let buffer = b.kernel.read(chain.values.storage, &b.lowering.out.storages);
        let y = b.load(buffer, over(&chain.values.position), &[], None);
        let next = b.apply(Op::Fma, &[x, y, sum]);
        b.update(sum, next);
        store_results(&mut b, outputs, sum, &index);
        b.finish(4)
    }

    /// The rows of the block, one after another, for each band.
    fn rows(&mut self) -> Vec<Stmt> {
        let chain = self.chain;
        let axis = self.kernel.axis("o", chain.block);
        let local = IndexExpr::axis(axis);
        let dims = &chain.scores.extents[..chain.scores.n_result - 1];
        let row = linearise(&self.row_index(&local), dims);
        let start = local.scale(chain.geometry.row_len as i64);
        let stage = RowStage {
            group: chain.rows,
            geometry: chain.geometry,
            row,
            input: (chain.first.outputs[0], RowPlace { buffer: self.scores, start: start.clone() }),
            output: (chain.rows.outputs[0], RowPlace { buffer: self.weights, start }),
        };
        let kernel = std::mem::take(&mut self.kernel);
        let columns = chain.bands.iter().map(|band| band.columns.clone());
        let (kernel, bodies) = self.lowering.row_stage(kernel, stage, columns);
        self.kernel = kernel;
        bodies.into_iter().map(|body| Stmt::For { axis, body }).collect()
    }
}

/// The sum of products that founded a group.
fn anchor(group: &Group) -> Value {
    let GroupKind::Fold(node) = group.kind else { unreachable!("chains have folds at both ends") };
    Value { node, result: 0 }
}
