//! Kernels of maps whose operand lies in another order: squares that registers transpose.
//!
//! A square's loads are contiguous along its rows, its stores along its columns, so that whole
//! vectors move in both directions.

use tracelift_loops::{Inst, Kernel, Stmt, Tile};
use tracelift_scalar::{IndexExpr, delinearise};
use tracelift_tensor::DType;

use super::{KernelBuilder, Lowering, pointwise::Emit, product::within, tile_builder::TileBuilder};

/// The fewest rows worth transposing.
const MIN_ROWS: usize = 4;
/// The most rows of a task.
const TASK_ROWS: usize = 512;
/// The elements one task computes, about.
const TASK_ELEMENTS: usize = 16 << 10;

/// How a domain is cut into squares.
struct Squares<'d> {
    dims: &'d [usize],
    /// The axis of rows.
    row: usize,
    /// The first of the axes that columns run along, taken together.
    first_column: usize,
    /// The rows and columns of a square.
    side: usize,
}

/// Equal blocks of an axis, or the rest behind them.
#[derive(Clone, Copy)]
struct Blocks {
    first: usize,
    n_blocks: usize,
    len: usize,
}

impl Lowering<'_> {
    /// A kernel of squares over a domain; `None` where they would not move whole vectors, or no
    /// emitter transposes them.
    pub(super) fn transposing(
        &mut self,
        dims: &[usize],
        dtype: DType,
        emit: &mut Emit<'_>,
    ) -> Option<KernelBuilder> {
        let registers = self.registers(dtype);
        if registers.bytes < 32 || !matches!(dtype, DType::F32 | DType::I32 | DType::U32) {
            return None;
        }
        let side = registers.lanes(dtype);
        let pairs = (1..dims.len()).flat_map(|c| (0..c).rev().map(move |r| (c, r)));
        for (first_column, row) in pairs.filter(|&(_, row)| dims[row] >= MIN_ROWS) {
            let kernel = self.squares(&Squares { dims, row, first_column, side }, emit);
            if moves_squares(&kernel.kernel) {
                return Some(kernel);
            }
        }
        None
    }

    fn squares(&mut self, squares: &Squares<'_>, emit: &mut Emit<'_>) -> KernelBuilder {
        let Squares { dims, row, first_column, side } = *squares;
        let mut kernel = KernelBuilder::new();
        kernel.kernel.name = "transpose".into();
        let others = (0..first_column).map(|k| match k == row {
            true => IndexExpr::default(),
            false => IndexExpr::axis(kernel.grid_axis(&format!("i{k}"), dims[k])),
        });
        let others: Vec<IndexExpr> = others.collect();
        let n_columns: usize = dims[first_column..].iter().product();
        let task_rows = dims[row].min(TASK_ROWS);
        let n_tasks = n_columns.div_ceil((TASK_ELEMENTS / task_rows).max(side));
        let task_columns = n_columns.div_ceil(n_tasks).next_multiple_of(side).min(n_columns);
        let extents = [(dims[row], task_rows), (n_columns, task_columns)];
        let axes = extents.map(|(extent, size)| kernel.grid_axis("m", extent.div_ceil(size)));
        let mut body = Vec::new();
        for rows in cut(dims[row], task_rows) {
            let mut of_rows = Vec::new();
            for columns in cut(n_columns, task_columns) {
                let starts = [0, 1].map(|k| {
                    let len = [task_rows, task_columns][k];
                    IndexExpr::axis(axes[k]).scale(len as i64)
                });
                let mut task =
                    Task { lowering: self, kernel: &mut kernel, squares, index: &others, emit };
                let tiles = task.tiles([rows.len, columns.len], &starts);
                let range = columns.first..columns.first + columns.n_blocks;
                of_rows.extend(within(axes[1], range, n_columns.div_ceil(task_columns), tiles));
            }
            let range = rows.first..rows.first + rows.n_blocks;
            body.extend(within(axes[0], range, dims[row].div_ceil(task_rows), of_rows));
        }
        kernel.kernel.body = body;
        kernel
    }
}

