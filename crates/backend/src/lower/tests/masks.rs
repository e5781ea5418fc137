//! Masks known at compile time, which hide columns that kernels then leave out.

use tracelift_ir::{Add, And, Broadcast, Gt, Iota, Le};

use super::{harness::check_everywhere, *};

const HEADS: usize = 3;
const SIZE: usize = 16;

/// What a causal mask leaves of 96 keys for 96 queries, 16 of these at a time.
const CAUSAL: &str = "0..16, 0..32, 0..48, 0..64, 0..80, 0..96";
/// What windows of 20 keys leave, 12 queries at a time.
const WINDOWS: &str = "0..16, 0..32, 0..48, 16..48, 16..64, 32..80, 48..96, 64..96";

/// Queries and keys.
type Sizes = [usize; 2];

/// Attention over scores that `mask` changes; the last operand is a row of numbers from −1 to 1, one
/// for each key.
fn attention(sizes: Sizes, mask: impl Fn(&mut Builder<'_>, Value, Value) -> Value) -> Vec<Lowered> {
    let [queries, keys] = sizes;
    let shapes = [vec![HEADS, queries, SIZE], vec![HEADS, keys, SIZE], vec![HEADS, keys, SIZE]];
    let shapes = [&shapes[..], &[vec![keys]]].concat();
    check_everywhere(
        |b, x| {
            let scores = b.op1(Contract::new("htd, hsd -> hts"), &[x[0], x[1]]).unwrap();
            let scores = b.map_scalar(tracelift_ir::Mul {}, scores, 0.25).unwrap();
            let masked = mask(b, scores, x[3]);
            let softmax = tracelift_ir::Op::from(Softmax { axis: 2 });
            let weights = b.decomposed(&softmax, &[masked]).unwrap()[0];
            b.op1(Contract::new("hts, hse -> hte"), &[weights, x[2]]).unwrap()
        },
        &shapes,
    )
}

/// The columns computed for bands of rows, in words; empty where all are.
fn bands(lowered: &Lowered) -> &str {
    let choices = lowered.groups.iter().map(|group| group.choice.as_str());
    let mut bands = choices.filter_map(|words| Some(words.split_once("a mask leaves: ")?.1));
    bands.next_back().unwrap_or("")
}

/// The columns computed with the largest vectors and caches.
fn widest(lowered: &[Lowered]) -> &str {
    bands(&lowered[0])
}

fn over_scores(b: &mut Builder<'_>, scores: Value, mask: Value, axes: &[usize]) -> Value {
    let shape = b.shape(scores);
    b.op1(Broadcast { shape, axes: axes.to_vec() }, &[mask]).unwrap()
}

/// A constant with an element for each query and key.
fn constant(
    b: &mut Builder<'_>,
    [queries, keys]: Sizes,
    of: impl Fn(usize, usize) -> Scalar,
) -> Value {
    let dtype = of(0, 0).dtype();
    b.constant(Tensor::from_fn(dtype, &[queries, keys], |at| of(at[0], at[1])))
}

/// Scores plus a constant.
fn added(sizes: Sizes, of: impl Fn(usize, usize) -> f32) -> Vec<Lowered> {
    attention(sizes, |b, scores, _| {
        let mask = constant(b, sizes, |query, key| Scalar::F32(of(query, key)));
        let mask = over_scores(b, scores, mask, &[1, 2]);
        b.map(Add {}, &[scores, mask]).unwrap()
    })
}

/// Scores where a condition holds, else a number.
fn selected(
    b: &mut Builder<'_>,
    scores: Value,
    condition: Value,
    axes: &[usize],
    otherwise: f32,
) -> Value {
    let condition = over_scores(b, scores, condition, axes);
    let shape = b.shape(scores);
    let otherwise = b.splat(Scalar::F32(otherwise), shape);
    b.select(condition, scores, otherwise).unwrap()
}

#[test]
fn what_a_causal_mask_hides_is_not_computed() {
    let causal = |hidden: f32| move |query, key| if key <= query { 0.0 } else { hidden };
    for hidden in [f32::MIN, f32::NEG_INFINITY, -1e35] {
        let lowered = added([96, 96], causal(hidden));
        assert_eq!(widest(&lowered), CAUSAL, "{hidden}");
    }
    // Keys before the first query, and later keys than queries.
    let lowered = added([64, 128], |query, key| if key <= query + 64 { 0.5 } else { f32::MIN });
    assert_eq!(widest(&lowered), "0..80, 0..96, 0..112, 0..128");
    // Keys that no query sees.
    let lowered = added([40, 96], |_, key| if (16..70).contains(&key) { 0.0 } else { f32::MIN });
    assert_eq!(widest(&lowered), "16..80");
    // Not enough to hide.
    assert_eq!(widest(&added([96, 96], causal(-1e4))), "");
}

#[test]
fn windows_of_keys_have_a_first_column_too() {
    let sees = |query: usize, key: usize| key <= query && query < key + 20;
    let lowered = added([96, 96], |query, key| if sees(query, key) { 0.0 } else { f32::MIN });
    assert_eq!(widest(&lowered), WINDOWS);
    let lowered = attention([96, 96], |b, scores, _| {
        let sees = constant(b, [96, 96], |query, key| Scalar::Bool(sees(query, key)));
        selected(b, scores, sees, &[1, 2], f32::MIN)
    });
    assert_eq!(widest(&lowered), WINDOWS);
}

#[test]
fn conditions_on_coordinates_hide_as_constants_do() {
    let iota = |b: &mut Builder<'_>, axis| {
        b.op1(Iota { shape: [96, 96].into(), axis, dtype: DType::I64 }, &[]).unwrap()
    };
    for strict in [false, true] {
        for flipped in [false, true] {
            let lowered = attention([96, 96], |b, scores, _| {
                let (query, key) = (iota(b, 0), iota(b, 1));
                let hidden = match strict {
                    true => b.map(Gt {}, &[key, query]).unwrap(),
                    false => {
                        let next = b.map_scalar(Add {}, query, 1.0).unwrap();
                        b.map(Le {}, &[next, key]).unwrap()
                    }
                };
                if flipped {
                    let sees = b.map(tracelift_ir::Not {}, &[hidden]).unwrap();
                    return selected(b, scores, sees, &[1, 2], f32::NEG_INFINITY);
                }
                let hidden = over_scores(b, scores, hidden, &[1, 2]);
                let shape = b.shape(scores);
                let low = b.splat(Scalar::F32(f32::MIN), shape);
                b.select(hidden, low, scores).unwrap()
            });
            assert_eq!(widest(&lowered), CAUSAL, "{strict} {flipped}");
        }
    }
    // The last column of some block is the first of a vector.
    for relation in 0..4 {
        let lowered = attention([96, 96], |b, scores, _| {
            let (query, key) = (iota(b, 0), iota(b, 1));
            let [next, second] = [1.0, 2.0].map(|k| b.map_scalar(Add {}, query, k).unwrap());
            let sees = match relation {
                0 => b.map(Le {}, &[key, next]),
                1 => b.map(tracelift_ir::Lt {}, &[key, second]),
                2 => b.map(tracelift_ir::Ge {}, &[next, key]),
                _ => b.map(Gt {}, &[second, key]),
            };
            selected(b, scores, sees.unwrap(), &[1, 2], f32::NEG_INFINITY)
        });
        assert_eq!(widest(&lowered), CAUSAL, "{relation}");
    }
    let lowered = attention([96, 96], |b, scores, _| {
        let (query, key) = (iota(b, 0), iota(b, 1));
        let end = b.map_scalar(Add {}, key, 20.0).unwrap();
        let [causal, near] =
            [b.map(Le {}, &[key, query]).unwrap(), b.map(Gt {}, &[end, query]).unwrap()];
        let sees = b.map(And {}, &[causal, near]).unwrap();
        selected(b, scores, sees, &[1, 2], f32::MIN)
    });
    assert_eq!(widest(&lowered), WINDOWS);
}

