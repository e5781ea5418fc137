//! How tiles of outputs along one axis of the image are dealt into blocks.

use super::algorithm::TAPS;

/// One axis of the image.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line {
    /// The number of inputs.
    pub(super) n_inputs: usize,
    /// The number of outputs.
    pub(super) n_outputs: usize,
    /// The inputs missing before the first output's window.
    pub(super) pad: i64,
}

/// What is particular to a window of inputs and the tiles of outputs that come from it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Window {
    /// Inputs that are missing before the first one present.
    pub(super) before: usize,
    /// Inputs that are present.
    pub(super) present: usize,
    /// Outputs that are wanted of the last tile.
    pub(super) outputs: usize,
}

/// Consecutive items that have the same window.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Run<W> {
    /// The first item.
    pub(super) first: usize,
    /// The number of items.
    pub(super) count: usize,
    /// What they share.
    pub(super) window: W,
}

/// Blocks of equally many tiles.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Span {
    /// The tiles of a block.
    pub(super) tiles: usize,
    /// The first tile of the first block.
    pub(super) start: usize,
    /// The window of each block.
    pub(super) window: Window,
}

impl Line {
    /// The taps of all windows that lie inside.
    pub(super) fn n_taps(&self) -> usize {
        let inside = |output: usize| {
            let taps = (0..TAPS as i64).map(|tap| output as i64 + tap - self.pad);
            taps.filter(|at| (0..self.n_inputs as i64).contains(at)).count()
        };
        (0..self.n_outputs).map(inside).sum()
    }

    /// The number of tiles of m outputs.
    pub(super) fn n_tiles(&self, m: usize) -> usize {
        self.n_outputs.div_ceil(m)
    }

    /// The window of `n` tiles of `m` outputs from tile `first`.
    fn window(&self, m: usize, first: usize, n: usize) -> Window {
        let start = (first * m) as i64 - self.pad;
        let len = (n * m + 2) as i64;
        let before = (-start).clamp(0, len);
        let end = (self.n_inputs as i64 - start).clamp(before, len);
        let last = (first + n - 1) * m;
        Window {
            before: before as usize,
            present: (end - before) as usize,
            outputs: m.min(self.n_outputs - last),
        }
    }

    /// Every tile on its own.
    pub(super) fn tiles(&self, m: usize) -> Vec<Run<Window>> {
        runs((0..self.n_tiles(m)).map(|t| self.window(m, t, 1)))
    }

    /// The tiles in nearly equal blocks.
    pub(super) fn blocks(&self, m: usize, n_blocks: usize) -> Vec<Run<Span>> {
        let n = self.n_tiles(m);
        let (size, larger) = (n / n_blocks, n % n_blocks);
        let mut start = 0;
        let spans: Vec<Span> = (0..n_blocks)
            .map(|b| {
                let tiles = size + usize::from(b < larger);
                start += tiles;
                let first = start - tiles;
                Span { tiles, start: first, window: self.window(m, first, tiles) }
            })
            .collect();
        let mut out: Vec<Run<Span>> = Vec::new();
        for (b, span) in spans.into_iter().enumerate() {
            match out.last_mut() {
                Some(run) if (run.window.tiles, run.window.window) == (span.tiles, span.window) => {
                    run.count += 1;
                }
                _ => out.push(Run { first: b, count: 1, window: span }),
            }
        }
        out
    }
}

/// The runs with neighbours of equally many tiles taken together, whatever their windows.
pub(super) fn equal_sizes(runs: Vec<Run<Span>>) -> Vec<Run<Span>> {
    let mut out: Vec<Run<Span>> = Vec::new();
    for run in runs {
        match out.last_mut() {
            Some(last) if last.window.tiles == run.window.tiles => last.count += run.count,
            _ => out.push(run),
        }
    }
    out
}

fn runs<W: PartialEq>(items: impl Iterator<Item = W>) -> Vec<Run<W>> {
    let mut out: Vec<Run<W>> = Vec::new();
    for (k, window) in items.enumerate() {
        match out.last_mut() {
            Some(run) if run.window == window => run.count += 1,
            _ => out.push(Run { first: k, count: 1, window }),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn borders_have_windows_of_their_own() {
        let line = Line { n_inputs: 14, n_outputs: 14, pad: 1 };
        let found = line.tiles(4);
        let window = |before, present, outputs| Window { before, present, outputs };
        assert_eq!(
            found,
            [
                Run { first: 0, count: 1, window: window(1, 5, 4) },
                Run { first: 1, count: 2, window: window(0, 6, 4) },
                Run { first: 3, count: 1, window: window(0, 3, 2) },
            ]
        );
    }

    #[test]
    fn blocks_are_nearly_equal_and_cover_every_tile_once() {
        for (n_inputs, n_outputs, pad, m, n_blocks) in [
            (56, 56, 1, 4, 5),
            (9, 9, 1, 2, 2),
            (30, 28, 0, 4, 7),
            (5, 7, 2, 2, 4),
            (1, 3, 2, 2, 1),
        ] {
            let line = Line { n_inputs, n_outputs, pad };
            let runs = line.blocks(m, n_blocks);
            assert_eq!(runs.iter().map(|r| r.count).sum::<usize>(), n_blocks);
            let mut tile = 0;
            for run in &runs {
                assert_eq!(run.window.start, tile);
                tile += run.count * run.window.tiles;
            }
            assert_eq!(tile, line.n_tiles(m));
            let sizes: Vec<usize> = runs.iter().map(|r| r.window.tiles).collect();
            assert!(sizes.iter().max().unwrap() - sizes.iter().min().unwrap() <= 1);
        }
    }
}
