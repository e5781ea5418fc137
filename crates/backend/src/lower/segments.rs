//! Segments: stretches of a window's axis over which the same points of its kernel lie inside.
//!
//! A window at the border of a padded operand reads fewer points than one in the middle. Cutting
//! the axis where that changes decides every guard, so that none is left in an inner loop: each
//! segment folds over a range of its own.

use std::ops::Range;

use tracelift_scalar::{Guard, IndexTerm};

use super::fold::FoldSpace;

/// Positions of an axis that fold over the same ranges.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Segment {
    /// The first position.
    pub(super) start: usize,
    /// The number of positions.
    pub(super) len: usize,
    /// Folded axes that are cut, with what is left of them.
    pub(super) folded: Vec<(usize, Range<usize>)>,
}

/// A segment, and perhaps another one that is the same but for where it starts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Stretch {
    /// The first of them.
    pub(super) segment: Segment,
    /// How far the other one lies from it.
    pub(super) again: Option<Shift>,
}

/// The distance of two segments.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Shift {
    /// Between their positions.
    pub(super) at: i64,
    /// Between what they fold over, along each axis that is cut.
    pub(super) folded: Vec<(usize, i64)>,
}

/// The segments with those taken together, two by two, that have as many positions and points, such
/// as the first and the last of a window with as much padding on both sides: one program serves both.
pub(super) fn stretches(segments: &[Segment]) -> Vec<Stretch> {
    let mut out: Vec<Stretch> = Vec::new();
    for segment in segments {
        let twin = out.iter_mut().find_map(|s| {
            let shift = s.again.is_none().then(|| shift(&s.segment, segment))??;
            Some((s, shift))
        });
        match twin {
            Some((stretch, shift)) => stretch.again = Some(shift),
            None => out.push(Stretch { segment: segment.clone(), again: None }),
        }
    }
    out
}

/// The distance from one segment to another that differs in nothing else.
fn shift(from: &Segment, to: &Segment) -> Option<Shift> {
    let alike = from.len == to.len && from.folded.len() == to.folded.len();
    let folded = from.folded.iter().zip(&to.folded).map(|((a, x), (b, y))| {
        let distance = y.start as i64 - x.start as i64;
        (a == b && x.len() == y.len()).then_some((*a, distance))
    });
    let folded = folded.collect::<Option<Vec<_>>>()?;
    alike.then(|| Shift { at: to.start as i64 - from.start as i64, folded })
}

/// A guard of one window axis and one folded axis: `0 ≤ stride · window + step · folded + start <
/// extent`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Border {
    window: usize,
    folded: usize,
    stride: i64,
    step: i64,
    start: i64,
    extent: i64,
}

impl Border {
    fn of(guard: &Guard, n_result: usize) -> Option<Border> {
        let [(IndexTerm::Axis(a), x), (IndexTerm::Axis(b), y)] = guard.expr.terms.as_slice() else {
            return None;
        };
        let ((window, stride), (folded, step)) =
            if a < b { ((*a, *x), (*b, *y)) } else { ((*b, *y), (*a, *x)) };
        let legal = window < n_result && folded >= n_result && stride > 0 && step > 0;
        let (start, extent) = (guard.expr.constant, guard.extent);
        legal.then_some(Border { window, folded, stride, step, start, extent })
    }

    /// The folded points that lie inside at a position.
    fn inside(&self, at: usize, n_folded: usize) -> Range<usize> {
        let first = self.stride * at as i64 + self.start;
        let clamp = |x: i64| x.clamp(0, n_folded as i64) as usize;
        let low = clamp(-(first.div_euclid(self.step)));
        let high = clamp((self.extent - first + self.step - 1).div_euclid(self.step));
        low..high.max(low)
    }
}

