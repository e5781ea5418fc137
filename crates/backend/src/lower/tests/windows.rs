//! Depthwise convolutions and poolings: windows side by side, every border.

use tracelift_ir::{Literal, Windows};

use super::{
    super::StorageKind,
    harness::{Random, check_everywhere, conv, is_plain, keeps_sums_whole},
    *,
};

fn depthwise(channels: usize, stride: usize, pads: [usize; 2]) -> Conv {
    conv(stride, pads, channels)
}

#[test]
fn depthwise_convolutions_are_one_plain_kernel() {
    for (size, channels, kernel, stride, pads) in [
        (9, 16, 3, 1, [1, 1]),
        (8, 40, 3, 2, [0, 1]),
        (13, 20, 3, 2, [1, 1]),
        (6, 70, 5, 1, [2, 2]),
        (4, 3, 3, 1, [1, 1]),
        (2, 33, 3, 1, [1, 1]),
        // Windows that are nearly as large as the image.
        (14, 33, 7, 1, [3, 3]),
        (7, 16, 7, 2, [3, 2]),
        (13, 18, 9, 1, [4, 4]),
        (12, 20, 11, 1, [5, 5]),
        // Rows so long that tiles go down before the next ones along.
        (90, 20, 3, 1, [1, 1]),
        // Pixels so far apart that their columns share sets of the cache.
        (5, 256, 3, 1, [1, 1]),
    ] {
        let lowered = check_everywhere(
            |b, x| {
                let w = b.constant(input(&[kernel, kernel, 1, channels], 9));
                let y = b.op1(depthwise(channels, stride, pads), &[x[0], w]).unwrap();
                let shape = b.shape(y);
                let bias = b.broadcast_to(x[1], &shape).unwrap();
                b.add(y, bias).unwrap()
            },
            &[vec![2, size, size, channels], vec![channels]],
        );
        for lowered in lowered {
            assert_eq!(lowered.steps.len(), 1);
            assert!(is_plain(&lowered.kernels[0]), "{:#?}", lowered.kernels[0]);
            assert!(keeps_sums_whole(&lowered.kernels[0]));
        }
    }
}

#[test]
fn tasks_of_windows_have_all_rows_of_some_pixels_or_columns() {
    for (size, channels, expected) in [
        // Pixels of two tiles along a row, which fit the cache.
        (16, 96, ("t", 2)),
        // Columns of three tiles, and some that are left.
        (33, 299, ("p", 9)),
    ] {
        let lowered = check_everywhere(
            |b, x| {
                let w = b.constant(input(&[3, 3, 1, channels], 9));
                b.op1(depthwise(channels, 1, [1, 1]), &[x[0], w]).unwrap()
            },
            &[vec![1, size, size, channels]],
        );
        let kernel = &lowered[0].kernels[0];
        let grid = kernel.grid.iter().map(|&a| (&*kernel.axes[a].name, kernel.axes[a].extent));
        let several: Vec<_> = grid.filter(|(_, extent)| *extent > 1).collect();
        assert_eq!(several[0], expected);
    }
}

#[test]
fn windows_at_borders_of_a_row_are_in_tiles_with_others() {
    let lowered = check_everywhere(
        |b, x| {
            let w = b.constant(input(&[3, 3, 1, 16], 9));
            b.op1(depthwise(16, 1, [1, 1]), &[x[0], w]).unwrap()
        },
        &[vec![1, 7, 7, 16]],
    );
    let mut n_tiles = 0;
    lowered[0].kernels[0].for_each_tile(&mut |_| n_tiles += 1);
    // One for the rows at both borders, one for the others.
    assert_eq!(n_tiles, 2);
}

#[test]
fn windows_over_a_transposed_image_read_a_copy() {
    let lowered = check_everywhere(
        |b, x| {
            let perm = vec![0, 2, 3, 1];
            let last = b.op1(tracelift_ir::Transpose { perm }, &[x[0]]).unwrap();
            let w = b.constant(input(&[3, 3, 1, 20], 9));
            b.op1(depthwise(20, 1, [1, 1]), &[last, w]).unwrap()
        },
        &[vec![2, 20, 7, 6]],
    );
    for lowered in lowered {
        assert_eq!(lowered.steps.len(), 2);
        assert!(is_plain(&lowered.kernels[1]), "{:#?}", lowered.kernels[1]);
    }
}

