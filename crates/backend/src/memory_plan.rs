//! Places intermediate values in one arena, and proves the placement by replaying the steps.
//!
//! A value lives from the step that first writes it to the last that touches it. Two greedy orders
//! are tried, by size and by breadth (the memory alive at a step); where the smaller arena is still
//! larger than the values alive at one step, values that reach beyond these are placed earlier.
//!
//! Source: Pisarchyk & Lee, "Efficient memory management for deep neural net inference", 2020,
//! arXiv:2001.03288.

use std::{collections::BTreeMap, ops::Range};

use tracelift_loops::BufferKind;

use crate::lower::{Lowered, StorageId, StorageKind};

/// The most orders tried beyond the first two; each takes time square in the number of values.
const MOST_ORDERS: usize = 400;
/// The most visits of placed values in all of these together, about 10 ms.
const MOST_VISITS: usize = 1 << 22;

/// Every value starts at a multiple of this many bytes.
pub const ALIGNMENT: usize = 64;

/// Where intermediate values lie.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct MemoryPlan {
    /// The first byte of every intermediate value that some step touches.
    pub offsets: BTreeMap<StorageId, usize>,
    /// The size of the arena in bytes.
    pub arena_bytes: usize,
    /// The most bytes alive at one step: no arena can be smaller.
    pub max_live_bytes: usize,
}

/// An intermediate value with the steps it lives through.
#[derive(Clone, Debug)]
struct Interval {
    storage: StorageId,
    size: usize,
    steps: Range<usize>,
}

fn intervals(lowered: &Lowered) -> Vec<Interval> {
    let mut found: BTreeMap<StorageId, Interval> = BTreeMap::new();
    for (at, step) in lowered.steps.iter().enumerate() {
        for &storage in &step.operands {
            if lowered.storages[storage].kind != StorageKind::Temporary {
                continue;
            }
            let size = lowered.storages[storage].size_bytes().next_multiple_of(ALIGNMENT);
            let interval =
                found.entry(storage).or_insert(Interval { storage, size, steps: at..at });
            interval.steps.end = at + 1;
        }
    }
    found.into_values().collect()
}

/// Plans the arena of a lowered graph.
pub fn plan_memory(lowered: &Lowered) -> MemoryPlan {
    let intervals = intervals(lowered);
    let live = |step: usize| intervals.iter().filter(move |i| i.steps.contains(&step));
    let breadths: Vec<usize> =
        (0..lowered.steps.len()).map(|step| live(step).map(|i| i.size).sum()).collect();
    let mut by_size: Vec<usize> = (0..intervals.len()).collect();
    by_size.sort_by_key(|&k| (usize::MAX - intervals[k].size, intervals[k].steps.start));
    let breadth_of = |k: usize| breadths[intervals[k].steps.clone()].iter().max().copied();
    let mut by_breadth: Vec<usize> = (0..intervals.len()).collect();
    by_breadth.sort_by_key(|&k| {
        let i = &intervals[k];
        (std::cmp::Reverse(breadth_of(k)), std::cmp::Reverse(i.size), i.steps.start)
    });
    let plans = [by_size, by_breadth].map(|order| (place(&intervals, &order), order));
    let [a, b] = plans;
    let (first, order) = if b.0.arena < a.0.arena { b } else { a };
    let max_live_bytes = breadths.into_iter().max().unwrap_or(0);
    let best = improve(&intervals, first, order, max_live_bytes);
    let offsets = best.placed.iter().map(|(bytes, k)| (intervals[*k].storage, bytes.start));
    MemoryPlan { offsets: offsets.collect(), arena_bytes: best.arena, max_live_bytes }
}

/// Intervals with their bytes, by the first of these.
struct Placement {
    placed: Vec<(Range<usize>, usize)>,
    arena: usize,
}