/// The axes of the result whose windows meet borders, or `None` where some guard is not of one
/// window axis and one folded axis, or two guards share an axis.
pub(super) fn window_axes(space: &FoldSpace) -> Option<Vec<usize>> {
    let mut axes: Vec<usize> = Vec::new();
    for guard in &space.guards {
        let border = Border::of(guard, space.n_result)?;
        if axes.contains(&border.window) || axes.contains(&border.folded) {
            return None;
        }
        axes.extend([border.window, border.folded]);
    }
    axes.retain(|&a| a < space.n_result);
    Some(axes)
}

/// Takes out the guards of an axis of the result: those left cut it no longer.
pub(super) fn take_guards(space: &mut FoldSpace, axis: usize) -> Vec<Guard> {
    let (taken, left) = std::mem::take(&mut space.guards)
        .into_iter()
        .partition(|g| Border::of(g, space.n_result).is_some_and(|b| b.window == axis));
    space.guards = left;
    taken
}

/// The segments of an axis of the result.
///
/// # Panics
/// When the guards have no [`window_axes`].
pub(super) fn segments(space: &FoldSpace, axis: usize) -> Vec<Segment> {
    let borders = space
        .guards
        .iter()
        .map(|g| Border::of(g, space.n_result).expect("guards were found to be of two axes"));
    let Some(border) = borders.into_iter().find(|b| b.window == axis) else {
        return vec![Segment { start: 0, len: space.extents[axis], folded: Vec::new() }];
    };
    let n_folded = space.extents[border.folded];
    let mut out: Vec<Segment> = Vec::new();
    for at in 0..space.extents[axis] {
        let folded = vec![(border.folded, border.inside(at, n_folded))];
        match out.last_mut() {
            Some(last) if last.folded == folded => last.len += 1,
            _ => out.push(Segment { start: at, len: 1, folded }),
        }
    }
    out
}

/// Consecutive blocks of an axis that are cut alike.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct BlockClass {
    /// The first of the blocks.
    pub(super) first: usize,
    /// The number of blocks.
    pub(super) n_blocks: usize,
    /// The segments of each, positions counted from `origin` after the start of the block.
    pub(super) pieces: Vec<Segment>,
    pub(super) origin: i64,
}

/// Cuts segments into blocks of `size` positions, the last one perhaps shorter.
pub(super) fn block_classes(segments: &[Segment], size: usize) -> Vec<BlockClass> {
    let end = segments.last().map_or(0, |s| s.start + s.len);
    let mut out: Vec<BlockClass> = Vec::new();
    for (block, start) in (0..end).step_by(size.max(1)).enumerate() {
        let stop = (start + size).min(end);
        let pieces: Vec<Segment> = segments
            .iter()
            .filter_map(|s| {
                let (from, to) = (s.start.max(start), (s.start + s.len).min(stop));
                (from < to).then(|| Segment {
                    start: from - start,
                    len: to - from,
                    folded: s.folded.clone(),
                })
            })
            .collect();
        match out.last_mut() {
            Some(last) if last.pieces == pieces => last.n_blocks += 1,
            _ => out.push(BlockClass { first: block, n_blocks: 1, pieces, origin: 0 }),
        }
    }
    out
}

/// Cuts the longest segment into blocks and takes the others as one more block, the last, so that
/// all blocks share few programs; `None` where the others are too many for one, or there are none.
pub(super) fn blocks_apart(segments: &[Segment], size: usize) -> Option<Vec<BlockClass>> {
    let longest = segments.iter().max_by_key(|s| s.len)?;
    let others: Vec<Segment> = segments.iter().filter(|s| *s != longest).cloned().collect();
    let n_others: usize = others.iter().map(|s| s.len).sum();
    let n_blocks = longest.len.div_ceil(size);
    if n_blocks < 2 || n_others == 0 || n_others > size {
        return None;
    }
    let mut out = block_classes(&[Segment { start: 0, ..longest.clone() }], size);
    out.iter_mut().for_each(|class| class.origin = longest.start as i64);
    let origin = -((n_blocks * size) as i64);
    out.push(BlockClass { first: n_blocks, n_blocks: 1, pieces: others, origin });
    Some(out)
}

