//! Recognises contractions and convolutions as matrix products, and prepares their operands.
//!
//! Rows of the register tile run along axes that only one operand (the left) has, columns along
//! the result's last axis, which only the other (the right) has. The right operand is read along
//! its columns: constants are packed into panels of that width at compile time, other operands are
//! copied where their columns are not contiguous. Not here: the loops (`product`).

use std::ops::Range;

use tracelift_scalar::{Guard, IndexExpr, IndexTerm};
use tracelift_tensor::DType;

use crate::recipe::{Pack, StridedCopy};

use super::{
    Lowering, StorageId, StorageKind,
    fold::{FoldOutputs, FoldRead, FoldSpace},
    hoist::hoist_guards,
    pointwise::index_position,
    product::{Product, RightOperand},
    register_tile::{most_rows_of, panel_columns},
    resolve::MemoryRead,
    segments::{segments, take_guards, window_axes},
};

/// The most pairs of segments worth a tile program each; with more, the operand is padded.
const MAX_SEGMENTS: usize = 25;
/// The most windows along an axis that are few.
const FEW_WINDOWS: usize = 8;
/// The fewest points folded over that are many.
const MANY_POINTS: usize = 1024;
/// The most points of an axis that a tile writes out.
const MAX_POINTS: usize = 7;
/// The most elements of padding that packed weights have.
const MAX_PADDING: usize = 4096;
/// The longest inner row axis that is taken whole by every task.
const MAX_INNER_ROWS: usize = 512;