/// Places an interval that reaches beyond the least arena earlier in the order, again and again, and
/// keeps what reaches beyond it no further in sum, so that one part of the program after another
/// fits.
fn improve(
    intervals: &[Interval],
    first: Placement,
    mut order: Vec<usize>,
    max_live_bytes: usize,
) -> Placement {
    let visits = intervals.len() * intervals.len() / 2 + 1;
    let n_orders = MOST_ORDERS.min(MOST_VISITS / visits);
    let beyond = |bytes: &Range<usize>| bytes.end.saturating_sub(max_live_bytes);
    let excess = |p: &Placement| p.placed.iter().map(|(bytes, _)| beyond(bytes)).sum::<usize>();
    let mut best = first;
    let mut current = excess(&best);
    let mut outside: Vec<usize> = Vec::new();
    let note_outside = |p: &Placement, list: &mut Vec<usize>| {
        list.clear();
        list.extend(p.placed.iter().filter(|(bytes, _)| beyond(bytes) > 0).map(|(_, k)| *k));
    };
    note_outside(&best, &mut outside);
    // A fixed sequence of pseudo-random numbers, so that plans do not differ from run to run.
    let mut state = 0x9E37_79B9_7F4A_7C15u64;
    let mut random = |n: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 33) as usize % n
    };
    for _ in 0..n_orders {
        if outside.is_empty() {
            break;
        }
        // Now and then any value moves, which leaves a dead end.
        let from = match random(4) {
            0 => random(order.len()),
            _ => {
                let chosen = outside[random(outside.len())];
                order.iter().position(|k| *k == chosen).unwrap_or(0)
            }
        };
        let to = random(from + 1);
        let mut next = order.clone();
        next[to..=from].rotate_right(1);
        let placement = place(intervals, &next);
        let found = excess(&placement);
        if found <= current {
            (current, order) = (found, next);
            note_outside(&placement, &mut outside);
            if placement.arena <= best.arena {
                best = placement;
            }
        }
    }
    best
}

/// Gives each interval, in order, the smallest gap that fits among those it lives beside.
fn place(intervals: &[Interval], order: &[usize]) -> Placement {
    let mut placed: Vec<(Range<usize>, usize)> = Vec::new();
    let mut arena = 0;
    for &k in order {
        let interval = &intervals[k];
        let overlaps = |other: &Interval| {
            other.steps.start < interval.steps.end && interval.steps.start < other.steps.end
        };
        // `placed` is sorted by offset.
        let mut best: Option<(usize, usize)> = None;
        let mut free_from = 0;
        for (bytes, other) in &placed {
            if !overlaps(&intervals[*other]) {
                continue;
            }
            let gap = bytes.start.saturating_sub(free_from);
            if gap >= interval.size && best.is_none_or(|(least, _)| gap < least) {
                best = Some((gap, free_from));
            }
            free_from = free_from.max(bytes.end);
        }
        let start = best.map_or(free_from, |(_, at)| at);
        let bytes = start..start + interval.size;
        arena = arena.max(bytes.end);
        let at = placed.partition_point(|(b, _)| b.start < bytes.start);
        placed.insert(at, (bytes, k));
    }
    Placement { placed, arena }
}

/// A step that would not find its values.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanViolation {
    /// A value is touched but has no place, or leaves the arena.
    #[error("step {step}: storage {storage} has no place in the arena")]
    Unplaced {
        /// The step.
        step: usize,
        /// The value.
        storage: StorageId,
    },
    /// A value is read whose bytes hold something else.
    #[error("step {step} reads storage {storage}, whose bytes were overwritten or never written")]
    Stale {
        /// The step.
        step: usize,
        /// The value.
        storage: StorageId,
    },
    /// A step writes bytes that it also reads as another value.
    #[error("step {step} writes storage {written} over its own operand {read}")]
    Overlap {
        /// The step.
        step: usize,
        /// The value written.
        written: StorageId,
        /// The value read.
        read: StorageId,
    },
}

/// Replays the steps on the plan and checks that each read finds its own value.
///
/// # Errors
/// Lists every read that does not.
pub fn check_memory_plan(lowered: &Lowered, plan: &MemoryPlan) -> Result<(), Vec<PlanViolation>> {
    let mut violations = Vec::new();
    // The values whose bytes are intact, by place.
    let mut intact: BTreeMap<StorageId, Range<usize>> = BTreeMap::new();
    for (at, step) in lowered.steps.iter().enumerate() {
        let kernel = &lowered.kernels[step.kernel];
        let mut touched: Vec<(StorageId, Range<usize>, bool)> = Vec::new();
        for (&storage, buffer) in step.operands.iter().zip(&kernel.buffers) {
            if lowered.storages[storage].kind != StorageKind::Temporary {
                continue;
            }
            let size = lowered.storages[storage].size_bytes();
            match plan.offsets.get(&storage) {
                Some(&start) if start + size <= plan.arena_bytes && start % ALIGNMENT == 0 => {
                    touched.push((storage, start..start + size, buffer.kind == BufferKind::Output));
                }
                _ => violations.push(PlanViolation::Unplaced { step: at, storage }),
            }
        }
        for (storage, bytes, written) in &touched {
            let stale = !written && !bytes.is_empty() && intact.get(storage) != Some(bytes);
            if stale {
                violations.push(PlanViolation::Stale { step: at, storage: *storage });
            }
            for (other, range, _) in
                touched.iter().filter(|(other, ..)| *written && other != storage)
            {
                if overlap(bytes, range) {
                    let (written, read) = (*storage, *other);
                    violations.push(PlanViolation::Overlap { step: at, written, read });
                }
            }
        }
        for (storage, bytes, _) in touched.into_iter().filter(|(_, _, written)| *written) {
            intact.retain(|other, range| *other == storage || !overlap(range, &bytes));
            intact.insert(storage, bytes);
        }
    }
    if violations.is_empty() { Ok(()) } else { Err(violations) }
}

