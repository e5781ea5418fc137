//! Products over register tiles: every tail, every border, blocks of sums.

use tracelift_ir::Transpose;
use tracelift_loops::Inst;

use super::{
    harness::{Random, check_everywhere, is_plain, keeps_sums_whole},
    *,
};

fn negated_and_biased(b: &mut Builder<'_>, y: Value, bias: Value) -> Value {
    let shape = b.shape(y);
    let bias = b.broadcast_to(bias, &shape).unwrap();
    let y = b.add(y, bias).unwrap();
    b.neg(y).unwrap()
}

#[test]
fn products_have_every_tail_of_rows_columns_and_depth() {
    let mut random = Random(7);
    for _ in 0..40 {
        let (m, k, n) = (random.within(1..=70), random.within(1..=40), random.within(1..=90));
        let constant = random.below(2) == 0;
        let lowered = check_everywhere(
            |b, x| {
                let w = if constant { b.constant(input(&[k, n], 9)) } else { x[2] };
                let y = b.op1(Contract::new("mk, kn -> mn"), &[x[0], w]).unwrap();
                negated_and_biased(b, y, x[1])
            },
            &[vec![m, k], vec![n], vec![k, n]],
        );
        for kernel in lowered.iter().flat_map(|l| &l.kernels) {
            assert!(is_plain(kernel) || n == 1, "{m} {k} {n} {kernel:#?}");
            assert!(keeps_sums_whole(kernel), "{m} {k} {n} {kernel:#?}");
        }
    }
}

#[test]
fn convolutions_of_any_geometry_agree() {
    let mut random = Random(11);
    for _ in 0..150 {
        let n_spatial = random.within(1..=2);
        let mut pick = |range: std::ops::RangeInclusive<usize>| -> Vec<usize> {
            (0..n_spatial).map(|_| random.within(range.clone())).collect()
        };
        let (kernel, strides, dilations) = (pick(1..=4), pick(1..=3), pick(1..=2));
        let (before, after, extra) = (pick(0..=3), pick(0..=3), pick(0..=9));
        let pads: Vec<[usize; 2]> = before.iter().zip(&after).map(|(a, b)| [*a, *b]).collect();
        let groups = [1, 1, 2][random.below(3)];
        let (batch, inputs) = (random.within(1..=3), groups * random.within(1..=4));
        let outputs = groups * random.within(1..=12);
        let spatial: Vec<usize> = (0..n_spatial)
            .map(|k| {
                let span = dilations[k] * (kernel[k] - 1) + 1;
                (span + extra[k]).saturating_sub(before[k] + after[k]).max(1)
            })
            .collect();
        let x_shape = [&[batch], spatial.as_slice(), &[inputs]].concat();
        let w_shape = [kernel.as_slice(), &[inputs / groups, outputs]].concat();
        let constant = random.below(3) > 0;
        let op = Conv { strides, pads, dilations, groups, layout: ConvLayout::ChannelsLast };
        let case = format!("{op:?} {x_shape:?} {w_shape:?}");
        let lowered = check_everywhere(
            |b, x| {
                let w = if constant { b.constant(input(&w_shape, 9)) } else { x[2] };
                let y = b.op1(op, &[x[0], w]).unwrap();
                negated_and_biased(b, y, x[1])
            },
            &[x_shape, vec![outputs], w_shape.clone()],
        );
        let kernels = lowered.iter().filter_map(|l| l.kernels.last());
        kernels.for_each(|kernel| assert!(keeps_sums_whole(kernel), "{case}"));
    }
}

#[test]
fn padded_convolutions_read_their_operand_in_place() {
    for (size, kernel, stride, pad) in [(9, 3, 1, 1), (14, 3, 2, 1), (15, 7, 2, 3), (7, 5, 1, 2)] {
        let lowered = check_everywhere(
            |b, x| {
                let w = b.constant(input(&[kernel, kernel, 3, 20], 9));
                let op = Conv {
                    strides: vec![stride; 2],
                    pads: vec![[pad; 2]; 2],
                    dilations: vec![1; 2],
                    groups: 1,
                    layout: ConvLayout::ChannelsLast,
                };
                b.op1(op, &[x[0], w]).unwrap()
            },
            &[vec![1, size, size, 3]],
        );
        for lowered in lowered {
            assert_eq!(lowered.steps.len(), 1);
            assert!(is_plain(&lowered.kernels[0]), "{:#?}", lowered.kernels[0]);
            assert!(keeps_sums_whole(&lowered.kernels[0]));
        }
    }
}

#[test]
fn few_deep_windows_read_a_padded_copy_made_without_conditions_inside() {
    let lowered = check_everywhere(
        |b, x| {
            let w = b.constant(input(&[3, 3, 116, 16], 9));
            let op = Conv {
                strides: vec![2, 1],
                pads: vec![[1; 2]; 2],
                dilations: vec![1; 2],
                groups: 1,
                layout: ConvLayout::ChannelsLast,
            };
            b.op1(op, &[x[0], w]).unwrap()
        },
        &[vec![2, 5, 2, 116]],
    );
    for lowered in lowered {
        assert_eq!(lowered.steps.len(), 2);
        assert!(lowered.kernels.iter().all(is_plain), "{:#?}", lowered.kernels[0]);
    }
}