impl Lowering<'_> {
    /// Recognises a fold as a sum of products over a register tile and prepares its operands.
    pub(super) fn contraction(
        &mut self,
        space: &FoldSpace,
        outputs: &FoldOutputs<'_>,
    ) -> Option<Product> {
        self.product_below(space, outputs, 0)
    }

    /// As [`contraction`](Self::contraction), but the first so many axes stay as they are.
    pub(super) fn product_below(
        &mut self,
        space: &FoldSpace,
        outputs: &FoldOutputs<'_>,
        n_outer: usize,
    ) -> Option<Product> {
        if !space.is_product() || space.extents.contains(&0) {
            return None;
        }
        let dtype = space.term.dtype();
        let (whole, mut space) = (space, space.clone());
        let columns = (0..space.n_result).rev().find(|&a| space.extents[a] > 1)?;
        let operands = self.product_operands(&space)?;
        let has = |k: usize, a: usize| operands[k].position.mentions(a);
        let (l, r) = match (has(0, columns), has(1, columns)) {
            (false, true) => (0, 1),
            (true, false) => (1, 0),
            _ => return None,
        };
        let affine = (0..space.extents.len()).all(|a| operands[r].position.stride_of(a).is_some());
        if !affine {
            return None;
        }
        let tests_rows = l == 0 && self.tests_rows(&space, columns, dtype);
        let cuts_rows = l == 0 && has_few_segments(&space) && !has_few_windows(&space);
        if !tests_rows && !cuts_rows {
            self.pad_left(&mut space);
        }
        let columns = self.merge_rows(&mut space, n_outer..columns, l, outputs)?;
        let columns = self.split_divided(&mut space, columns)?;
        let operands = self.product_operands(&space)?;
        // Along rows and what is folded over, tiles need elements at equal distances.
        let in_tiles = |a: &usize| *a >= space.n_result || !operands[r].position.mentions(*a);
        let mut in_tiles = (0..space.extents.len()).filter(in_tiles);
        if let FoldRead::Value(value, _) = whole.reads[l]
            && in_tiles.any(|a| operands[l].position.stride_of(a).is_none())
            && self.store_moved(value)
        {
            return self.product_below(whole, outputs, n_outer);
        }
        let (left, right) = (operands[l].clone(), operands[r].clone());
        let registers = self.registers(dtype);
        let width = panel_columns(registers, registers.lanes(dtype), space.extents[columns]);
        let folded = order_of_folding(&space, &left);
        let right = self.right_operand(&space, right, &folded, columns, width);
        let rows = row_plan(&space, &left, &right, n_outer..columns);
        let tested = match rows.last() {
            Some(&inner) if tests_rows => take_guards(&mut space, inner),
            _ => Vec::new(),
        };
        Some(Product { space, left, right, rows, tested, columns, width, folded, dtype })
    }

    /// Whether windows side by side fill one tile, which then decides for each whether it reads a
    /// point: the points of a short axis are written out, and what lies outside costs nothing.
    fn tests_rows(&self, space: &FoldSpace, columns: usize, dtype: DType) -> bool {
        let Some(&[outer, inner]) = window_axes(space).as_deref() else { return false };
        let registers = self.registers(dtype);
        let lanes = registers.lanes(dtype);
        let width = panel_columns(registers, lanes, space.extents[columns]);
        let n_rows = space.extents[inner];
        let most = most_rows_of(registers, width.div_ceil(lanes), n_rows);
        let folded = (space.n_result..space.extents.len())
            .filter(|&a| space.guards.iter().any(|g| g.expr.mentions(inner) && g.expr.mentions(a)));
        let n_points: usize = folded.map(|a| space.extents[a]).product();
        // The emitter for narrow vectors would test at run time.
        registers.bytes > 16
            && outer < inner
            && n_points <= MAX_POINTS
            && (most.div_ceil(2)..=most).contains(&n_rows)
            && segments(space, outer).len() <= MAX_SEGMENTS
    }

    pub(super) fn product_operands(&mut self, space: &FoldSpace) -> Option<Vec<MemoryRead>> {
        let reads = space.reads.iter();
        reads
            .map(|read| match read {
                FoldRead::Value(value, index) => {
                    self.resolve(*value, index.clone(), &space.extents)
                }
                FoldRead::Memory(read) => Some(read.clone()),
            })
            .collect()
    }

    /// Copies operand 0 into a padded buffer where guards would be needed, and reads from there.
    fn pad_left(&mut self, space: &mut FoldSpace) {
        if space.guards.is_empty() {
            return;
        }
        let FoldRead::Value(value, index) = space.reads[0].clone() else { return };
        let extents = self.extents(value);
        let mut lows = vec![0i64; extents.len()];
        let mut dims = extents.clone();
        for (axis, e) in index.iter().enumerate() {
            let (low, high) = e.bounds(&space.extents);
            lows[axis] = (-low).max(0);
            let after = (high - extents[axis] as i64 + 1).max(0);
            dims[axis] += (lows[axis] + after) as usize;
        }
        let dtype = self.graph.ty(value).dtype;
        let padded = self.temporary(dtype, dims.iter().product(), "padded");
        let mut kernel = self.pointwise(&dims, dtype, &mut |b, at| {
            let at: Vec<IndexExpr> = at.iter().zip(&lows).map(|(e, low)| e.offset(-low)).collect();
            let guards: Vec<Guard> = at
                .iter()
                .zip(&extents)
                .map(|(e, &extent)| Guard { expr: e.clone(), extent: extent as i64 })
                .filter(|g| g.decide(b.extents()) != Some(true))
                .collect();
            let x = b.value(value, &at, &guards);
            let x = b.zero_unless(&guards, x);
            let unpadded: Vec<IndexExpr> =
                at.iter().zip(&lows).map(|(e, low)| e.offset(*low)).collect();
            b.store_at(padded, &index_position(&unpadded, &dims), x);
        });
        hoist_guards(&mut kernel.kernel);
        let provenance = self.graph.node(value.node).provenance.clone();
        self.add_step(kernel, &provenance);
        let at: Vec<IndexExpr> = index.iter().zip(&lows).map(|(e, low)| e.offset(*low)).collect();
        let position = index_position(&at, &dims).simplify(&space.extents);
        space.reads[0] = FoldRead::Memory(MemoryRead { storage: padded, position });
        space.guards.clear();
    }

    /// Takes neighbouring axes among those of rows together where the left operand and all that the epilogue touches
    /// allow; gives the column axis.
    fn merge_rows(
        &mut self,
        space: &mut FoldSpace,
        rows: Range<usize>,
        l: usize,
        outputs: &FoldOutputs<'_>,
    ) -> Option<usize> {
        let mut columns = rows.end;
        let mut a = rows.start;
        while a + 1 < columns {
            let operands = self.product_operands(space)?;
            let (left, right) = (&operands[l].position, &operands[1 - l].position);
            let merges = |e: &IndexExpr| {
                let outer = e.stride_of(a);
                let inner = e.stride_of(a + 1).map(|s| s * space.extents[a + 1] as i64);
                outer.is_some() && (outer == inner || space.extents[a] == 1)
            };
            let rows_only = !right.mentions(a) && !right.mentions(a + 1);
            let both = left.mentions(a) || space.extents[a] == 1;
            let guarded = space.guards.iter().any(|g| g.expr.mentions(a) || g.expr.mentions(a + 1));
            let merged = rows_only && both && !guarded && merges(left);
            if merged && self.epilogue_positions(space, outputs).iter().all(merges) {
                space.merge(a);
                columns -= 1;
            } else {
                a += 1;
            }
        }
        Some(columns)
    }

    /// The elements of memory that the epilogue touches at a point, as far as they are known.
    fn epilogue_positions(
        &mut self,
        space: &FoldSpace,
        outputs: &FoldOutputs<'_>,
    ) -> Vec<IndexExpr> {
        let operands = outputs.members.iter().flat_map(|&id| self.graph.operands(id));
        let read: Vec<_> = operands
            .filter(|v| !outputs.members.contains(&v.node))
            .filter(|v| self.extents(*v) == outputs.dims)
            .collect();
        let resolved =
            read.into_iter().map(|v| self.resolve(v, space.index.clone(), &space.extents));
        let mut out: Vec<IndexExpr> = resolved.flatten().map(|read| read.position).collect();
        for (value, _) in &outputs.stores {
            let (_, position) =
                self.element(*value, &space.index).expect("what is computed has a storage");
            out.push(position.simplify(&space.extents));
        }
        out
    }

    /// Splits axes that an operand divides, so that its elements lie at equal distances along
    /// each; gives the column axis.
    fn split_divided(&mut self, space: &mut FoldSpace, columns: usize) -> Option<usize> {
        let mut columns = columns;
        loop {
            let operands = self.product_operands(space)?;
            let divided = operands.iter().find_map(|read| divided_axis(&read.position, space));
            let Some((axis, by)) = divided.filter(|(axis, _)| *axis != columns) else {
                return Some(columns);
            };
            space.split(axis, by);
            columns += usize::from(axis < columns);
        }
    }

    fn right_operand(
        &mut self,
        space: &FoldSpace,
        right: MemoryRead,
        folded: &[usize],
        columns: usize,
        tile_columns: usize,
    ) -> RightOperand {
        let others: Vec<usize> =
            (0..space.n_result).filter(|&a| a != columns && right.position.mentions(a)).collect();
        let depth: usize = folded.iter().map(|&a| space.extents[a]).product();
        let registers = self.registers(space.term.dtype());
        let lanes = registers.lanes(space.term.dtype());
        // Vectors of rows that are not whole ones would lie across two lines of the cache.
        let pad = space.extents[columns].next_multiple_of(lanes) - space.extents[columns];
        let pad = if others.is_empty() && depth * pad <= MAX_PADDING { pad } else { 0 };
        let shape = (columns, tile_columns, pad);
        if let Some(storage) = self.pack_panels(space, &right, (&others, folded), shape) {
            return RightOperand::Panels { storage, others, pad };
        }
        if right.position.stride_of(columns) == Some(1) {
            return RightOperand::InPlace(right);
        }
        RightOperand::InPlace(self.copy_right(space, &right, &others, folded, columns))
    }

    /// Has a constant packed into panels of so many columns, with padding after the rows of the last
    /// one; `None` where the operand is not constant.
    fn pack_panels(
        &mut self,
        space: &FoldSpace,
        right: &MemoryRead,
        (others, folded): (&[usize], &[usize]),
        (columns, tile_columns, pad): (usize, usize, usize),
    ) -> Option<StorageId> {
        if !matches!(self.out.storages[right.storage].kind, StorageKind::Constant(_)) {
            return None;
        }
        let stride = |a: usize| right.position.stride_of(a).expect("the right operand is affine");
        let extent = |a: usize| space.extents[a];
        let (n_full, rest) = (extent(columns) / tile_columns, extent(columns) % tile_columns);
        let mut bases = vec![right.position.constant];
        for &a in others {
            bases = bases
                .iter()
                .flat_map(|base| (0..extent(a) as i64).map(move |k| base + k * stride(a)))
                .collect();
        }
        let inner: Vec<(usize, i64)> = folded.iter().map(|&a| (extent(a), stride(a))).collect();
        let mut copies = Vec::new();
        for base in bases {
            let mut dims = vec![(n_full, stride(columns) * tile_columns as i64)];
            dims.extend(&inner);
            dims.push((tile_columns, stride(columns)));
            copies.push(StridedCopy { base, dims, pad: if rest == 0 { pad } else { 0 } });
            if rest > 0 {
                let mut dims = inner.clone();
                dims.push((rest, stride(columns)));
                let base = base + (n_full * tile_columns) as i64 * stride(columns);
                copies.push(StridedCopy { base, dims, pad });
            }
        }
        self.packed_constant(right.storage, Pack::Copies(copies), "panels")
    }

    /// Copies the right operand to `[others][folded][columns]`.
    pub(super) fn copy_right(
        &mut self,
        space: &FoldSpace,
        right: &MemoryRead,
        others: &[usize],
        folded: &[usize],
        columns: usize,
    ) -> MemoryRead {
        let order: Vec<usize> = others.iter().chain(folded).chain([&columns]).copied().collect();
        let dims: Vec<usize> = order.iter().map(|&a| space.extents[a]).collect();
        let dtype = self.out.storages[right.storage].dtype;
        let storage = self.temporary(dtype, dims.iter().product(), "columns");
        let kernel = self.pointwise(&dims, dtype, &mut |b, index| {
            let over = |a: usize| match order.iter().position(|&o| o == a) {
                Some(k) => index[k].clone(),
                None => IndexExpr::constant(0),
            };
            let from = right.position.substitute(&over, b.extents());
            let buffer = b.kernel.read(right.storage, &b.lowering.out.storages);
            let x = b.load(buffer, from, &[], None);
            b.store_at(storage, &index_position(index, &dims), x);
        });
        self.add_step(kernel, &tracelift_ir::Provenance::default());
        let index: Vec<IndexExpr> = order.iter().map(|&a| IndexExpr::axis(a)).collect();
        MemoryRead { storage, position: index_position(&index, &dims) }
    }
}

