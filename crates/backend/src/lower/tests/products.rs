//! Products over register tiles: every tail, every border, blocks of sums.

use std::collections::BTreeSet;

use tracelift_ir::Transpose;
use tracelift_loops::{Inst, Kernel, Stmt, Tile};

use super::{
    harness::{Random, check_everywhere, conv, is_plain, keeps_sums_whole},
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

/// The bytes of the right operand that the tasks of a kernel read and that they fetch.
fn read_and_fetched(kernel: &Kernel) -> [BTreeSet<i64>; 2] {
    let extents = kernel.extents();
    let mut out = [BTreeSet::new(), BTreeSet::new()];
    for_each_tile_with_axes(&kernel.body, &kernel.grid, &mut |tile, axes| {
        let axes = [axes, &tile.loops, &[tile.rows, tile.columns]].concat();
        let fetched = tile.insts.iter().find_map(|inst| match inst {
            Inst::Prefetch { place } => Some(place),
            _ => None,
        });
        let Some(fetched) = fetched else { return };
        for inst in &tile.insts[tile.body()] {
            let (k, place) = match inst {
                Inst::Load { place, .. } if place.buffer == fetched.buffer => (0, place),
                Inst::Prefetch { place } => (1, place),
                _ => continue,
            };
            let axes: Vec<usize> =
                axes.iter().copied().filter(|&a| place.index.mentions(a)).collect();
            for_each_point(&axes, &extents, &mut |point| {
                let byte = 4 * place.index.eval(point);
                out[k].insert(if k == 0 { byte } else { byte.div_euclid(64) * 64 });
            });
        }
    });
    out
}

fn for_each_tile_with_axes(stmts: &[Stmt], axes: &[usize], visit: &mut dyn FnMut(&Tile, &[usize])) {
    for stmt in stmts {
        match stmt {
            Stmt::For { axis, body } => {
                for_each_tile_with_axes(body, &[axes, &[*axis]].concat(), visit);
            }
            Stmt::If { body, .. } => for_each_tile_with_axes(body, axes, visit),
            Stmt::Tile(tile) => visit(tile, axes),
        }
    }
}

fn for_each_point(axes: &[usize], extents: &[usize], visit: &mut dyn FnMut(&[usize])) {
    let mut point = vec![0; extents.len()];
    let n: usize = axes.iter().map(|&a| extents[a]).product();
    for position in 0..n {
        let mut rest = position;
        for &axis in axes {
            point[axis] = rest % extents[axis];
            rest /= extents[axis];
        }
        visit(&point);
    }
}

/// What a task reads of its panel after the first block of the first panel has been fetched before,
/// line by line, whatever the number of rows, tasks and blocks.
#[test]
fn panels_are_fetched_before_they_are_read() {
    for (m, k, n, l2_bytes) in [
        (128, 768, 192, 1 << 20),
        (49, 512, 192, 1 << 20),
        (300, 400, 256, 1 << 20),
        (64, 1024, 192, 256 << 10),
        (196, 1000, 128, 256 << 10),
    ] {
        let target = Target { l2_bytes, ..Target::typical(IsaLevel::X86_64V4) };
        let mut graph = Graph::new("g");
        let x = graph.add_input("x", TensorType::new(DType::F32, [m, k]));
        let mut b = Builder::new(&mut graph);
        let w = b.constant(input(&[k, n], 9));
        let y = b.op1(Contract::new("mk, kn -> mn"), &[x, w]).unwrap();
        graph.add_result("", y);
        let lowered = lower(&graph, &target, &LowerOptions::default()).unwrap();
        let kernel = lowered.kernels.last().unwrap();
        let [read, fetched] = read_and_fetched(kernel);
        assert_eq!(read.len(), k * n, "{kernel}");
        let first_block = read.iter().next().copied().unwrap() + (l2_bytes as i64) / 2;
        let missed = read.iter().filter(|b| **b >= first_block).find(|b| {
            let line = b.div_euclid(64) * 64;
            !fetched.contains(&line)
        });
        assert_eq!(missed, None, "{m} {k} {n}: {kernel}");
        let beyond = fetched.iter().filter(|line| !read.contains(line)).count();
        assert!(beyond * 64 < 4 * k * 64 * 2, "{beyond} lines that are never read: {kernel}");
    }
}

/// What tasks but the first read of an image, whose channels lie apart, has been fetched before, line
/// by line; what a kernel before has written is not fetched.
#[test]
fn rows_of_an_image_are_fetched_before_they_are_read() {
    const SIZE: usize = 160;
    for (is_input, vector_bytes, taps) in
        [(true, 64, 3), (true, 32, 3), (false, 64, 3), (true, 64, 7)]
    {
        let target = Target { vector_bytes, ..Target::typical(IsaLevel::X86_64V4) };
        let mut graph = Graph::new("g");
        let image = graph.add_input("x", TensorType::new(DType::F32, [1, 3, SIZE, SIZE]));
        let mut b = Builder::new(&mut graph);
        let w = b.constant(input(&[taps, taps, 3, 32], 9));
        let image = match is_input {
            true => image,
            false => b.decomposed(&Softmax { axis: 3 }.into(), &[image]).unwrap()[0],
        };
        let last = b.op1(Transpose { perm: vec![0, 2, 3, 1] }, &[image]).unwrap();
        let op = Conv {
            strides: vec![2; 2],
            pads: vec![[taps / 2; 2]; 2],
            dilations: vec![1; 2],
            groups: 1,
            layout: ConvLayout::ChannelsLast,
        };
        let y = b.op1(op, &[last, w]).unwrap();
        graph.add_result("", y);
        let lowered = lower(&graph, &target, &LowerOptions::default()).unwrap();
        let kernel = lowered.kernels.last().unwrap();
        assert_eq!(verify(kernel).map_err(|v| format!("{v:#?}\n{kernel}")), Ok(()));
        let [read, fetched] = read_and_fetched(kernel);
        assert_eq!(!read.is_empty(), is_input && taps == 3, "{kernel}");
        // Tiles of borders are asked about all tasks here, some of which they are not for.
        let missed = read.range(0..(4 * 3 * SIZE * SIZE) as i64).find(|&&byte| {
            let (row, line) = (byte as usize / 4 / SIZE % SIZE, byte.div_euclid(64) * 64);
            row > 8 && !fetched.contains(&line)
        });
        assert_eq!(missed, None, "{kernel}");
    }
}

#[test]
fn few_weights_are_not_fetched() {
    let lowered = check_everywhere(
        |b, x| {
            let w = b.constant(input(&[64, 192], 9));
            b.op1(Contract::new("mk, kn -> mn"), &[x[0], w]).unwrap()
        },
        &[vec![64, 64]],
    );
    let mut kernels = lowered.iter().flat_map(|l| &l.kernels);
    let fetches = |kernel: &Kernel| kernel.to_string().contains("prefetch");
    assert!(!kernels.any(fetches));
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
            let op = conv(1, [1, 1], 1);
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
            let op = conv(2, [1, 1], 1);
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

#[test]
fn rows_of_narrow_panels_begin_at_vectors() {
    // Of 16, 8 and 4 numbers; much padding is not worth it.
    for (k, n, row) in [(32, 12, [16, 16, 12]), (9, 76, [80, 80, 76]), (2000, 12, [12, 12, 12])] {
        let lowered = check_everywhere(
            |b, x| {
                let w = b.constant(input(&[k, n], 9));
                b.op1(Contract::new("mk, kn -> mn"), &[x[0], w]).unwrap()
            },
            &[vec![3, k]],
        );
        for (lowered, row) in lowered.iter().zip(row.iter().flat_map(|row| [row; 2])) {
            let packed = lowered.storages.iter().find(|s| s.name.ends_with(".panels"));
            assert_eq!(packed.map(|s| s.len), Some(k * row), "{k} {n}");
        }
    }
}

#[test]
fn what_an_epilogue_reads_from_scattered_places_is_stored_before() {
    // Windows of 3 × 3 side by side, put back into an image and added to a product over it.
    let lowered = check_everywhere(
        |b, x| {
            let windows = b.op1(Transpose { perm: vec![0, 2, 1, 3, 4] }, &[x[0]]).unwrap();
            let shape = [6, 9, 20].into();
            let image = b.op1(tracelift_ir::Reshape { shape }, &[windows]).unwrap();
            let sum = b.add(image, x[1]).unwrap();
            let w = b.constant(input(&[20, 20], 9));
            let y = b.op1(Contract::new("abk, kn -> abn"), &[x[1], w]).unwrap();
            b.add(y, sum).unwrap()
        },
        &[vec![2, 3, 3, 3, 20], vec![6, 9, 20]],
    );
    for kernel in lowered.iter().flat_map(|l| &l.kernels) {
        assert!(is_plain(kernel), "{kernel:#?}");
    }
}

#[test]
fn rows_that_lie_anywhere_are_copied_side_by_side() {
    // The pixels at each place of squares of 2 × 2 are together, and put back into an image.
    let lowered = check_everywhere(
        |b, x| {
            let reshape = |b: &mut Builder<'_>, x: Value, shape: Vec<usize>| {
                let shape = shape.as_slice().into();
                b.op1(tracelift_ir::Reshape { shape }, &[x]).unwrap()
            };
            let turn = |b: &mut Builder<'_>, x: Value, perm: [usize; 4]| {
                b.op1(Transpose { perm: perm.to_vec() }, &[x]).unwrap()
            };
            let places = reshape(b, x[0], vec![1, 4, 15, 20]);
            let squares = turn(b, places, [0, 3, 2, 1]);
            let squares = reshape(b, squares, vec![60, 5, 2, 2]);
            let rows = turn(b, squares, [0, 2, 1, 3]);
            let image = reshape(b, rows, vec![1, 20, 6, 10]);
            let image = turn(b, image, [0, 2, 3, 1]);
            let w = b.constant(input(&[1, 1, 20, 12], 9));
            let op = conv(1, [0, 0], 1);
            b.op1(op, &[image, w]).unwrap()
        },
        &[vec![4, 15, 20]],
    );
    for kernel in lowered.iter().flat_map(|l| &l.kernels) {
        assert!(is_plain(kernel), "{kernel:#?}");
    }
}

#[test]
fn a_mask_of_scattered_elements_lies_in_memory_before_it_repeats() {
    let lowered = check_everywhere(
        |b, x| {
            let places = b.constant(Tensor::new(
                &[20],
                &std::array::from_fn::<_, 20, _>(|k| 7 * k as i64 % 20),
            ));
            let mask = b.take(x[0], places, 0).unwrap();
            let mask = b.map(tracelift_ir::Neg {}, &[mask]).unwrap();
            let shape = b.shape(x[1]);
            let mask = b.op1(tracelift_ir::Broadcast { shape, axes: vec![2] }, &[mask]).unwrap();
            let w = b.constant(input(&[20, 20], 9));
            let y = b.op1(Contract::new("abk, kn -> abn"), &[x[1], w]).unwrap();
            b.add(y, mask).unwrap()
        },
        &[vec![20], vec![6, 9, 20]],
    );
    for lowered in lowered {
        let written = lowered.kernels[lowered.steps[0].kernel].buffers.last().map(|b| b.len);
        assert_eq!((lowered.steps.len(), written), (2, Some(20)));
    }
}
