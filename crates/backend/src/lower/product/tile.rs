//! The register tile of a sum of products.

use tracelift_loops::{BufferId, Inst, Tile, ValueId};
use tracelift_scalar::{Guard, IndexExpr, Op};
use tracelift_tensor::Scalar;

use super::{FoldRange, Nest, Panel, Phase, Product, RightOperand, Share};
use crate::lower::{
    StorageId, fold::store_results, pointwise::index_position, register_tile::most_rows,
    tile_builder::TileBuilder,
};

/// The multiply-adds that must be under way at once to keep the units busy.
const MIN_CHAINS: usize = 8;
/// The longest loop that is unrolled whole.
const MAX_UNROLL: usize = 8;

/// What a tile computes.
pub(super) struct TilePlan<'p> {
    pub(super) panel: Panel,
    /// The first position along the outer (within the block) and the inner row axis.
    pub(super) at: [IndexExpr; 2],
    /// Which of the two its rows run along.
    pub(super) along: usize,
    pub(super) n_rows: usize,
    pub(super) ranges: &'p [FoldRange],
    /// Whether there is nothing to fold over.
    pub(super) is_empty: bool,
    pub(super) phase: &'p Phase,
    /// What it fetches for later.
    pub(super) share: Option<Share>,
}

/// A tile's axes and loops.
struct TileNest {
    row: usize,
    column: usize,
    /// The space's axes over the kernel's, the innermost folded one apart.
    axes: Vec<IndexExpr>,
    loops: Vec<usize>,
    /// The innermost folded axis.
    innermost: Option<Innermost>,
    /// The position in scratch.
    partial: IndexExpr,
}

/// The innermost folded axis, several points of which are done at once.
struct Innermost {
    axis: usize,
    start: IndexExpr,
    len: usize,
    looped: usize,
    /// How many partial sums there are.
    chains: usize,
}

impl Innermost {
    /// The coordinate of a partial sum's point inside the loop.
    fn inside(&self, chain: usize) -> IndexExpr {
        let step = IndexExpr::axis(self.looped).scale(self.chains as i64);
        self.start.add(&step).offset(chain as i64)
    }

    /// The coordinate of a point left over after the loop.
    fn after(&self, chain: usize) -> IndexExpr {
        let done = self.len - self.len % self.chains;
        self.start.offset((done + chain) as i64)
    }
}

/// Both operands' positions over the space's axes.
struct Positions {
    left: IndexExpr,
    right: IndexExpr,
    /// What is added to the right operand's position, over the kernel's axes.
    right_start: IndexExpr,
    right_storage: StorageId,
}

/// What the instructions of a tile are made from.
struct Sums<'s> {
    product: &'s Product,
    positions: Positions,
    nest: TileNest,
    extents: Vec<usize>,
    left: BufferId,
    right: BufferId,
    /// The place in the right operand that an iteration fetches.
    ahead: Option<IndexExpr>,
    /// From the place in the left operand that an iteration reads to those that it fetches.
    rows_ahead: Vec<i64>,
}

