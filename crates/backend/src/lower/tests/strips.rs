//! Windows and the product after them, some rows of the image at a time.

use tracelift_ir::{Literal, Windows};

use super::{
    super::{GroupKind, StorageKind},
    harness::{check_everywhere, conv, is_plain, keeps_sums_whole},
    *,
};

/// What slides over an image.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Sliding {
    /// Whether it is a largest element that is looked for, or a depthwise convolution.
    pools: bool,
    extent: usize,
    stride: usize,
    pads: [usize; 2],
}

/// Windows with an epilogue, and their product with weights, a bias and, where it has the shape, the
/// image added: what lies between, then the result.
fn strip(b: &mut Builder<'_>, x: Value, sliding: Sliding, n_out: usize) -> [Value; 2] {
    let Sliding { pools, extent, stride, pads } = sliding;
    let n_columns = b.ty(x).extents()[3];
    let y = if pools {
        let op = Windows {
            axes: vec![1, 2],
            kernel: vec![extent; 2],
            strides: vec![stride; 2],
            pads: vec![pads; 2],
            dilations: vec![1; 2],
            fill: Literal::Real(f64::NEG_INFINITY),
        };
        let windows = b.op1(op, &[x]).unwrap();
        b.op1(Reduce { kind: ReduceKind::Max, axes: vec![4, 5] }, &[windows]).unwrap()
    } else {
        let w = b.constant(input(&[extent, extent, 1, n_columns], 9));
        b.op1(conv(stride, pads, n_columns), &[x, w]).unwrap()
    };
    let between = b.neg(y).unwrap();
    let w = b.constant(input(&[1, 1, n_columns, n_out], 5));
    let y = b.op1(conv(1, [0, 0], 1), &[between, w]).unwrap();
    let shape = b.shape(y);
    let bias = b.constant(input(&[n_out], 3));
    let bias = b.broadcast_to(bias, &shape).unwrap();
    let y = b.add(y, bias).unwrap();
    let result = if b.shape(x) == shape { b.add(y, x).unwrap() } else { y };
    [between, result]
}

fn choice(lowered: &Lowered) -> &str {
    let strip = lowered.groups.iter().find(|g| g.kind == GroupKind::Strip);
    strip.map_or("", |g| g.choice.as_str())
}

const THREE: Sliding = Sliding { pools: false, extent: 3, stride: 1, pads: [1, 1] };

#[test]
fn what_lies_between_is_never_stored() {
    for (sliding, image, n_out) in [
        (THREE, [2, 13, 12, 4], 5),
        // The image is added.
        (THREE, [1, 14, 16, 4], 4),
        (Sliding { extent: 5, pads: [2, 2], ..THREE }, [1, 15, 14, 4], 20),
        (Sliding { stride: 2, pads: [0, 1], ..THREE }, [3, 44, 24, 2], 7),
        (Sliding { pads: [0, 0], ..THREE }, [1, 18, 19, 3], 33),
        (Sliding { pools: true, ..THREE }, [2, 17, 13, 4], 9),
        // Rows of the product are as many as those of the image.
        (THREE, [1, 60, 1, 12], 6),
    ] {
        let lowered = check_everywhere(
            |b, x| strip(b, x[0], sliding, n_out)[1],
            std::slice::from_ref(&image.to_vec()),
        );
        let strips: Vec<&Lowered> =
            lowered.iter().filter(|l| choice(l).starts_with("one kernel")).collect();
        // The caches of half of the targets hold everything.
        let expected = if image[2] == 1 { 0 } else { lowered.len() / 2 };
        assert_eq!(strips.len(), expected, "{image:?}: {}", choice(&lowered[1]));
        for lowered in strips {
            let [kernel] = lowered.kernels.as_slice() else { panic!("{:#?}", lowered.kernels) };
            let mut operands = lowered.steps[0].operands.iter().map(|&id| &lowered.storages[id]);
            assert!(operands.all(|s| s.kind != StorageKind::Temporary));
            assert!(kernel.n_tasks() > image[0], "{image:?}");
            assert!(is_plain(kernel), "{kernel:#?}");
            assert!(keeps_sums_whole(kernel), "{image:?}");
        }
    }
}

#[test]
fn parts_that_do_not_fit_the_cache_have_kernels_of_their_own() {
    for (image, n_out, reason) in [
        ([1, 4, 12, 4], 5, "what lies between stays in cache anyway"),
        ([1, 14, 12, 4], 200, "the weights leave no room in cache"),
        ([1, 40, 6, 40], 5, "few rows fit the cache"),
    ] {
        let lowered = check_everywhere(
            |b, x| strip(b, x[0], THREE, n_out)[1],
            std::slice::from_ref(&image.to_vec()),
        );
        assert!(choice(&lowered[1]).ends_with(reason), "{}", choice(&lowered[1]));
        assert_eq!(lowered[1].steps.len(), 2);
    }
}

#[test]
fn what_others_read_is_stored() {
    let image = vec![1, 13, 12, 4];
    let lowered = check_everywhere(
        |b, x| {
            let [between, result] = strip(b, x[0], THREE, 4);
            b.mul(between, result).unwrap()
        },
        std::slice::from_ref(&image),
    );
    assert!(lowered.iter().all(|l| choice(l).is_empty()));
    let both = |b: &mut Builder<'_>, x: &[Value]| strip(b, x[0], THREE, 5).to_vec();
    assert!(choice(&check(both, &[&image])).is_empty());
}

#[test]
fn rows_that_are_moved_or_skipped_have_kernels_of_their_own() {
    let lowered = check_everywhere(
        |b, x| {
            let w = b.constant(input(&[3, 3, 1, 4], 9));
            let y = b.op1(conv(1, [1, 1], 4), &[x[0], w]).unwrap();
            let w = b.constant(input(&[1, 1, 4, 5], 5));
            b.op1(conv(2, [0, 0], 1), &[y, w]).unwrap()
        },
        &[vec![1, 14, 12, 4]],
    );
    assert!(choice(&lowered[1]).ends_with("the product moves rows"), "{}", choice(&lowered[1]));
}
