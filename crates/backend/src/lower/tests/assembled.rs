//! What the tile assembler has code for, so that Cranelift's narrow vectors compute none of it.

use tracelift_ir::{ArgReduce, Composite, Extreme};

use super::harness::{check_everywhere, is_assembled};
use super::*;

/// Whether every kernel of a graph is assembled for the targets that have an assembler.
fn all_assembled(
    build: impl FnOnce(&mut Builder<'_>, &[Value]) -> Value,
    shapes: &[Vec<usize>],
) -> bool {
    let lowered = check_everywhere(build, shapes);
    let wide = Target { vector_bytes: 64, ..Target::typical(IsaLevel::X86_64V4) };
    let narrow = Target { vector_bytes: 32, ..Target::typical(IsaLevel::X86_64V3) };
    // For each target there are two sizes of the caches.
    let pairs = lowered[..4].iter().zip([wide, wide, narrow, narrow]);
    pairs.into_iter().all(|(l, target)| l.kernels.iter().all(|k| is_assembled(k, &target)))
}

#[test]
fn positions_of_extremes_are_found_in_vectors() {
    for (axis, select_last) in [(0, false), (1, false), (2, true), (2, false)] {
        let op = ArgReduce { kind: Extreme::Max, axis, select_last };
        let build = |b: &mut Builder<'_>, x: &[Value]| op.decompose(b, x).unwrap()[0];
        assert!(all_assembled(build, &[vec![3, 21, 70]]), "{op:?}");
    }
}
