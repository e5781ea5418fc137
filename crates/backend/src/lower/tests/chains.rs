//! Attention and its like: products whose rows never lie in memory.

use tracelift_ir::Broadcast;

use super::{super::GroupKind, harness::check_everywhere, *};

/// What attention is over: `[batch, queries, keys, heads, head size]`.
type Sizes = [usize; 5];

fn shapes([batch, queries, keys, heads, size]: Sizes, groups: usize) -> Vec<Vec<usize>> {
    let kv = vec![batch, keys, heads / groups, size];
    vec![vec![batch, queries, heads, size], kv.clone(), kv, vec![queries, keys], vec![batch, keys]]
}

/// Scaled dot-product attention with a mask for all heads and one for each batch, keys and values
/// shared by `groups` heads.
fn attention(b: &mut Builder<'_>, x: &[Value], sizes: Sizes, groups: usize) -> [Value; 3] {
    let [batch, queries, keys, heads, size] = sizes;
    let shared = |b: &mut Builder<'_>, v: Value| {
        if groups == 1 {
            return v;
        }
        let wide = [batch, keys, heads / groups, groups, size];
        let spread = Broadcast { shape: wide.into(), axes: vec![0, 1, 2, 4] };
        let wide = b.op1(spread, &[v]).unwrap();
        let shape = [batch, keys, heads, size].into();
        b.op1(tracelift_ir::Reshape { shape }, &[wide]).unwrap()
    };
    let (k, v) = (shared(b, x[1]), shared(b, x[2]));
    let scores = b.op1(Contract::new("bthd, bshd -> bhts"), &[x[0], k]).unwrap();
    let shape = [batch, heads, queries, keys];
    let scale = b.splat(Scalar::F32(0.25), shape);
    let scaled = b.mul(scores, scale).unwrap();
    let mask = b.op1(Broadcast { shape: shape.into(), axes: vec![2, 3] }, &[x[3]]).unwrap();
    let masked = b.add(scaled, mask).unwrap();
    let padding = b.op1(Broadcast { shape: shape.into(), axes: vec![0, 3] }, &[x[4]]).unwrap();
    let masked = b.add(masked, padding).unwrap();
    let op = tracelift_ir::Op::from(Softmax { axis: 3 });
    let weights = b.decomposed(&op, &[masked]).unwrap()[0];
    let result = b.op1(Contract::new("bhts, bshd -> bthd"), &[weights, v]).unwrap();
    [result, weights, masked]
}

fn is_chain(lowered: &Lowered) -> bool {
    let chain = lowered.groups.iter().find(|g| g.kind == GroupKind::Chain);
    chain.is_some_and(|g| g.choice.starts_with("one kernel"))
}

/// The memory that steps share, in elements, copies of operands left out.
fn largest_temporary(lowered: &Lowered) -> usize {
    let is_temporary = |s: &&super::super::Storage| {
        s.kind == super::super::StorageKind::Temporary && s.name != "columns"
    };
    lowered.storages.iter().filter(is_temporary).map(|s| s.len).max().unwrap_or(0)
}

#[test]
fn attention_is_one_kernel_without_a_matrix_of_scores() {
    let cases = [
        ([1, 12, 12, 2, 32], 1),
        ([2, 7, 13, 3, 8], 1),
        ([1, 1, 37, 4, 64], 1),
        ([1, 9, 5, 4, 48], 2),
        ([2, 24, 70, 2, 20], 2),
    ];
    for (sizes, groups) in cases {
        let lowered =
            check_everywhere(|b, x| attention(b, x, sizes, groups)[0], &shapes(sizes, groups));
        let fits = lowered.iter().filter(|l| is_chain(l)).count();
        assert!(fits >= lowered.len() / 2, "{sizes:?}: {:?}", lowered[0].groups);
        let [_, queries, keys, heads, _] = sizes;
        for l in lowered.iter().filter(|l| is_chain(l)) {
            assert!(largest_temporary(l) < queries * keys * heads, "{sizes:?}");
        }
    }
}

#[test]
fn blocks_of_rows_fit_the_cache() {
    let sizes = [1, 96, 50, 2, 16];
    let lowered = check_everywhere(|b, x| attention(b, x, sizes, 1)[0], &shapes(sizes, 1));
    let words: Vec<&str> = lowered
        .iter()
        .filter_map(|l| l.groups.iter().find(|g| g.kind == GroupKind::Chain))
        .map(|g| g.choice.as_str())
        .collect();
    assert!(words.contains(&"one kernel, 24 rows at a time"), "{words:?}");
    assert!(words.iter().any(|w| w.ends_with("no even block of rows fits the cache")), "{words:?}");
}

#[test]
fn scores_and_weights_that_others_read_are_stored() {
    let sizes = [1, 6, 10, 2, 16];
    for read in [1, 2] {
        let lowered = check_everywhere(
            |b, x| {
                let values = attention(b, x, sizes, 1);
                let mut sum = |v: Value| {
                    let op = Reduce { kind: ReduceKind::Sum, axes: vec![1, 2, 3] };
                    b.op1(op, &[v]).unwrap()
                };
                let (result, other) = (sum(values[0]), sum(values[read]));
                b.add(result, other).unwrap()
            },
            &shapes(sizes, 1),
        );
        assert!(lowered.iter().all(|l| !is_chain(l)));
    }
}

#[test]
fn weights_that_are_returned_are_stored() {
    let sizes = [1, 6, 10, 2, 16];
    let shapes = shapes(sizes, 1);
    let shapes: Vec<&[usize]> = shapes.iter().map(Vec::as_slice).collect();
    for returned in [1, 2] {
        let lowered = check(
            |b, x| {
                let values = attention(b, x, sizes, 1);
                vec![values[0], values[returned]]
            },
            &shapes,
        );
        assert!(!is_chain(&lowered));
    }
}

#[test]
fn rows_of_the_result_of_a_chain_may_be_multiplied_again() {
    for n_times in 1..=3 {
        let lowered = check_everywhere(
            |b, x| {
                let softmax = tracelift_ir::Op::from(Softmax { axis: 1 });
                let product = Contract::new("mk, kn -> mn");
                let mut y = b.op1(product.clone(), &[x[0], x[1]]).unwrap();
                for _ in 0..n_times {
                    let rows = b.decomposed(&softmax, &[y]).unwrap()[0];
                    y = b.op1(product.clone(), &[rows, x[1]]).unwrap();
                }
                y
            },
            &[vec![24, 20], vec![20, 20]],
        );
        let n_chains = |l: &Lowered| l.groups.iter().filter(|g| g.kind == GroupKind::Chain).count();
        // A product that ends one chain begins no other.
        assert!(lowered.iter().all(|l| n_chains(l) == [1, 1, 2][n_times - 1]));
    }
}

#[test]
fn products_with_weights_are_no_chain() {
    for known in [[true, false], [false, true], [false, false]] {
        let lowered = check_everywhere(
            |b, x| {
                let softmax = tracelift_ir::Op::from(Softmax { axis: 1 });
                let w = b.constant(input(&[20, 20], 5));
                let [first, last] = known.map(|known| if known { w } else { x[1] });
                let y = b.op1(Contract::new("mk, kn -> mn"), &[x[0], first]).unwrap();
                let rows = b.decomposed(&softmax, &[y]).unwrap()[0];
                b.op1(Contract::new("mk, kn -> mn"), &[rows, last]).unwrap()
            },
            &[vec![24, 20], vec![20, 20]],
        );
        let expected = known == [false, false];
        assert_eq!(lowered.iter().any(is_chain), expected, "{:?}", lowered[0].groups);
    }
}
