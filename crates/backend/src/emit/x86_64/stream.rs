//! Streams: the pointers through which a unit reaches memory.

use rustc_hash::{FxHashMap, FxHashSet};
use tracelift_loops::{AxisId, BufferId, Kernel, Tile};
use tracelift_scalar::{IndexExpr, IndexTerm, IndexTerms};

use super::{Stream, Unsupported, program::Address};

/// The streams of a unit.
pub(super) struct Streams<'k> {
    kernel: &'k Kernel,
    extents: Vec<usize>,
    /// The axes of loops in the unit.
    inside: FxHashSet<AxisId>,
    pub(super) list: Vec<Stream>,
    /// By how many bytes each stream moves along each axis inside.
    pub(super) strides: Vec<Vec<(AxisId, i64)>>,
    known: FxHashMap<(Stream, Vec<(AxisId, i64)>), usize>,
}

/// Where the elements of a tile lie.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pattern {
    pub(super) stream: usize,
    pub(super) offset: i64,
    /// The bytes between rows.
    pub(super) row: i64,
    /// The bytes between columns.
    pub(super) column: i64,
}

impl Pattern {
    /// The place of the element at a row and column, `ahead` bytes further.
    pub(super) fn at(&self, row: usize, column: usize, ahead: i64) -> Result<Address, Unsupported> {
        let offset = self.offset + row as i64 * self.row + column as i64 * self.column + ahead;
        let offset = i32::try_from(offset).map_err(|_| Unsupported("an offset beyond 2 GiB"))?;
        Ok(Address { stream: self.stream, offset })
    }
}

impl<'k> Streams<'k> {
    pub(super) fn new(kernel: &'k Kernel) -> Streams<'k> {
        Streams {
            kernel,
            extents: kernel.extents(),
            inside: FxHashSet::default(),
            list: Vec::new(),
            strides: Vec::new(),
            known: FxHashMap::default(),
        }
    }

    /// Declares an axis to run inside the unit.
    pub(super) fn enter(&mut self, axis: AxisId) {
        self.inside.insert(axis);
    }

    /// How a tile's places lie; without a buffer, how an index itself moves.
    pub(super) fn pattern(
        &mut self,
        tile: &Tile,
        buffer: Option<BufferId>,
        index: &IndexExpr,
    ) -> Result<Pattern, Unsupported> {
        let size_of = |buffer: BufferId| self.kernel.buffers[buffer].dtype.size_bytes() as i64;
        let size = buffer.map_or(1, size_of);
        let (mut row, mut column) = (0, 0);
        let mut strides = Vec::new();
        let mut outside = IndexTerms::new();
        for (term, factor) in &index.terms {
            let factor = factor * size;
            match term {
                IndexTerm::Axis(a) if self.extents[*a] <= 1 => {}
                IndexTerm::Axis(a) if *a == tile.rows => row += factor,
                IndexTerm::Axis(a) if *a == tile.columns => column += factor,
                IndexTerm::Axis(a) if self.inside.contains(a) => strides.push((*a, factor)),
                IndexTerm::Axis(_) => outside.push((term.clone(), factor)),
                IndexTerm::Div(e, _) | IndexTerm::Rem(e, _) => {
                    let moves = |a: AxisId| e.mentions(a) && self.extents[a] > 1;
                    let inner = self.inside.iter().any(|&a| moves(a));
                    if inner || moves(tile.rows) || moves(tile.columns) {
                        return Err(Unsupported("a quotient of an inner axis"));
                    }
                    outside.push((term.clone(), factor));
                }
            }
        }
        strides.sort_unstable();
        let key = (Stream { buffer, outside }, strides);
        let stream = match self.known.get(&key) {
            Some(&stream) => stream,
            None => {
                self.list.push(key.0.clone());
                self.strides.push(key.1.clone());
                self.known.insert(key, self.list.len() - 1);
                self.list.len() - 1
            }
        };
        Ok(Pattern { stream, offset: index.constant * size, row, column })
    }

    /// The bytes a stream moves along an axis.
    pub(super) fn stride(&self, stream: usize, axis: AxisId) -> i64 {
        self.strides[stream].iter().find(|(a, _)| *a == axis).map_or(0, |(_, stride)| *stride)
    }

    /// Whether a stream is 0 throughout.
    pub(super) fn is_zero(&self, stream: usize) -> bool {
        let Stream { buffer, outside } = &self.list[stream];
        buffer.is_none() && outside.is_empty() && self.strides[stream].is_empty()
    }

    /// The streams that move along an axis, with the bytes of a step.
    pub(super) fn moving(&self, axis: AxisId) -> Vec<(usize, i64)> {
        let stride = |s: usize| (s, self.stride(s, axis));
        (0..self.list.len()).map(stride).filter(|(_, stride)| *stride != 0).collect()
    }
}