/// Whether padded windows are so few, and so much is folded over for each, that the small tiles of
/// borders would cost more than a padded copy.
fn has_few_windows(space: &FoldSpace) -> bool {
    let axes = window_axes(space).unwrap_or_default();
    let depth: usize = space.extents[space.n_result..].iter().product();
    depth >= MANY_POINTS && axes.iter().all(|&a| space.extents[a] <= FEW_WINDOWS)
}

/// Whether the windows' borders cut the result into few segments.
fn has_few_segments(space: &FoldSpace) -> bool {
    let columns = (0..space.n_result).rev().find(|&a| space.extents[a] > 1);
    let Some(axes) = window_axes(space) else { return false };
    let n_segments: usize = axes.iter().map(|&a| segments(space, a).len()).product();
    axes.len() <= 2 && !axes.iter().any(|a| Some(*a) == columns) && n_segments <= MAX_SEGMENTS
}

/// An axis `a` that an expression divides as `⌊a / by⌋`, where `by` divides its extent.
fn divided_axis(e: &IndexExpr, space: &FoldSpace) -> Option<(usize, usize)> {
    e.terms.iter().find_map(|(term, _)| {
        let (IndexTerm::Div(inner, by) | IndexTerm::Rem(inner, by)) = term else { return None };
        let [(IndexTerm::Axis(axis), 1)] = inner.terms.as_slice() else { return None };
        let by = usize::try_from(*by).ok()?;
        let splits = inner.constant == 0 && space.extents[*axis].is_multiple_of(by);
        let guarded = space.guards.iter().any(|g| g.expr.mentions(*axis));
        (splits && !guarded).then_some((*axis, by))
    })
}