/// How many positions of an axis one task takes, where each position is so much work and there are
/// so many tasks besides: about `most`, and fewer, but not less than `fewest`, where the tasks would
/// not go evenly among two or eight threads.
pub(super) fn block_size(
    extent: usize,
    work: usize,
    [most, fewest]: [usize; 2],
    other_tasks: usize,
) -> usize {
    let extent = extent.max(1);
    let largest = (most / work.max(1)).clamp(1, extent);
    let at_least = extent.div_ceil(largest);
    let score = |n_blocks: usize| {
        let size = extent.div_ceil(n_blocks);
        let n_tasks = (other_tasks * extent.div_ceil(size)).max(1);
        // The part of the time that so many threads are at work.
        let busy = |threads: usize| {
            (other_tasks * extent) as f64 / (n_tasks.div_ceil(threads) * threads * size) as f64
        };
        // Equal blocks need no code for a last one.
        let equal = if extent.is_multiple_of(n_blocks) { 0.03 } else { 0.0 };
        let small = 0.05 * n_blocks as f64 / at_least as f64;
        busy(2) + 0.3 * busy(8) + equal - small
    };
    let fits = |n: &usize| *n == at_least || extent.div_ceil(*n) * work >= fewest;
    let candidates = (at_least..=extent.min(8 * at_least)).filter(fits);
    let best = candidates.rev().max_by(|&a, &b| score(a).total_cmp(&score(b)));
    extent.div_ceil(best.unwrap_or(at_least))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tracelift_scalar::IndexExpr;

    #[test]
    fn borders_hold_where_their_guard_does() {
        for (stride, step, start, extent) in [
            (1, 1, -1, 6),
            (2, 1, -3, 9),
            (1, 2, -2, 5),
            (3, 2, -4, 4),
            (1, 1, -9, 3),
            (2, 3, 1, 7),
        ] {
            let expr = IndexExpr::axis(0).scale(stride).add(&IndexExpr::axis(1).scale(step));
            let guard = Guard { expr: expr.offset(start), extent };
            let border = Border::of(&guard, 1).unwrap();
            for at in 0..12 {
                let inside = border.inside(at, 7);
                for k in 0..7 {
                    assert_eq!(inside.contains(&k), guard.holds(&[at, k]), "{guard:?} {at} {k}");
                }
            }
        }
    }

    #[test]
    fn blocks_that_are_cut_alike_are_one_class() {
        let segment =
            |start, len, range: Range<usize>| Segment { start, len, folded: vec![(4, range)] };
        let segments = [segment(0, 1, 1..3), segment(1, 11, 0..3), segment(12, 1, 0..2)];
        let classes = block_classes(&segments, 4);
        let blocks: Vec<_> = classes.iter().map(|c| (c.first, c.n_blocks)).collect();
        assert_eq!(blocks, [(0, 1), (1, 2), (3, 1)]);
        assert_eq!(classes[0].pieces, [segment(0, 1, 1..3), segment(1, 3, 0..3)]);
        assert_eq!(classes[1].pieces, [segment(0, 4, 0..3)]);
        assert_eq!(classes[2].pieces, [segment(0, 1, 0..2)]);
    }

    #[test]
    fn tasks_go_evenly_among_threads() {
        let blocks = |extent, work, others| {
            let size = block_size(extent, work, [224, 48], others);
            (size, usize::div_ceil(extent, size))
        };
        assert_eq!(blocks(56, 56, 1), (4, 14));
        assert_eq!(blocks(128, 1, 12), (64, 2));
        assert_eq!(blocks(49, 1, 8), (49, 1));
        assert_eq!(blocks(1, 1, 3), (1, 1));
        assert_eq!(blocks(0, 1, 3), (1, 0));
        assert_eq!(blocks(1, 4000, 1), (1, 1));
        let (_, n) = blocks(169, 1, 1);
        assert_eq!(n % 2, 0);
    }
}
