//! Contractions and convolutions as register-tiled matrix products.
//!
//! Rows of the register tile run along an axis that only one operand (the left) has, columns along
//! the result's last axis, which only the other (the right) has. The right operand is read along
//! its columns: constants are packed into panels of that width at compile time, other operands are
//! copied where their columns are not contiguous. Padded convolutions read a padded copy.

use tracelift_loops::{Stmt, Tile};
use tracelift_scalar::{Guard, IndexExpr, Op};
use tracelift_tensor::{DType, Scalar};

use crate::recipe::{Pack, StridedCopy};

use super::{
    KernelBuilder, Lowering, StorageId, StorageKind,
    fold::{FoldOutputs, FoldRead, FoldSpace, add_loops, store_results},
    pointwise::index_position,
    resolve::MemoryRead,
    tile_builder::TileBuilder,
};

/// The most rows of a register tile: with 2 vectors of columns, 10 accumulators of 16 registers.
const MAX_ROWS: usize = 5;

/// A fold that fits a register tile.
pub(super) struct Contraction {
    space: FoldSpace,
    left: MemoryRead,
    right: RightOperand,
    /// The axis of rows, where there is one.
    rows: Option<usize>,
    /// The axis of columns.
    columns: usize,
    /// The columns of a register tile.
    tile_columns: usize,
    dtype: DType,
}

/// How the right operand is read.
enum RightOperand {
    /// In place, contiguous along columns.
    InPlace(MemoryRead),
    /// From panels: `[others][panel][folded][columns]`, the last panel narrower.
    Panels { storage: StorageId, others: Vec<usize>, folded: Vec<usize> },
}