fn overlap(a: &Range<usize>, b: &Range<usize>) -> bool {
    a.start < b.end && b.start < a.end
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::lower::{Step, Storage};
    use tracelift_loops::Kernel;
    use tracelift_tensor::DType;

    /// A chain of steps, each reading the storage before and writing the next.
    fn chain(lens: &[usize]) -> Lowered {
        let storages = lens
            .iter()
            .map(|&len| Storage {
                kind: StorageKind::Temporary,
                dtype: DType::U8,
                len,
                name: String::new(),
            })
            .collect();
        let mut kernel = Kernel::default();
        kernel.add_buffer("x", DType::U8, 1, BufferKind::Input);
        kernel.add_buffer("y", DType::U8, 1, BufferKind::Output);
        let mut first = Kernel::default();
        first.add_buffer("y", DType::U8, 1, BufferKind::Output);
        let mut steps = vec![Step { kernel: 1, operands: vec![0], label: "".into() }];
        steps.extend((1..lens.len()).map(|k| Step {
            kernel: 0,
            operands: vec![k - 1, k],
            label: "".into(),
        }));
        Lowered { kernels: vec![kernel, first], steps, storages, ..Lowered::default() }
    }

    #[test]
    fn dead_values_give_their_bytes_back() {
        let lowered = chain(&[100, 1000, 100, 1000]);
        let plan = plan_memory(&lowered);
        assert_eq!(plan.max_live_bytes, 1024 + 128);
        assert_eq!(plan.arena_bytes, plan.max_live_bytes);
        assert_eq!(check_memory_plan(&lowered, &plan), Ok(()));
    }

    proptest! {
        #[test]
        fn plans_of_any_steps_pass_the_checker(
            lens in prop::collection::vec(1..5000usize, 1..40),
            reads in prop::collection::vec(any::<prop::sample::Index>(), 80),
        ) {
            // Step `k` writes storage `k` and reads two of those before.
            let mut lowered = chain(&lens);
            lowered.kernels.push({
                let mut kernel = lowered.kernels[0].clone();
                kernel.add_buffer("z", DType::U8, 1, BufferKind::Input);
                kernel
            });
            for k in 1..lens.len() {
                let [a, b] = [reads[2 * k].index(k), reads[2 * k + 1].index(k)];
                lowered.steps[k].kernel = 2;
                lowered.steps[k].operands = vec![a, k, b];
            }
            let plan = plan_memory(&lowered);
            prop_assert_eq!(check_memory_plan(&lowered, &plan), Ok(()));
            prop_assert!(plan.arena_bytes >= plan.max_live_bytes);
        }
    }

    #[test]
    fn orders_are_improved_until_nothing_is_wasted() {
        // A step writes `k` and reads what is listed; both greedy orders leave a gap.
        let intervals: Vec<Interval> =
            [(3, 0..3), (2, 0..1), (4, 2..5), (3, 1..4), (2, 4..6), (5, 5..7), (1, 3..6)]
                .into_iter()
                .enumerate()
                .map(|(storage, (size, steps))| Interval { storage, size, steps })
                .collect();
        let live = |step: usize| intervals.iter().filter(move |i| i.steps.contains(&step));
        let bound = (0..7).map(|s| live(s).map(|i| i.size).sum()).max().unwrap();
        let order: Vec<usize> = (0..intervals.len()).collect();
        let first = place(&intervals, &order);
        assert!(first.arena > bound, "the given order wastes some");
        assert_eq!(improve(&intervals, first, order, bound).arena, bound);
    }

    #[test]
    fn a_value_placed_over_a_live_one_is_found() {
        let lowered = chain(&[100, 100, 100]);
        let mut plan = plan_memory(&lowered);
        let first = plan.offsets[&0];
        plan.offsets.insert(1, first);
        let violations = check_memory_plan(&lowered, &plan).unwrap_err();
        assert!(violations.contains(&PlanViolation::Overlap { step: 1, written: 1, read: 0 }));
    }

    #[test]
    fn an_overwritten_value_is_found() {
        let mut lowered = chain(&[100, 100, 100]);
        lowered.steps.push(Step { kernel: 0, operands: vec![0, 1], label: "".into() });
        let mut plan = plan_memory(&lowered);
        assert_eq!(check_memory_plan(&lowered, &plan), Ok(()));
        plan.offsets.insert(2, plan.offsets[&0]);
        let violations = check_memory_plan(&lowered, &plan).unwrap_err();
        assert_eq!(violations, [PlanViolation::Stale { step: 3, storage: 0 }]);
    }
}