#[test]
fn rows_of_which_everything_is_hidden_keep_all_that_is_low() {
    // Where all scores are as low, all keys count the same.
    let sees = |query: usize, key: usize| key <= query && query != 5;
    let of = |hidden| move |query, key| if sees(query, key) { 0.0 } else { hidden };
    assert_eq!(widest(&added([96, 96], of(f32::MIN))), "");
    // A row of −∞ alone has no weights in any case; the interpreter's are not numbers either.
    let lowered = attention([96, 96], |b, scores, padding| {
        let mask = constant(b, [96, 96], |query, key| Scalar::Bool(key <= query));
        let scores = selected(b, scores, mask, &[1, 2], f32::NEG_INFINITY);
        let padding = over_scores(b, scores, padding, &[2]);
        b.map(Add {}, &[scores, padding]).unwrap()
    });
    assert_eq!(widest(&lowered), CAUSAL);
}

#[test]
fn what_else_lowers_scores_keeps_finite_masks_from_hiding() {
    let causal = |query: usize, key: usize| if key <= query { 0.0 } else { f32::MIN };
    let lowered = attention([96, 96], |b, scores, padding| {
        let mask = constant(b, [96, 96], |query, key| Scalar::F32(causal(query, key)));
        let mask = over_scores(b, scores, mask, &[1, 2]);
        let scores = b.map(Add {}, &[scores, mask]).unwrap();
        let padding = over_scores(b, scores, padding, &[2]);
        b.map(Add {}, &[scores, padding]).unwrap()
    });
    assert_eq!(widest(&lowered), "");
    // Two masks, both known.
    let lowered = attention([96, 96], |b, scores, _| {
        let sees = constant(b, [96, 96], |query, key| Scalar::Bool(query < key + 20));
        let scores = selected(b, scores, sees, &[1, 2], f32::MIN);
        let mask = constant(b, [96, 96], |query, key| Scalar::F32(causal(query, key)));
        let mask = over_scores(b, scores, mask, &[1, 2]);
        b.map(Add {}, &[scores, mask]).unwrap()
    });
    assert_eq!(widest(&lowered), WINDOWS);
    // What one mask hides another lifts again.
    let lowered = attention([96, 96], |b, scores, _| {
        let mask = constant(b, [96, 96], |query, key| Scalar::F32(causal(query, key)));
        let mask = over_scores(b, scores, mask, &[1, 2]);
        let lowered = b.map(Add {}, &[scores, mask]).unwrap();
        let lift = constant(b, [96, 96], |query, key| Scalar::F32(-causal(query, key)));
        let lift = over_scores(b, scores, lift, &[1, 2]);
        b.map(Add {}, &[lowered, lift]).unwrap()
    });
    assert_eq!(widest(&lowered), "");
}

