//! Strided copies: views of a constant written out in row-major order.

use tracelift_tensor::{Word, prefetch, transpose};

/// Where the source is read across, squares of this many elements are copied at a time: with
/// 4-byte ones, a side is a cache line.
const BLOCK: usize = 16;
/// How many squares before they are copied the processor is told to fetch them.
const AHEAD: usize = 4;

/// A strided view of a constant, copied to row-major order.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct StridedCopy {
    /// The first element.
    pub base: i64,
    /// Extents and source strides in elements, outermost first.
    pub dims: Vec<(usize, i64)>,
    /// The elements of 0 after each row along the innermost axis.
    pub pad: usize,
}

impl StridedCopy {
    /// The number of elements, those of 0 included.
    pub fn count(&self) -> usize {
        match self.dims.as_slice() {
            [outer @ .., (n, _)] => {
                outer.iter().map(|(n, _)| n).product::<usize>() * (n + self.pad)
            }
            [] => 1 + self.pad,
        }
    }

    /// Whether the innermost axis walks over neighbours in the source.
    pub(super) fn is_ordered(&self) -> bool {
        self.merged().dims.last().is_none_or(|(_, stride)| *stride == 1)
    }

    /// The same copy with as few axes as possible.
    fn merged(&self) -> StridedCopy {
        let mut dims: Vec<(usize, i64)> = Vec::with_capacity(self.dims.len());
        // Rows with something between them stay rows.
        let (merging, kept) = match self.pad {
            0 => (self.dims.as_slice(), [].as_slice()),
            _ => self.dims.split_at(self.dims.len().saturating_sub(1)),
        };
        for &(n, stride) in merging.iter().filter(|(n, _)| *n != 1) {
            match dims.last_mut() {
                Some(outer) if outer.1 == stride * n as i64 => *outer = (outer.0 * n, stride),
                _ => dims.push((n, stride)),
            }
        }
        dims.extend_from_slice(kept);
        StridedCopy { dims, ..*self }
    }

    /// Copies of at most `most` elements that together make this one, in order; single rows of the
    /// outermost axis are not split.
    pub(super) fn split(&self, most: usize) -> Vec<StridedCopy> {
        let whole = self.merged();
        let Some(&(n, stride)) = whole.dims.first() else { return vec![whole] };
        if whole.pad > 0 && whole.dims.len() == 1 {
            return vec![whole];
        }
        let rows = (most * n / whole.count().max(1)).clamp(1, n.max(1));
        (0..n)
            .step_by(rows)
            .map(|first| {
                let mut part = whole.clone();
                part.base += first as i64 * stride;
                part.dims[0].0 = rows.min(n - first);
                part
            })
            .collect()
    }
}

/// Copies a view of elements of `size` bytes; `to` has exactly its bytes, all 0.
///
/// # Panics
/// When the view leaves the source or does not fill `to`.
pub(super) fn copy_view(view: &StridedCopy, size: usize, from: &[u8], to: &mut [u8]) {
    assert_eq!(to.len(), view.count() * size, "the copy fills its place");
    match size {
        1 => copy_elements(view, from.as_chunks::<1>().0, to.as_chunks_mut::<1>().0),
        2 => copy_elements(view, from.as_chunks::<2>().0, to.as_chunks_mut::<2>().0),
        4 => copy_elements(view, from.as_chunks::<4>().0, to.as_chunks_mut::<4>().0),
        _ => copy_elements(view, from.as_chunks::<8>().0, to.as_chunks_mut::<8>().0),
    }
}

/// A loop of a copy: how often, and the steps in source and target.
#[derive(Clone, Copy)]
struct Loop {
    n: usize,
    from: i64,
    to: usize,
}

fn copy_elements<const SIZE: usize>(
    view: &StridedCopy,
    from: &[[u8; SIZE]],
    to: &mut [[u8; SIZE]],
) {
    if to.is_empty() {
        return;
    }
    let view = view.merged();
    let mut step = 1;
    let mut loops: Vec<Loop> = Vec::with_capacity(view.dims.len());
    for &(n, stride) in view.dims.iter().rev() {
        loops.push(Loop { n, from: stride, to: step });
        step *= n;
        if loops.len() == 1 {
            step += view.pad;
        }
    }
    loops.reverse();
    let inner = loops.pop().unwrap_or(Loop { n: 1, from: 1, to: 1 });
    if inner.from == 1 {
        copy_runs(loops, inner, view.base, from, to);
    } else {
        copy_across(loops, inner, view.base, from, to);
    }
}

/// Copies where the innermost axis walks over neighbours.
fn copy_runs<const SIZE: usize>(
    mut loops: Vec<Loop>,
    inner: Loop,
    base: i64,
    from: &[[u8; SIZE]],
    to: &mut [[u8; SIZE]],
) {
    // Walking the source in the order of its elements reads each of its lines once; the runs are
    // whole lines of the target, in whatever order they come.
    loops.sort_by_key(|l| std::cmp::Reverse(l.from.abs()));
    walk(&loops, (base, 0), &mut |source, target| {
        let source = at(source);
        to[target..target + inner.n].copy_from_slice(&from[source..source + inner.n]);
    });
}