impl Lowering<'_> {
    /// Recognises a fold as a contraction and prepares its operands.
    pub(super) fn contraction(&mut self, space: &FoldSpace) -> Option<Contraction> {
        if !space.is_product() || space.extents.contains(&0) {
            return None;
        }
        let dtype = space.term.dtype();
        let mut space = space.clone();
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
        self.pad_left(&mut space);
        let columns = self.merge_rows(&mut space, columns, l)?;
        let operands = self.product_operands(&space)?;
        let (left, right) = (operands[l].clone(), operands[r].clone());
        let rows = (0..space.n_result)
            .filter(|&a| space.extents[a] > 1 && a != columns)
            .filter(|&a| left.position.mentions(a) && !right.position.mentions(a))
            .max_by_key(|&a| (space.extents[a].min(MAX_ROWS), a));
        let lanes = self.registers(dtype).lanes(dtype);
        let n_vectors = if rows.is_some() { 2 } else { 8 };
        let tile_columns = (lanes * n_vectors).min(space.extents[columns]);
        let right = self.right_operand(&space, right, columns, tile_columns);
        Some(Contraction { space, left, right, rows, columns, tile_columns, dtype })
    }

    fn product_operands(&mut self, space: &FoldSpace) -> Option<Vec<MemoryRead>> {
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
        let kernel = self.pointwise(&dims, dtype, &mut |b, at| {
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
        let provenance = self.graph.node(value.node).provenance.clone();
        self.add_step(kernel, &provenance);
        let at: Vec<IndexExpr> = index.iter().zip(&lows).map(|(e, low)| e.offset(*low)).collect();
        let position = index_position(&at, &dims).simplify(&space.extents);
        space.reads[0] = FoldRead::Memory(MemoryRead { storage: padded, position });
        space.guards.clear();
    }

    /// Takes neighbouring row axes together where the left operand allows; gives the column axis.
    fn merge_rows(&mut self, space: &mut FoldSpace, columns: usize, l: usize) -> Option<usize> {
        let mut columns = columns;
        let mut a = 0;
        while a + 1 < columns {
            let operands = self.product_operands(space)?;
            let (left, right) = (&operands[l].position, &operands[1 - l].position);
            let outer = left.stride_of(a);
            let inner = left.stride_of(a + 1).map(|s| s * space.extents[a + 1] as i64);
            let rows_only = !right.mentions(a) && !right.mentions(a + 1);
            let both = left.mentions(a) || space.extents[a] == 1;
            if rows_only && both && outer.is_some() && (outer == inner || space.extents[a] == 1) {
                space.merge(a);
                columns -= 1;
            } else {
                a += 1;
            }
        }
        Some(columns)
    }

    fn right_operand(
        &mut self,
        space: &FoldSpace,
        right: MemoryRead,
        columns: usize,
        tile_columns: usize,
    ) -> RightOperand {
        let others: Vec<usize> =
            (0..space.n_result).filter(|&a| a != columns && right.position.mentions(a)).collect();
        let folded: Vec<usize> = space.folded();
        let panels = self.pack_panels(space, &right, (&others, &folded), columns, tile_columns);
        if let Some(storage) = panels {
            return RightOperand::Panels { storage, others, folded };
        }
        if right.position.stride_of(columns) == Some(1) {
            return RightOperand::InPlace(right);
        }
        RightOperand::InPlace(self.copy_right(space, &right, &others, &folded, columns))
    }

    /// Has a constant packed into panels; `None` where the operand is not constant.
    fn pack_panels(
        &mut self,
        space: &FoldSpace,
        right: &MemoryRead,
        (others, folded): (&[usize], &[usize]),
        columns: usize,
        tile_columns: usize,
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
            copies.push(StridedCopy { base, dims });
            if rest > 0 {
                let mut dims = inner.clone();
                dims.push((rest, stride(columns)));
                let base = base + (n_full * tile_columns) as i64 * stride(columns);
                copies.push(StridedCopy { base, dims });
            }
        }
        self.packed_constant(right.storage, Pack::Copies(copies), "panels")
    }

    /// Copies the right operand to `[others][folded][columns]`.
    fn copy_right(
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

    pub(super) fn contraction_kernel(
        &mut self,
        contraction: Contraction,
        outputs: &FoldOutputs<'_>,
    ) -> KernelBuilder {
        let mut kernel = KernelBuilder::new();
        let space = &contraction.space;
        let n_rows = contraction.rows.map_or(1, |a| space.extents[a]);
        let n_blocks = n_rows.div_ceil(MAX_ROWS);
        let tile_rows = n_rows.div_ceil(n_blocks);
        let len = space.extents[contraction.columns];
        let (n_full, rest) = (len / contraction.tile_columns, len % contraction.tile_columns);
        kernel.kernel.name =
            format!("{}_contract_{tile_rows}x{}", contraction.dtype, contraction.tile_columns);
        // Panels outside the other rows, so that a panel stays in cache while rows pass by.
        let mut axes: Vec<IndexExpr> = vec![IndexExpr::default(); space.n_result];
        let outer = |a: usize| Some(a) != contraction.rows && a != contraction.columns;
        let shared = |a: usize| contraction.right_mentions(a);
        for a in (0..space.n_result).filter(|&a| outer(a) && shared(a)) {
            axes[a] = IndexExpr::axis(kernel.grid_axis("b", space.extents[a]));
        }
        let panel = kernel.grid_axis("p", n_full + usize::from(rest > 0));
        for a in (0..space.n_result).filter(|&a| outer(a) && !shared(a)) {
            axes[a] = IndexExpr::axis(kernel.grid_axis("i", space.extents[a]));
        }
        let mut nest =
            Nest { lowering: self, kernel, contraction: &contraction, outputs, axes, panel };
        let mut body = Vec::new();
        let at = |first: usize, n: usize| {
            vec![Guard { expr: IndexExpr::axis(panel).offset(-(first as i64)), extent: n as i64 }]
        };
        if n_full > 0 {
            let full = nest.row_blocks(n_rows, tile_rows, contraction.tile_columns, true);
            body.push(Stmt::If { guards: at(0, n_full), body: full });
        }
        if rest > 0 {
            let tail = nest.row_blocks(n_rows, tile_rows, rest, false);
            body.push(Stmt::If { guards: at(n_full, 1), body: tail });
        }
        let mut kernel = nest.kernel;
        kernel.kernel.body = body;
        kernel
    }
}

impl Contraction {
    fn right_mentions(&self, a: usize) -> bool {
        match &self.right {
            RightOperand::InPlace(read) => read.position.mentions(a),
            RightOperand::Panels { others, .. } => others.contains(&a),
        }
    }
}

struct Nest<'n, 'g, 'o> {
    lowering: &'n mut Lowering<'g>,
    kernel: KernelBuilder,
    contraction: &'n Contraction,
    outputs: &'n FoldOutputs<'o>,
    /// The result's axes over the kernel's; rows and columns are filled in per tile.
    axes: Vec<IndexExpr>,
    panel: usize,
}