#[test]
fn windows_that_fill_a_tile_leave_out_what_lies_outside() {
    for (stride, extent, n_inside) in [(1, 7, 19), (2, 14, 20), (1, 5, 13)] {
        let lowered = check_everywhere(
            |b, x| {
                let w = b.constant(input(&[3, 3, 4, 64], 9));
                let op = Conv {
                    strides: vec![stride; 2],
                    pads: vec![[1; 2]; 2],
                    dilations: vec![1; 2],
                    groups: 1,
                    layout: ConvLayout::ChannelsLast,
                };
                b.op1(op, &[x[0], w]).unwrap()
            },
            &[vec![1, extent, extent, 4]],
        );
        let flops = 2 * n_inside * n_inside * 4 * 64;
        for lowered in &lowered[..2] {
            assert_eq!(lowered.steps.len(), 1);
            let kernel = &lowered.kernels[0];
            assert_eq!(tracelift_loops::cost(kernel).flops, flops);
            let mut n_tests = 0;
            kernel.for_each_tile(&mut |tile| {
                n_tests += tile.insts.iter().filter(|i| matches!(i, Inst::Test(_))).count();
            });
            assert!(n_tests > 0 && is_plain(kernel));
        }
    }
}

#[test]
fn deep_panels_are_folded_over_in_blocks() {
    let lowered = check_everywhere(
        |b, x| {
            let w = b.constant(input(&[3, 3, 24, 20], 9));
            let op = Conv {
                strides: vec![1; 2],
                pads: vec![[1; 2]; 2],
                dilations: vec![1; 2],
                groups: 1,
                layout: ConvLayout::ChannelsLast,
            };
            b.op1(op, &[x[0], w]).unwrap()
        },
        &[vec![1, 9, 9, 24]],
    );
    let has_scratch = |l: &Lowered| l.kernels[0].buffers.iter().any(|b| b.name.starts_with('s'));
    // Every other target has a small cache.
    assert!(lowered.iter().enumerate().all(|(k, l)| has_scratch(l) == (k % 2 == 1)));
}

#[test]
fn a_transposed_image_is_read_where_it_lies() {
    let lowered = check_everywhere(
        |b, x| {
            let last = b.op1(Transpose { perm: vec![0, 2, 3, 1] }, &[x[0]]).unwrap();
            let w = b.constant(input(&[3, 3, 3, 16], 9));
            let op = Conv {
                strides: vec![2; 2],
                pads: vec![[1; 2]; 2],
                dilations: vec![1; 2],
                groups: 1,
                layout: ConvLayout::ChannelsLast,
            };
            b.op1(op, &[last, w]).unwrap()
        },
        &[vec![2, 3, 11, 13]],
    );
    for lowered in lowered {
        assert_eq!(lowered.steps.len(), 1);
        assert!(is_plain(&lowered.kernels[0]));
    }
}

#[test]
fn heads_side_by_side_are_folded_over_as_two_axes() {
    let lowered = check_everywhere(
        |b, x| {
            let heads_last = b.op1(Transpose { perm: vec![0, 2, 1, 3] }, &[x[0]]).unwrap();
            let flat = tracelift_ir::Reshape { shape: [2, 5, 12].into() };
            let flat = b.op1(flat, &[heads_last]).unwrap();
            let w = b.constant(input(&[12, 7], 9));
            b.op1(Contract::new("bmk, kn -> bmn"), &[flat, w]).unwrap()
        },
        &[vec![2, 3, 5, 4]],
    );
    for lowered in lowered {
        assert_eq!(lowered.steps.len(), 1);
        assert!(is_plain(&lowered.kernels[0]), "{:#?}", lowered.kernels[0]);
    }
}

#[test]
fn rows_are_not_taken_together_where_the_epilogue_tells_them_apart() {
    let lowered = check_everywhere(
        |b, x| {
            let w = b.constant(input(&[6, 9], 9));
            let y = b.op1(Contract::new("bmk, kn -> bmn"), &[x[0], w]).unwrap();
            let scale = b.broadcast_to(x[1], &[3, 5, 9].into()).unwrap();
            b.mul(y, scale).unwrap()
        },
        &[vec![3, 5, 6], vec![3, 1, 9]],
    );
    assert!(lowered.iter().all(|l| l.kernels.iter().all(is_plain)));
}

#[test]
fn panels_do_not_depend_on_the_rows() {
    let mut packed: Vec<Vec<crate::recipe::Recipe>> = Vec::new();
    for m in [1, 2, 7, 64] {
        let lowered = check_everywhere(
            |b, x| {
                let w = b.constant(input(&[10, 83], 9));
                b.op1(Contract::new("mk, kn -> mn"), &[x[0], w]).unwrap()
            },
            &[vec![m, 10]],
        );
        let panels = |l: &Lowered| {
            let mut storages = l.storages.iter().filter(|s| s.name.ends_with(".panels"));
            match storages.next().map(|s| &s.kind) {
                Some(super::super::StorageKind::Constant(recipe)) => recipe.clone(),
                other => panic!("no panels: {other:?}"),
            }
        };
        packed.push(lowered.iter().map(panels).collect());
    }
    assert!(packed.windows(2).all(|pair| pair[0] == pair[1]));
}