#[test]
fn windows_of_any_geometry_agree() {
    let mut random = Random(5);
    for _ in 0..120 {
        let n = random.within(1..=3);
        let mut pick = |range: std::ops::RangeInclusive<usize>| -> Vec<usize> {
            (0..n).map(|_| random.within(range.clone())).collect()
        };
        let (kernel, strides, dilations) = (pick(1..=4), pick(1..=3), pick(1..=2));
        let (before, after, extra) = (pick(0..=3), pick(0..=3), pick(0..=7));
        let pads: Vec<[usize; 2]> = before.iter().zip(&after).map(|(a, b)| [*a, *b]).collect();
        let (batch, channels) = (random.within(1..=2), random.within(1..=40));
        let spatial: Vec<usize> = (0..n)
            .map(|k| {
                let span = dilations[k] * (kernel[k] - 1) + 1;
                (span + extra[k]).saturating_sub(before[k] + after[k]).max(1)
            })
            .collect();
        let shape = [&[batch], spatial.as_slice(), &[channels]].concat();
        let (kind, fill) = match random.below(3) {
            0 => (ReduceKind::Sum, 0.0),
            1 => (ReduceKind::Max, f64::NEG_INFINITY),
            // A fill that changes the fold may not be left out.
            _ => (ReduceKind::Max, 0.25),
        };
        let axes = (1..=n).collect();
        let fill = Literal::Real(fill);
        let op = Windows { axes, kernel, strides, pads, dilations, fill };
        let case = format!("{op:?} {kind:?} {shape:?}");
        let rank = shape.len();
        let lowered = check_everywhere(
            |b, x| {
                let windows = b.op1(op, &[x[0]]).unwrap();
                let axes: Vec<usize> = (rank..rank + n).collect();
                let y = b.op1(Reduce { kind, axes }, &[windows]).unwrap();
                b.neg(y).unwrap()
            },
            &[shape],
        );
        for lowered in lowered {
            assert_eq!(lowered.steps.len(), 1, "{case}");
            assert!(keeps_sums_whole(&lowered.kernels[0]), "{case}");
        }
    }
}

#[test]
fn poolings_leave_out_what_lies_outside() {
    for (kind, fill) in [(ReduceKind::Max, f64::NEG_INFINITY), (ReduceKind::Sum, 0.0)] {
        let lowered = check_everywhere(
            |b, x| {
                let op = Windows {
                    axes: vec![1, 2],
                    kernel: vec![3; 2],
                    strides: vec![2; 2],
                    pads: vec![[1; 2]; 2],
                    dilations: vec![1; 2],
                    fill: Literal::Real(fill),
                };
                let windows = b.op1(op, &[x[0]]).unwrap();
                b.op1(Reduce { kind, axes: vec![4, 5] }, &[windows]).unwrap()
            },
            &[vec![1, 15, 14, 20]],
        );
        for lowered in lowered {
            assert!(is_plain(&lowered.kernels[0]), "{:#?}", lowered.kernels[0]);
        }
    }
}

#[test]
fn what_is_concatenated_is_computed_in_place() {
    // Two convolutions joined, and joined once more with a map of one of them.
    let lowered = check_everywhere(
        |b, x| {
            let conv = |b: &mut Builder<'_>, x: Value, size: usize, outputs: usize| {
                let inputs = b.ty(x).extents()[3];
                let w = b.constant(input(&[size, size, inputs, outputs], 9));
                let op = Conv {
                    strides: vec![1; 2],
                    pads: vec![[size / 2; 2]; 2],
                    dilations: vec![1; 2],
                    groups: 1,
                    layout: ConvLayout::ChannelsLast,
                };
                b.op1(op, &[x, w]).unwrap()
            };
            let one = conv(b, x[0], 1, 5);
            let three = conv(b, x[0], 3, 19);
            let [one, three] = [one, three].map(|y| b.neg(y).unwrap());
            let inner = b.op1(tracelift_ir::Concat { axis: 3 }, &[one, three]).unwrap();
            let square = b.mul(one, one).unwrap();
            let joined = b.op1(tracelift_ir::Concat { axis: 3 }, &[inner, square]).unwrap();
            let of_inner = conv(b, inner, 1, 3);
            let of_all = conv(b, joined, 1, 3);
            b.add(of_inner, of_all).unwrap()
        },
        &[vec![2, 4, 5, 3]],
    );
    for lowered in lowered {
        assert_eq!(lowered.steps.len(), 4, "{:?}", lowered.groups);
        let places = lowered.storages.iter().filter(|s| s.kind == StorageKind::Temporary);
        assert_eq!(places.map(|s| s.len).sum::<usize>(), 40 * (5 + 19 + 5 + 3));
    }
}

#[test]
fn parts_that_are_returned_are_copied() {
    let lowered = check(
        |b, x| {
            let y = b.neg(x[0]).unwrap();
            vec![b.op1(tracelift_ir::Concat { axis: 1 }, &[y, x[1]]).unwrap(), y]
        },
        &[&[3, 4], &[3, 2]],
    );
    assert_eq!(lowered.steps.len(), 3);
}

#[test]
fn parts_that_others_take_whole_are_copied() {
    check_everywhere(
        |b, x| {
            let y = b.neg(x[0]).unwrap();
            let y = b.exp(y).unwrap();
            let flat = b.op1(tracelift_ir::Reshape { shape: [12].into() }, &[y]).unwrap();
            let joined = b.op1(tracelift_ir::Concat { axis: 1 }, &[y, x[1], y]).unwrap();
            let sum = Reduce { kind: ReduceKind::Sum, axes: vec![0] };
            let sum = b.op1(sum, &[flat]).unwrap();
            let sum = b.broadcast_to(sum, &[3, 10].into()).unwrap();
            b.add(joined, sum).unwrap()
        },
        &[vec![3, 4], vec![3, 2]],
    );
}