impl Nest<'_, '_, '_> {
    fn row_blocks(
        &mut self,
        n_rows: usize,
        tile_rows: usize,
        columns: usize,
        full: bool,
    ) -> Vec<Stmt> {
        let (n_full, rest) = (n_rows / tile_rows, n_rows % tile_rows);
        let mut out = Vec::new();
        if n_full > 0 {
            let step = self.kernel.axis("m", n_full);
            let from = IndexExpr::axis(step).scale(tile_rows as i64);
            let tile = self.tile(from, tile_rows, columns, full);
            out.push(Stmt::For { axis: step, body: vec![Stmt::Tile(tile)] });
        }
        if rest > 0 {
            let from = IndexExpr::constant((n_full * tile_rows) as i64);
            out.push(Stmt::Tile(self.tile(from, rest, columns, full)));
        }
        out
    }

    fn tile(&mut self, first_row: IndexExpr, n_rows: usize, n_columns: usize, full: bool) -> Tile {
        let contraction = self.contraction;
        let space = &contraction.space;
        let row = self.kernel.axis("r", n_rows);
        let column = self.kernel.axis("c", n_columns);
        let width = contraction.tile_columns as i64;
        let n_panels = (space.extents[contraction.columns] / contraction.tile_columns) as i64;
        let panel = if full { IndexExpr::axis(self.panel) } else { IndexExpr::constant(n_panels) };
        let mut axes = self.axes.clone();
        axes[contraction.columns] = panel.scale(width).add(&IndexExpr::axis(column));
        if let Some(a) = contraction.rows {
            axes[a] = first_row.add(&IndexExpr::axis(row));
        }
        let loops = add_loops(&mut self.kernel, space, &mut axes);
        let extents = self.kernel.kernel.extents();
        let over = |e: &IndexExpr| e.substitute(&|a| axes[a].clone(), &extents);
        let left = over(&contraction.left.position);
        let (right_storage, right) = match &contraction.right {
            RightOperand::InPlace(read) => (read.storage, over(&read.position)),
            RightOperand::Panels { storage, others, folded } => {
                let position = panel_position(space, others, folded);
                let start = panel.scale(width * position.depth);
                let at = position.other.scale(space.extents[contraction.columns] as i64);
                let row = position.folded.scale(n_columns as i64);
                let inside = start.add(&IndexExpr::axis(column));
                (*storage, over(&at).add(&over(&row)).add(&inside))
            }
        };
        let dtype = contraction.dtype;
        let mut b = TileBuilder::new(self.lowering, &mut self.kernel, row, column, &loops);
        let sum = b.accumulator(Scalar::zero(dtype));
        let x = b.kernel.read(contraction.left.storage, &b.lowering.out.storages);
        let x = b.load(x, left, &[], None);
        let y = b.kernel.read(right_storage, &b.lowering.out.storages);
        let y = b.load(y, right, &[], None);
        let next = if dtype.is_float() {
            b.apply(Op::Fma, &[x, y, sum])
        } else {
            let product = b.apply(Op::Mul, &[x, y]);
            b.apply(Op::Add, &[sum, product])
        };
        b.update(sum, next);
        let index: Vec<IndexExpr> = space.index.iter().map(over).collect();
        store_results(&mut b, self.outputs, sum, &index);
        b.finish(4)
    }
}

/// The parts of an element's position among panels, over the fold's axes.
struct PanelPosition {
    /// The position of the other axes times the folded points.
    other: IndexExpr,
    /// The position among the folded points.
    folded: IndexExpr,
    /// The number of folded points.
    depth: i64,
}

fn panel_position(space: &FoldSpace, others: &[usize], folded: &[usize]) -> PanelPosition {
    let position = |axes: &[usize]| {
        let index: Vec<IndexExpr> = axes.iter().map(|&a| IndexExpr::axis(a)).collect();
        let dims: Vec<usize> = axes.iter().map(|&a| space.extents[a]).collect();
        index_position(&index, &dims)
    };
    let depth: usize = folded.iter().map(|&a| space.extents[a]).product();
    PanelPosition {
        other: position(others).scale(depth as i64),
        folded: position(folded),
        depth: depth as i64,
    }
}