impl Sums<'_> {
    fn over(&self, axes: &[IndexExpr], e: &IndexExpr) -> IndexExpr {
        e.substitute(&|a| axes[a].clone(), &self.extents)
    }

    /// The space's axes where the innermost folded one is at a coordinate.
    fn axes(&self, coordinate: impl Fn(&Innermost) -> IndexExpr) -> Vec<IndexExpr> {
        let mut axes = self.nest.axes.clone();
        if let Some(inner) = &self.nest.innermost {
            axes[inner.axis] = coordinate(inner);
        }
        axes
    }

    fn multiply_add(
        &self,
        b: &mut TileBuilder<'_, '_>,
        axes: &[IndexExpr],
        sum: ValueId,
    ) -> ValueId {
        let tested = self.product.tested.iter().map(|g| Guard {
            expr: self.over(axes, &g.expr).simplify(&self.extents),
            extent: g.extent,
        });
        let tested: Vec<Guard> = tested.filter(|g| g.decide(&self.extents) != Some(true)).collect();
        let x = b.load(self.left, self.over(axes, &self.positions.left), &tested, None);
        let right = self.over(axes, &self.positions.right).add(&self.positions.right_start);
        let y = b.load(self.right, right.simplify(&self.extents), &[], None);
        let next = if self.product.dtype.is_float() {
            b.apply(Op::Fma, &[x, y, sum])
        } else {
            let product = b.apply(Op::Mul, &[x, y]);
            b.apply(Op::Add, &[sum, product])
        };
        b.where_holds(&tested, next, sum)
    }

    /// The place in the left operand that an iteration reads for the tile's first row.
    fn first_row(&self) -> IndexExpr {
        let place = self.over(&self.axes(|inner| inner.inside(0)), &self.positions.left);
        let is_row = |a: usize| a == self.nest.row;
        let axis = |a| if is_row(a) { IndexExpr::default() } else { IndexExpr::axis(a) };
        place.substitute(&axis, &self.extents)
    }

    /// Emits the loops; gives the partial sums, the first of which goes on from scratch if that is
    /// given.
    fn looped(&self, b: &mut TileBuilder<'_, '_>, scratch: Option<BufferId>) -> Vec<ValueId> {
        let n_chains = self.nest.innermost.as_ref().map_or(1, |inner| inner.chains);
        let start = |chain: usize| match scratch.filter(|_| chain == 0) {
            Some(scratch) => {
                let partial = b.load(scratch, self.nest.partial.clone(), &[], None);
                b.push(Inst::Accumulator(partial))
            }
            None => b.accumulator(Scalar::zero(self.product.dtype)),
        };
        let sums: Vec<ValueId> = (0..n_chains).map(start).collect();
        for (chain, &sum) in sums.iter().enumerate() {
            let axes = self.axes(|inner| inner.inside(chain));
            let next = self.multiply_add(b, &axes, sum);
            b.update(sum, next);
        }
        if let Some(ahead) = &self.ahead {
            b.prefetch(self.right, ahead.clone());
        }
        for &distance in &self.rows_ahead {
            b.prefetch(self.left, self.first_row().offset(distance));
        }
        sums
    }

    /// Adds the points left over after the loops, and the partial sums in pairs.
    fn total(&self, b: &mut TileBuilder<'_, '_>, mut sums: Vec<ValueId>) -> ValueId {
        let n_left = self.nest.innermost.as_ref().map_or(0, |inner| inner.len % inner.chains);
        for (chain, sum) in sums.iter_mut().take(n_left).enumerate() {
            let axes = self.axes(|inner| inner.after(chain));
            *sum = self.multiply_add(b, &axes, *sum);
        }
        while sums.len() > 1 {
            let pairs = sums.chunks(2).map(|pair| match pair {
                [x, y] => b.apply(Op::Add, &[*x, *y]),
                _ => pair[0],
            });
            sums = pairs.collect();
        }
        sums[0]
    }
}