/// Copies where the innermost axis walks across the source, in squares that it shares with the
/// axes that walk over neighbours there.
fn copy_across<const SIZE: usize>(
    mut loops: Vec<Loop>,
    inner: Loop,
    base: i64,
    from: &[[u8; SIZE]],
    to: &mut [[u8; SIZE]],
) {
    let offsets = take_neighbours(&mut loops);
    let (squares, rest) = offsets.as_chunks::<BLOCK>();
    let n_squares = squares.len() * BLOCK;
    walk(&loops, (base, 0), &mut |source, target| {
        for first in (0..inner.n).step_by(BLOCK) {
            let width = BLOCK.min(inner.n - first);
            let row = |c: usize| source + (first + c) as i64 * inner.from;
            let to = &mut to[target + first..];
            let mut done = 0;
            if width == BLOCK {
                copy_squares(from, std::array::from_fn(|c| at(row(c))), squares, to);
                done = n_squares;
            }
            let narrow = if done == 0 { &offsets[..] } else { rest };
            for (k, offset) in narrow.iter().enumerate() {
                for (c, slot) in to[*offset..offset + width].iter_mut().enumerate() {
                    *slot = from[at(row(c)) + done + k];
                }
            }
        }
    });
}

/// Copies squares that follow each other in rows beginning at the given positions.
fn copy_squares<const SIZE: usize>(
    from: &[[u8; SIZE]],
    rows: [usize; BLOCK],
    squares: &[[usize; BLOCK]],
    to: &mut [[u8; SIZE]],
) {
    for (k, places) in squares.iter().enumerate() {
        let rows = rows.map(|row| row + k * BLOCK);
        if k + AHEAD < squares.len() {
            rows.iter().for_each(|row| prefetch(&from[row + AHEAD * BLOCK]));
        }
        let square =
            rows.map(|row| from[row..].first_chunk().expect("the view lies in the source"));
        if SIZE == size_of::<Word>() {
            copy_words(square.map(as_words), places, as_words_mut(to));
        } else {
            copy_square(square, places, to);
        }
    }
}

/// Elements that are words.
fn as_words<const SIZE: usize, const N: usize>(elements: &[[u8; SIZE]; N]) -> &[Word; N] {
    elements.as_flattened().as_chunks().0.first_chunk().expect("elements are words")
}

fn as_words_mut<const SIZE: usize>(elements: &mut [[u8; SIZE]]) -> &mut [Word] {
    elements.as_flattened_mut().as_chunks_mut().0
}

/// Takes out the loops that together walk over neighbours in the source; gives the places of these
/// in the target.
fn take_neighbours(loops: &mut Vec<Loop>) -> Vec<usize> {
    let mut offsets = vec![0];
    while let Some(k) = loops.iter().position(|l| l.from == offsets.len() as i64) {
        let next = loops.remove(k);
        let n = offsets.len();
        offsets.reserve_exact(n * (next.n - 1));
        for step in 1..next.n {
            offsets.extend_from_within(..n);
            offsets[step * n..].iter_mut().for_each(|offset| *offset += step * next.to);
        }
    }
    offsets
}

/// Copies a square: neighbour `k` of row `c` to element `c` at place `k`.
fn copy_square<const SIZE: usize>(
    rows: [&[[u8; SIZE]; BLOCK]; BLOCK],
    places: &[usize; BLOCK],
    to: &mut [[u8; SIZE]],
) {
    for (k, &place) in places.iter().enumerate() {
        let line: [[u8; SIZE]; BLOCK] = std::array::from_fn(|c| rows[c][k]);
        to[place..place + BLOCK].copy_from_slice(&line);
    }
}

/// The same for a square of words, four lines at a time.
fn copy_words(rows: [&[Word; BLOCK]; BLOCK], places: &[usize; BLOCK], to: &mut [Word]) {
    for (k, places) in places.as_chunks::<4>().0.iter().enumerate() {
        let part = |c: usize| transpose(std::array::from_fn(|i| rows[4 * c + i].as_chunks().0[k]));
        let parts: [_; BLOCK / 4] = std::array::from_fn(part);
        for (n, &place) in places.iter().enumerate() {
            let line = to[place..place + BLOCK].as_chunks_mut().0;
            line.iter_mut().zip(&parts).for_each(|(to, part)| *to = part[n]);
        }
    }
}

fn at(position: i64) -> usize {
    usize::try_from(position).expect("positions of verified reads are not negative")
}

