//! Concatenations: parts that are computed in place, and conditions that boxes decide.

use tracelift_ir::{Concat, Literal, Pad, Slice};

use super::{
    super::StorageKind,
    harness::{check_everywhere, conv, is_plain},
    *,
};

fn concat(b: &mut Builder<'_>, parts: &[Value], axis: usize) -> Value {
    b.op1(Concat { axis }, parts).unwrap()
}

fn pointwise_conv(b: &mut Builder<'_>, x: Value, n_out: usize, seed: u64) -> Value {
    let n_in = b.ty(x).extents()[3];
    let w = b.constant(input(&[1, 1, n_in, n_out], seed));
    let op = conv(1, [0, 0], 1);
    b.op1(op, &[x, w]).unwrap()
}

/// The elements of all intermediate values.
fn n_temporary(lowered: &Lowered) -> usize {
    let used = |id: &usize| lowered.steps.iter().any(|s| s.operands.contains(id));
    let storages = (0..lowered.storages.len()).filter(used).map(|id| &lowered.storages[id]);
    storages.filter(|s| s.kind == StorageKind::Temporary).map(|s| s.len).sum()
}

#[test]
fn concatenations_that_grow_are_one_storage() {
    // Each layer reads what all before it have computed, cut at 0.
    let lowered = check_everywhere(
        |b, x| {
            let mut parts = vec![pointwise_conv(b, x[0], 8, 3)];
            for layer in 0..5 {
                let all = match parts.as_slice() {
                    [only] => *only,
                    parts => concat(b, parts, 3),
                };
                let zero = b.splat(Scalar::F32(0.0), b.shape(all));
                let cut = b.max(all, zero).unwrap();
                parts.push(pointwise_conv(b, cut, 4, layer));
            }
            let all = concat(b, &parts, 3);
            b.neg(all).unwrap()
        },
        &[vec![1, 5, 6, 3]],
    );
    for lowered in lowered {
        // No kernel copies: one for each convolution, for each operand of those, and the result.
        assert_eq!(lowered.steps.len(), 6 + 5 - 1 + 1, "{:?}", lowered.groups);
        let operands = [8, 12, 16, 20, 24];
        assert_eq!(n_temporary(&lowered), 30 * (28 + operands.iter().sum::<usize>()));
    }
}

#[test]
fn a_value_of_two_concatenations_is_in_both() {
    check_everywhere(
        |b, x| {
            let y = pointwise_conv(b, x[0], 5, 3);
            let z = pointwise_conv(b, x[0], 6, 4);
            let [one, other] = [[y, z], [z, y]].map(|parts| concat(b, &parts, 3));
            let [one, other] = [one, other].map(|c| pointwise_conv(b, c, 4, 5));
            b.add(one, other).unwrap()
        },
        &[vec![2, 3, 4, 3]],
    );
}

#[test]
fn rotated_halves_are_read_without_tests() {
    let lowered = check_everywhere(
        |b, x| {
            let half = |b: &mut Builder<'_>, start: usize| {
                let op = Slice::of_axis(b.ty(x[0]), 1, start.into(), (start + 32).into(), 1);
                b.op1(op, &[x[0]]).unwrap()
            };
            let (first, second) = (half(b, 0), half(b, 32));
            let second = b.neg(second).unwrap();
            let rotated = concat(b, &[second, first], 1);
            let turned = b.mul(rotated, x[1]).unwrap();
            b.add(turned, x[0]).unwrap()
        },
        &[vec![24, 64], vec![24, 64]],
    );
    for lowered in lowered {
        assert_eq!(lowered.steps.len(), 2);
        assert!(lowered.kernels.iter().all(is_plain), "{:#?}", lowered.kernels);
    }
}

#[test]
fn padding_inside_a_map_is_not_tested() {
    let lowered = check_everywhere(
        |b, x| {
            let value = Literal::Real(0.5);
            let op = Pad { low: vec![2, 3], high: vec![1, 5], interior: vec![0; 2], value };
            let padded = b.op1(op, &[x[0]]).unwrap();
            b.mul(padded, x[1]).unwrap()
        },
        &[vec![20, 30], vec![23, 38]],
    );
    for lowered in lowered {
        assert_eq!(lowered.steps.len(), 9);
        assert!(lowered.kernels.iter().all(is_plain), "{:#?}", lowered.kernels);
    }
}