/// Whole blocks of an extent and the rest, where there are any.
fn cut(extent: usize, len: usize) -> impl Iterator<Item = Blocks> {
    let (n_full, rest) = (extent / len, extent % len);
    let full = Blocks { first: 0, n_blocks: n_full, len };
    let last = Blocks { first: n_full, n_blocks: 1, len: rest };
    [full, last].into_iter().filter(|blocks| blocks.n_blocks * blocks.len > 0)
}

/// Emits the tiles of a task.
struct Task<'t, 'g, 'e> {
    lowering: &'t mut Lowering<'g>,
    kernel: &'t mut KernelBuilder,
    squares: &'t Squares<'t>,
    /// The indices of the axes before those of columns, that of rows left open.
    index: &'t [IndexExpr],
    emit: &'t mut Emit<'e>,
}

impl Task<'_, '_, '_> {
    /// The squares of so many rows and columns, and what is left at both ends.
    fn tiles(&mut self, [n_rows, n_columns]: [usize; 2], starts: &[IndexExpr; 2]) -> Vec<Stmt> {
        let side = self.squares.side;
        let mut out = Vec::new();
        for columns in cut(n_columns, side) {
            let u = self.kernel.axis("u", columns.n_blocks);
            let mut body = Vec::new();
            for rows in cut(n_rows, side) {
                let t = self.kernel.axis("t", rows.n_blocks);
                let at =
                    [(t, rows, &starts[0]), (u, columns, &starts[1])].map(|(axis, b, start)| {
                        let from = IndexExpr::axis(axis).scale(side as i64);
                        start.add(&from).offset((b.first * side) as i64)
                    });
                let tile = self.tile(at, [rows.len, columns.len]);
                body.push(Stmt::For { axis: t, body: vec![Stmt::Tile(tile)] });
            }
            out.push(Stmt::For { axis: u, body });
        }
        out
    }

    fn tile(&mut self, at: [IndexExpr; 2], [n_rows, n_columns]: [usize; 2]) -> Tile {
        let (row, column) = (self.kernel.axis("r", n_rows), self.kernel.axis("c", n_columns));
        let Squares { dims, row: row_axis, first_column, .. } = *self.squares;
        let mut index = self.index.to_vec();
        index[row_axis] = at[0].add(&IndexExpr::axis(row));
        let position = at[1].add(&IndexExpr::axis(column));
        let extents = self.kernel.kernel.extents();
        index.extend(delinearise(&position, &dims[first_column..], &extents));
        let mut b = TileBuilder::new(self.lowering, self.kernel, row, column, &[]);
        (self.emit)(&mut b, &index);
        b.finish(1)
    }
}

/// Whether every store of a kernel moves vectors along columns, some loads along rows and the
/// others neither, and what it computes between is cheap.
fn moves_squares(kernel: &Kernel) -> bool {
    let (mut all, mut any) = (true, false);
    kernel.for_each_tile(&mut |tile| {
        for inst in &tile.insts {
            all &= match inst {
                Inst::Load { place, guards, .. } => {
                    let strides = [tile.rows, tile.columns].map(|a| place.index.stride_of(a));
                    let along_rows = matches!(strides, [Some(1), Some(c)] if c > 1);
                    any |= along_rows;
                    let plain = guards.is_empty() && place.dynamic.is_empty();
                    plain && (along_rows || matches!(strides, [Some(_), Some(0 | 1)]))
                }
                Inst::Store { place, guards, condition, .. } => {
                    let plain = guards.is_empty() && condition.is_none();
                    plain
                        && place.dynamic.is_empty()
                        && place.index.stride_of(tile.columns) == Some(1)
                }
                Inst::Apply(op, _) => !op.is_expensive(),
                Inst::Const(_) => true,
                _ => false,
            };
        }
    });
    all && any
}