/// Calls `f` with the positions in source and target of every point of the loops.
fn walk(loops: &[Loop], (source, target): (i64, usize), f: &mut impl FnMut(i64, usize)) {
    match loops {
        [] => f(source, target),
        [only] => {
            for k in 0..only.n {
                f(source + k as i64 * only.from, target + k * only.to);
            }
        }
        [outer, rest @ ..] => {
            for k in 0..outer.n {
                walk(rest, (source + k as i64 * outer.from, target + k * outer.to), f);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// One element after the other.
    fn naive(view: &StridedCopy, size: usize, from: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        let mut shape: Vec<usize> = view.dims.iter().map(|d| d.0).collect();
        let row = shape.last().copied().unwrap_or(1);
        match shape.last_mut() {
            Some(last) => *last += view.pad,
            None => shape.push(1 + view.pad),
        }
        tracelift_tensor::for_each_index(&shape, |index| {
            if index[index.len() - 1] >= row {
                return out.extend(std::iter::repeat_n(0, size));
            }
            let steps = index.iter().zip(&view.dims).map(|(&i, d)| i as i64 * d.1);
            let position = (view.base + steps.sum::<i64>()) as usize;
            out.extend_from_slice(&from[position * size..(position + 1) * size]);
        });
        out
    }

    /// A view with any strides, of a source just large enough.
    fn any_view() -> impl Strategy<Value = StridedCopy> {
        let dims = prop::collection::vec((0..40usize, -30..70i64), 0..4);
        (dims, 0..3usize).prop_map(|(dims, pad)| {
            let back = dims.iter().map(|&(n, s)| (n.max(1) as i64 - 1) * s.min(0));
            StridedCopy { base: -back.sum::<i64>(), dims, pad }
        })
    }

    /// A view that reorders the axes of a dense tensor, and cuts the last into panels.
    fn any_panels() -> impl Strategy<Value = StridedCopy> {
        let dims = prop::collection::vec(1..12usize, 2..5);
        let turn = any::<prop::sample::Index>();
        (dims, 1..20usize, turn, any::<bool>(), 0..3usize).prop_map(
            |(mut shape, panel, turn, reverse, pad)| {
                let last = shape.len() - 1;
                shape[last] *= panel;
                let mut stride = shape.iter().product::<usize>() as i64;
                let mut dims: Vec<(usize, i64)> = Vec::new();
                for &n in &shape {
                    stride /= n as i64;
                    dims.push((n, stride));
                }
                let n_turned = turn.index(dims.len());
                dims.rotate_left(n_turned);
                if reverse {
                    dims.reverse();
                }
                if let Some(cut) = dims.iter().position(|d| d.0.is_multiple_of(panel)) {
                    let (n, stride) = dims.remove(cut);
                    dims.insert(0, (n / panel, stride * panel as i64));
                    dims.push((panel, stride));
                }
                StridedCopy { base: 0, dims, pad }
            },
        )
    }

    fn check(view: &StridedCopy, size: usize, most: usize) -> Result<(), TestCaseError> {
        let reach: i64 = view.dims.iter().map(|&(n, s)| (n.max(1) as i64 - 1) * s.max(0)).sum();
        let n_source = (view.base + reach + 1) as usize;
        let from: Vec<u8> = (0..n_source * size).map(|k| (k * 167 % 251) as u8).collect();
        let expected = naive(view, size, &from);
        let mut whole = vec![0; view.count() * size];
        copy_view(view, size, &from, &mut whole);
        prop_assert_eq!(&whole, &expected);
        let mut parts = Vec::new();
        for part in view.split(most) {
            let mut bytes = vec![0; part.count() * size];
            copy_view(&part, size, &from, &mut bytes);
            parts.extend(bytes);
        }
        prop_assert_eq!(&parts, &expected);
        Ok(())
    }

    proptest! {
        #[test]
        fn copies_agree_with_one_element_after_the_other(
            view in any_view(), size in prop::sample::select(vec![1usize, 2, 4, 8]), most in 1..2000usize,
        ) {
            check(&view, size, most)?;
        }

        #[test]
        fn panels_agree_with_one_element_after_the_other(
            view in any_panels(), size in prop::sample::select(vec![1usize, 4, 8]), most in 1..2000usize,
        ) {
            check(&view, size, most)?;
        }
    }

    #[test]
    fn a_transpose_is_a_strided_copy() {
        let view = StridedCopy { base: 0, dims: vec![(3, 1), (2, 3)], pad: 0 };
        let mut to = [0; 6];
        copy_view(&view, 1, &[1, 2, 3, 4, 5, 6], &mut to);
        assert_eq!(to, [1, 4, 2, 5, 3, 6]);
        let mut to = [0; 9];
        copy_view(&StridedCopy { pad: 1, ..view }, 1, &[1, 2, 3, 4, 5, 6], &mut to);
        assert_eq!(to, [1, 4, 0, 2, 5, 0, 3, 6, 0]);
    }
}
