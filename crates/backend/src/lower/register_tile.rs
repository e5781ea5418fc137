//! The shape of register tiles: how many rows and how many vectors of columns.

use super::Registers;

/// What a load costs beside a multiply-add.
const LOAD_COST: f64 = 0.15;
/// What a last panel narrower than the others costs, in multiply-adds per row and point.
const TAIL_COST: f64 = 0.1;

/// The most vectors of columns in a register tile.
fn most_vectors(registers: Registers) -> usize {
    match registers.bytes {
        // Machine code for these vectors is made by Cranelift, which moves registers about: small
        // tiles spill least.
        ..=16 => 2,
        _ => 4,
    }
}

/// The most rows of a register tile of so many vectors of columns: every point has an accumulator,
/// and there is room for one row of the right operand and one element of the left.
pub(super) fn most_rows(registers: Registers, vectors: usize) -> usize {
    match registers.bytes {
        ..=16 => 5,
        _ => {
            let room = registers.count.saturating_sub(vectors + 1) / vectors;
            room.min(registers.count * 3 / 4 / vectors).max(1)
        }
    }
}

/// The most rows of the register tiles that so many rows are cut into: one more than [`most_rows`]
/// where that leaves whole tiles instead of small ones. Then there is no register for an element of
/// the left operand, which every multiply-add reads from memory.
pub(super) fn most_rows_of(registers: Registers, vectors: usize, n_rows: usize) -> usize {
    let most = most_rows(registers, vectors);
    let full = registers.bytes >= 64 && (most + 2) * vectors == registers.count;
    let whole = n_rows.is_multiple_of(most + 1) && average_rows(n_rows, most) + 1.0 < most as f64;
    if full && whole { most + 1 } else { most }
}

/// The columns of a panel of the right operand, of which the last may have fewer.
///
/// It depends on the number of columns and the target only, so that programs that differ in their
/// rows share packed weights.
pub(super) fn panel_columns(registers: Registers, lanes: usize, n_columns: usize) -> usize {
    let panel_cost = |vectors: usize| {
        let rows = most_rows(registers, vectors) as f64;
        vectors as f64 * (1.0 + LOAD_COST * (1.0 / rows + 1.0 / vectors as f64))
    };
    let cost = |vectors: usize| {
        let (n_full, rest) = (n_columns / (vectors * lanes), n_columns % (vectors * lanes));
        let tail = match (n_full, rest) {
            (_, 0) => 0.0,
            (0, _) => panel_cost(rest.div_ceil(lanes)),
            _ => panel_cost(rest.div_ceil(lanes)) + TAIL_COST,
        };
        n_full as f64 * panel_cost(vectors) + tail
    };
    let widest = most_vectors(registers).min(n_columns.div_ceil(lanes)).max(1);
    let best = (1..=widest).rev().min_by(|&a, &b| cost(a).total_cmp(&cost(b)));
    (best.unwrap_or(1) * lanes).min(n_columns)
}

/// Equal tiles one after another.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct TileRun {
    /// The first row.
    pub(super) start: usize,
    /// The number of tiles.
    pub(super) n_tiles: usize,
    /// The rows of each.
    pub(super) rows: usize,
}

/// Cuts rows into tiles whose sizes differ by one at most, as few as possible.
pub(super) fn tile_runs(n_rows: usize, most: usize) -> Vec<TileRun> {
    let n_tiles = n_rows.div_ceil(most).max(1);
    let (rows, n_larger) = (n_rows / n_tiles, n_rows % n_tiles);
    let larger = TileRun { start: 0, n_tiles: n_larger, rows: rows + 1 };
    let start = n_larger * (rows + 1);
    let others = TileRun { start, n_tiles: n_tiles - n_larger, rows };
    [larger, others].into_iter().filter(|run| run.n_tiles * run.rows > 0).collect()
}

/// The rows of the average tile among [`tile_runs`].
pub(super) fn average_rows(n_rows: usize, most: usize) -> f64 {
    n_rows as f64 / n_rows.div_ceil(most).max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    const AVX512: Registers = Registers { bytes: 64, count: 32 };
    const AVX2: Registers = Registers { bytes: 32, count: 16 };
    const NARROW: Registers = Registers { bytes: 16, count: 16 };

    #[test]
    fn wide_results_take_wide_panels() {
        let shape = |n: usize| {
            let columns = panel_columns(AVX512, 16, n);
            (most_rows(AVX512, columns.div_ceil(16)), columns)
        };
        assert_eq!(shape(768), (6, 64));
        assert_eq!(shape(48), (8, 48));
        assert_eq!(shape(144), (8, 48));
        assert_eq!(shape(32), (12, 32));
        assert_eq!(shape(10), (24, 10));
        assert_eq!(shape(1000), (6, 64));
    }

    #[test]
    fn fewer_registers_take_smaller_tiles() {
        let shape = |n: usize| {
            let columns = panel_columns(AVX2, 8, n);
            (most_rows(AVX2, columns.div_ceil(8)), columns)
        };
        assert_eq!(shape(64), (6, 16));
        assert_eq!(shape(24), (4, 24));
        assert_eq!(panel_columns(NARROW, 4, 64), 8);
        assert_eq!(most_rows(NARROW, 2), 5);
    }

    #[test]
    fn every_tile_leaves_room_for_operands() {
        for registers in [AVX512, AVX2] {
            for vectors in 1..=4 {
                let rows = most_rows(registers, vectors);
                assert!(rows * vectors + vectors < registers.count, "{rows}x{vectors}");
            }
        }
    }

    #[test]
    fn seven_rows_are_one_tile() {
        let most = |n_rows: usize| most_rows_of(AVX512, 4, n_rows);
        assert_eq!([7, 14, 12, 49, 700, 8].map(most), [7, 7, 6, 6, 6, 6]);
        assert_eq!(most_rows_of(AVX2, 2, 7), 6);
    }

    #[test]
    fn tiles_differ_by_one_row_at_most() {
        for n_rows in 1..60 {
            for most in 1..25 {
                let runs = tile_runs(n_rows, most);
                let covered = runs.iter().fold(0, |at, run| {
                    assert_eq!(run.start, at);
                    assert!(run.rows <= most);
                    at + run.n_tiles * run.rows
                });
                assert_eq!(covered, n_rows);
                let rows: Vec<usize> = runs.iter().map(|r| r.rows).collect();
                assert!(rows.len() == 1 || rows[0] == rows[1] + 1);
                let n_tiles: usize = runs.iter().map(|r| r.n_tiles).sum();
                assert_eq!(n_tiles, n_rows.div_ceil(most));
            }
        }
    }
}