impl Nest<'_, '_, '_> {
    pub(super) fn tile(&mut self, plan: &TilePlan<'_>) -> Tile {
        let positions = self.positions(&plan.panel);
        let nest = self.tile_nest(plan, &positions);
        let (product, outputs, scratch) = (self.product, self.outputs, self.scratch);
        let size = |(rows, columns): (usize, usize)| rows * columns;
        let shape = (plan.n_rows, plan.panel.columns);
        self.largest = std::cmp::max_by_key(self.largest, shape, |t| size(*t));
        let storages = &self.lowering.out.storages;
        let ahead =
            plan.share.as_ref().and_then(|share| self.ahead(share, plan, &positions, &nest));
        let sums = Sums {
            product,
            ahead,
            rows_ahead: self.rows_ahead(plan),
            left: self.kernel.read(product.left.storage, storages),
            right: self.kernel.read(positions.right_storage, storages),
            extents: self.kernel.kernel.extents(),
            positions,
            nest,
        };
        let TileNest { row, column, loops, partial, .. } = &sums.nest;
        let mut b = TileBuilder::new(self.lowering, &mut self.kernel, *row, *column, loops);
        let sum = match plan.is_empty {
            true => {
                let zero = b.constant(Scalar::zero(product.dtype));
                b.start_finish();
                zero
            }
            false => {
                let partial = sums.looped(&mut b, scratch.filter(|_| plan.phase.resumes));
                b.start_finish();
                sums.total(&mut b, partial)
            }
        };
        match scratch.filter(|_| !plan.phase.completes) {
            Some(scratch) => b.store(scratch, partial.clone(), sum),
            None => {
                let axes = &sums.nest.axes;
                let index: Vec<IndexExpr> =
                    product.space.index.iter().map(|e| sums.over(axes, e)).collect();
                store_results(&mut b, outputs, sum, &index);
            }
        }
        b.finish(sums.nest.innermost.as_ref().map_or(1, Innermost::unroll))
    }

    /// The place that an iteration of the innermost loop fetches: the elements of a tile's share one
    /// after another.
    fn ahead(
        &self,
        share: &Share,
        plan: &TilePlan<'_>,
        positions: &Positions,
        nest: &TileNest,
    ) -> Option<IndexExpr> {
        let inner = nest.innermost.as_ref()?;
        let extents = self.kernel.kernel.extents();
        let mut axes = nest.axes.clone();
        axes[inner.axis] = inner.start.clone();
        axes[self.product.columns] = plan.panel.index.scale(self.product.width as i64);
        let now = positions.right.substitute(&|a| axes[a].clone(), &extents);
        let step = IndexExpr::axis(inner.looped).scale((inner.chains * share.per_point) as i64);
        let start = share.ordinal.scale((inner.len * share.per_point) as i64);
        let ahead = now.add(&positions.right_start).add(&share.distance).add(&start).add(&step);
        Some(ahead.simplify(&extents))
    }

    /// Maps the space's axes to those of the grid, the loops around and the tile.
    fn tile_nest(&mut self, plan: &TilePlan<'_>, positions: &Positions) -> TileNest {
        let product = self.product;
        let space = &product.space;
        let row = self.kernel.axis("r", plan.n_rows);
        let column = self.kernel.axis("c", plan.panel.columns);
        let mut at = plan.at.clone();
        at[plan.along] = at[plan.along].add(&IndexExpr::axis(row));
        let partial = at[0]
            .scale(self.inner_rows as i64)
            .add(&at[1])
            .scale(product.width as i64)
            .add(&IndexExpr::axis(column));
        let (block, size) = self.block;
        at[0] = at[0].add(&IndexExpr::axis(block).scale(size as i64));
        let extents = self.kernel.kernel.extents();
        let mut axes = self.axes.clone();
        axes[product.columns] =
            plan.panel.index.scale(product.width as i64).add(&IndexExpr::axis(column));
        for (k, &a) in product.rows.iter().enumerate() {
            axes[a] = at[k].simplify(&extents);
        }
        axes.resize(space.extents.len(), IndexExpr::default());
        let mut ranges: Vec<FoldRange> = plan.ranges.to_vec();
        ranges.iter().for_each(|r| axes[r.axis] = r.start.clone());
        ranges.retain(|r| r.len > 1);
        join_ranges(&mut ranges, &mut axes, product, positions);
        let innermost = ranges.pop();
        let mut loops = Vec::new();
        for range in &ranges {
            let axis = self.kernel.axis("k", range.len);
            axes[range.axis] = range.start.add(&IndexExpr::axis(axis));
            loops.push(axis);
        }
        let innermost = innermost.map(|range| {
            let chains = self.chains(plan, range.len, loops.is_empty());
            let looped = self.kernel.axis("k", range.len / chains);
            loops.push(looped);
            let FoldRange { axis, start, len } = range;
            Innermost { axis, start, len, looped, chains }
        });
        if loops.is_empty() {
            loops.push(self.kernel.axis("k", 1));
        }
        TileNest { row, column, axes, loops, innermost, partial }
    }

    /// How many partial sums a tile keeps for each of its points: with few accumulators, one
    /// multiply-add would wait for the one before.
    fn chains(&self, plan: &TilePlan<'_>, len: usize, is_only_loop: bool) -> usize {
        let registers = self.lowering.registers(self.product.dtype);
        let lanes = registers.lanes(self.product.dtype);
        let vectors = plan.panel.columns.div_ceil(lanes);
        let n_accumulators = plan.n_rows * vectors;
        let room = most_rows(registers, vectors) * vectors / n_accumulators;
        let wanted = MIN_CHAINS.div_ceil(n_accumulators).min(room).min(len / 2).max(1);
        // What is left over after an inner loop would have to be done again and again.
        (1..=wanted).rev().find(|n| is_only_loop || len.is_multiple_of(*n)).unwrap_or(1)
    }

    /// Where the operands lie, over the space's axes.
    fn positions(&self, panel: &Panel) -> Positions {
        let product = self.product;
        let left = product.left.position.clone();
        match &product.right {
            RightOperand::InPlace(read) => {
                let (right, right_storage) = (read.position.clone(), read.storage);
                Positions { left, right, right_start: IndexExpr::default(), right_storage }
            }
            RightOperand::Panels { storage, others, .. } => {
                let depth: usize =
                    product.folded.iter().map(|&a| product.space.extents[a]).product();
                let right = panel_position(product, others, depth, panel);
                // The column's position counts as many columns of each panel before it already.
                let before = (product.width * (depth - 1)) as i64;
                let right_start = panel.index.scale(before);
                Positions { left, right, right_start, right_storage: *storage }
            }
        }
    }
}