/// The folded axes, outermost first: the left operand is walked through in order.
fn order_of_folding(space: &FoldSpace, left: &MemoryRead) -> Vec<usize> {
    let mut folded = space.folded();
    let stride = |a: &usize| left.position.stride_of(*a).map_or(i64::MAX, i64::abs);
    folded.sort_by_key(|a| std::cmp::Reverse(stride(a)));
    folded
}

/// Chooses the axes that rows run along, of those from the first to that of columns.
fn row_plan(
    space: &FoldSpace,
    left: &MemoryRead,
    right: &RightOperand,
    among: Range<usize>,
) -> Vec<usize> {
    let windows = window_axes(space).expect("guards that are left are of windows");
    let mut candidates: Vec<usize> = (among.start..space.n_result)
        .filter(|&a| a != among.end && !windows.contains(&a) && space.extents[a] > 1)
        .filter(|&a| left.position.mentions(a) && !right.mentions(a))
        .collect();
    // Axes that can fill a tile come first, then those whose neighbours lie together.
    candidates.sort_by_key(|&a| std::cmp::Reverse((space.extents[a].min(12), a)));
    let mut axes = windows;
    for a in candidates {
        let inner_is_short = axes.iter().all(|&b| space.extents[a.max(b)] <= MAX_INNER_ROWS);
        if axes.len() < 2 && inner_is_short {
            axes.push(a);
        }
    }
    axes.sort_unstable();
    axes
}