#[test]
fn masks_of_heads_hide_what_all_of_them_do() {
    let lowered = attention([96, 96], |b, scores, _| {
        let of = |at: &[usize]| {
            let sees = at[2] <= at[1] + 16 * at[0];
            Scalar::F32(if sees { 0.0 } else { f32::MIN })
        };
        let mask = b.constant(Tensor::from_fn(DType::F32, &[HEADS, 96, 96], of));
        b.map(Add {}, &[scores, mask]).unwrap()
    });
    assert_eq!(widest(&lowered), "0..48, 0..64, 0..80, 0..96");
}

#[test]
fn rows_that_are_no_softmax_are_computed_whole() {
    let lowered = check_everywhere(
        |b, x| {
            let scores = b.op1(Contract::new("htd, hsd -> hts"), &[x[0], x[1]]).unwrap();
            let sees = constant(b, [96, 96], |query, key| Scalar::Bool(key <= query));
            let masked = selected(b, scores, sees, &[1, 2], -1e30);
            // The sum of all scores, masked ones among them.
            let sum = Reduce { kind: ReduceKind::Sum, axes: vec![2] };
            let sum = b.op1(sum, &[masked]).unwrap();
            let sum = over_scores(b, masked, sum, &[0, 1]);
            let weights = b.map(tracelift_ir::Div {}, &[masked, sum]).unwrap();
            b.op1(Contract::new("hts, hse -> hte"), &[weights, x[2]]).unwrap()
        },
        &[vec![HEADS, 96, SIZE], vec![HEADS, 96, SIZE], vec![HEADS, 96, SIZE]],
    );
    assert_eq!(widest(&lowered), "");
    assert!(lowered[0].groups.iter().any(|g| g.choice.starts_with("one kernel")));
}