impl Innermost {
    fn unroll(&self) -> usize {
        let trips = self.len / self.chains;
        if trips <= MAX_UNROLL { trips } else { 4usize.div_ceil(self.chains) }
    }
}

/// Takes neighbouring folded axes together where both operands lie as along one.
fn join_ranges(
    ranges: &mut Vec<FoldRange>,
    axes: &mut [IndexExpr],
    product: &Product,
    positions: &Positions,
) {
    let space = &product.space;
    let is_tested = |a: usize| product.tested.iter().any(|g| g.expr.mentions(a));
    let mut k = 0;
    while k + 1 < ranges.len() {
        let (outer, inner) = (&ranges[k], &ranges[k + 1]);
        let extent = space.extents[inner.axis];
        let joins = |e: &IndexExpr| {
            let inner = e.stride_of(inner.axis).map(|s| s * extent as i64);
            inner.is_some() && e.stride_of(outer.axis) == inner
        };
        let tested = is_tested(outer.axis) || is_tested(inner.axis);
        if !tested && inner.len == extent && joins(&positions.left) && joins(&positions.right) {
            let start = outer.start.scale(extent as i64);
            let joined = FoldRange { axis: inner.axis, start, len: outer.len * extent };
            // The inner axis counts for both.
            axes[outer.axis] = IndexExpr::default();
            axes[inner.axis] = joined.start.clone();
            ranges[k] = joined;
            ranges.remove(k + 1);
        } else {
            k += 1;
        }
    }
}

/// The position of an element in the panel it lies in, and of its column among all columns.
fn panel_position(product: &Product, others: &[usize], depth: usize, panel: &Panel) -> IndexExpr {
    let space = &product.space;
    let position = |axes: &[usize]| {
        let index: Vec<IndexExpr> = axes.iter().map(|&a| IndexExpr::axis(a)).collect();
        let dims: Vec<usize> = axes.iter().map(|&a| space.extents[a]).collect();
        index_position(&index, &dims)
    };
    let other = position(others).scale((depth * space.extents[product.columns]) as i64);
    let folded = position(&product.folded).scale(product.row_of_panel(panel.columns) as i64);
    other.add(&folded).add(&IndexExpr::axis(product.columns))
}
