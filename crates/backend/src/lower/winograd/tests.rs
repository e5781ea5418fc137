//! Winograd's algorithm against the direct form in f64, at every width of vectors.

use tracelift_ir::{Builder, Conv, ConvLayout, Graph, TensorType, Value};
use tracelift_loops::verify;
use tracelift_tensor::{DType, IsaLevel, Scalar, Target, Tensor};

use crate::{
    check_memory_plan,
    lower::{LowerOptions, Lowered, lower},
    plan_memory,
};

/// Reproducible numbers, about normal with mean 0 and variance 1.
fn normal(shape: &[usize], seed: u64) -> Tensor {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    Tensor::from_fn(DType::F32, shape, |_| {
        let mut uniform = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 11) as f64 / (1u64 << 53) as f64 - 0.5
        };
        let sum: f64 = (0..12).map(|_| uniform()).sum();
        Scalar::F32(sum as f32)
    })
}

/// A convolution of 3 × 3 taps, channels last: `[batch, rows, columns, inputs, outputs]` and pads.
#[derive(Clone, Copy, Debug)]
struct Case {
    image: [usize; 4],
    n_out: usize,
    pads: [[usize; 2]; 2],
}

impl Case {
    fn result(&self) -> [usize; 4] {
        let [n, h, w, _] = self.image;
        let [[top, bottom], [left, right]] = self.pads;
        [n, h + top + bottom - 2, w + left + right - 2, self.n_out]
    }

    fn weights(&self) -> [usize; 4] {
        [3, 3, self.image[3], self.n_out]
    }

    fn conv(&self, b: &mut Builder<'_>, x: Value, w: Value) -> Value {
        let op = Conv {
            strides: vec![1, 1],
            pads: self.pads.to_vec(),
            dilations: vec![1, 1],
            groups: 1,
            layout: ConvLayout::ChannelsLast,
        };
        b.op1(op, &[x, w]).unwrap()
    }

    /// The convolution alone, in f64.
    fn exact(&self, x: &Tensor, w: &Tensor) -> Vec<f64> {
        let ([_, height, width, n_in], [n, rows, columns, n_out]) = (self.image, self.result());
        let (x, w) = (x.to_vec::<f32>(), w.to_vec::<f32>());
        let mut out = vec![0.0; n * rows * columns * n_out];
        for (at, y) in out.iter_mut().enumerate() {
            let (k, rest) = (at % n_out, at / n_out);
            let (column, row, n) = (rest % columns, rest / columns % rows, rest / columns / rows);
            for (i, j) in (0..9).map(|t| (t / 3, t % 3)) {
                let (r, c) = (row + i, column + j);
                let ([top, _], [left, _]) = (self.pads[0], self.pads[1]);
                if r < top || r - top >= height || c < left || c - left >= width {
                    continue;
                }
                let from = ((n * height + r - top) * width + c - left) * n_in;
                for channel in 0..n_in {
                    let tap = ((i * 3 + j) * n_in + channel) * n_out + k;
                    *y += f64::from(x[from + channel]) * f64::from(w[tap]);
                }
            }
        }
        out
    }
}

fn target(vector_bytes: usize) -> Target {
    Target { vector_bytes, ..Target::typical(IsaLevel::X86_64V4) }
}

fn lowered(graph: &Graph, target: &Target, budget: f64) -> Lowered {
    lowered_with(graph, target, LowerOptions { winograd_budget: budget, ..LowerOptions::default() })
}

fn lowered_with(graph: &Graph, target: &Target, options: LowerOptions) -> Lowered {
    let lowered = lower(graph, target, &options).unwrap();
    for kernel in &lowered.kernels {
        assert_eq!(verify(kernel).map_err(|v| format!("{v:#?}")), Ok(()));
    }
    assert_eq!(check_memory_plan(&lowered, &plan_memory(&lowered)), Ok(()));
    lowered
}

/// What lowering says about its choice for the only convolution.
fn choice(lowered: &Lowered) -> &str {
    let found = lowered.groups.iter().find(|g| !g.choice.is_empty());
    found.map_or("", |g| &g.choice)
}

/// The bound that a choice states.
fn bound(choice: &str) -> f64 {
    choice.rsplit_once("bound ").expect("a bound is stated").1.parse().unwrap()
}

/// Lowers and runs the convolution alone; gives the choice and the errors relative to the inputs'
/// root mean square times each filter's norm.
fn errors(
    case: Case,
    x: &Tensor,
    w: &Tensor,
    vector_bytes: usize,
    winograd_kept_bytes: usize,
) -> (String, Vec<f64>) {
    let mut graph = Graph::new("g");
    let input = graph.add_input("x", TensorType::new(DType::F32, case.image));
    let mut b = Builder::new(&mut graph);
    let weights = b.constant(w.clone());
    let y = case.conv(&mut b, input, weights);
    graph.add_result("", y);
    let options = LowerOptions { winograd_budget: 1.0, winograd_kept_bytes };
    let lowered = lowered_with(&graph, &target(vector_bytes), options);
    let found = lowered.interpret(std::slice::from_ref(x));
    let mean_square =
        |t: &Tensor| t.iter().map(|s| s.to_f64().powi(2)).sum::<f64>() / t.count() as f64;
    let taps = w.to_vec::<f32>();
    let norm = |k: usize| {
        taps[k..].iter().step_by(case.n_out).map(|t| f64::from(*t).powi(2)).sum::<f64>().sqrt()
    };
    let norms: Vec<f64> = (0..case.n_out).map(norm).collect();
    let typical = mean_square(x).sqrt();
    let error = |(k, (found, exact)): (usize, (Scalar, f64))| {
        (found.to_f64() - exact).abs() / (typical * norms[k % case.n_out])
    };
    let exact = case.exact(x, w);
    let errors = found[0].iter().zip(exact).enumerate().map(error).collect();
    (choice(&lowered).to_string(), errors)
}

const SAME: [[usize; 2]; 2] = [[1, 1], [1, 1]];

fn cases() -> Vec<Case> {
    let case = |image, n_out, pads| Case { image, n_out, pads };
    vec![
        case([1, 8, 8, 16], 16, SAME),
        case([2, 9, 7, 20], 33, SAME),
        case([1, 14, 14, 64], 70, SAME),
        case([1, 7, 7, 48], 128, SAME),
        case([1, 6, 10, 17], 19, [[0, 0], [0, 0]]),
        case([1, 5, 9, 16], 24, [[2, 0], [0, 2]]),
        case([1, 4, 30, 16], 16, [[0, 2], [2, 2]]),
        case([1, 3, 3, 16], 16, [[0, 0], [0, 0]]),
        case([3, 1, 2, 16], 17, [[2, 2], [2, 1]]),
        case([1, 3, 70, 80], 16, SAME),
        // Several tasks share the panels, of which the last is narrow.
        case([1, 7, 7, 16], 262, SAME),
    ]
}

#[test]
fn outputs_are_within_the_bound_at_every_width() {
    for (k, case) in cases().into_iter().enumerate() {
        let (x, w) = (normal(&case.image, k as u64 + 1), normal(&case.weights(), 99 + k as u64));
        for vector_bytes in [16, 32, 64] {
            let (choice, errors) = errors(case, &x, &w, vector_bytes, usize::MAX);
            let worst = errors.into_iter().fold(0.0, f64::max);
            assert!(
                !choice.starts_with("winograd") || worst <= bound(&choice),
                "{case:?} {choice} {worst}"
            );
            assert!(worst < 1e-4, "{case:?} {choice} {worst}");
        }
    }
}

#[test]
fn filters_transformed_in_every_run_are_as_good() {
    for (image, n_out) in [([5, 14, 14, 18], 37), ([9, 8, 9, 33], 70), ([2, 20, 20, 16], 64)] {
        let case = Case { image, n_out, pads: SAME };
        let (x, w) = (normal(&case.image, 3), normal(&case.weights(), 4));
        for vector_bytes in [16, 32, 64] {
            let (choice, errors) = errors(case, &x, &w, vector_bytes, 0);
            assert!(choice.contains("with filters transformed in every run"), "{case:?} {choice}");
            let worst = errors.into_iter().fold(0.0, f64::max);
            assert!(worst <= bound(&choice), "{case:?} {choice} {worst}");
        }
    }
}

#[test]
fn the_bound_holds_for_inputs_that_are_never_negative_and_is_no_wild_guess() {
    let case = Case { image: [1, 12, 12, 96], n_out: 32, pads: SAME };
    let w = normal(&case.weights(), 5);
    let x = normal(&case.image, 4);
    let positive = Tensor::from_fn(DType::F32, &case.image, |at| {
        let flat = at.iter().zip(&case.image).fold(0, |flat, (i, n)| flat * n + i);
        Scalar::F32(x.iter().nth(flat).unwrap().to_f64().max(0.0) as f32)
    });
    for x in [x, positive] {
        let (choice, errors) = errors(case, &x, &w, 64, usize::MAX);
        assert!(choice.starts_with("winograd F(4x4,3x3)"), "{choice}");
        let worst = errors.into_iter().fold(0.0, f64::max);
        let bound = bound(&choice);
        assert!((bound / 30.0..bound).contains(&worst), "{worst} {bound}");
    }
}

#[test]
fn the_budget_decides_and_the_choice_says_so() {
    let mut graph = Graph::new("g");
    let case = Case { image: [1, 28, 28, 48], n_out: 48, pads: SAME };
    let x = graph.add_input("x", TensorType::new(DType::F32, case.image));
    let mut b = Builder::new(&mut graph);
    let w = b.constant(normal(&case.weights(), 3));
    let y = case.conv(&mut b, x, w);
    graph.add_result("", y);
    let words = |budget: f64| choice(&lowered(&graph, &target(64), budget)).to_string();
    assert!(words(1.0).starts_with("winograd F(4x4,3x3), bound "), "{}", words(1.0));
    assert!(words(1e-5).starts_with("winograd F(2x2,3x3), bound "), "{}", words(1e-5));
    let refused = words(1e-9);
    assert!(refused.starts_with("direct: F(2x2,3x3) has bound "), "{refused}");
    assert!(refused.contains("F(4x4,3x3) has bound"), "{refused}");
    assert_eq!(words(0.0), "direct: Winograd is off");
}

#[test]
fn the_epilogue_is_fused_and_every_value_wanted_is_stored() {
    let case = Case { image: [2, 10, 7, 32], n_out: 40, pads: SAME };
    let mut graph = Graph::new("g");
    let x = graph.add_input("x", TensorType::new(DType::F32, case.image));
    let residual = graph.add_input("residual", TensorType::new(DType::F32, case.result()));
    let mut b = Builder::new(&mut graph);
    let w = b.constant(normal(&case.weights(), 7));
    let bias = b.constant(normal(&[case.n_out], 8));
    let y = case.conv(&mut b, x, w);
    let bias = b.broadcast_to(bias, &case.result().into()).unwrap();
    let biased = b.add(y, bias).unwrap();
    let sum = b.add(biased, residual).unwrap();
    let zero = b.splat(Scalar::F32(0.0), case.result());
    let activated = b.max(sum, zero).unwrap();
    graph.add_result("sum", sum);
    graph.add_result("activated", activated);
    let inputs = [normal(&case.image, 1), normal(&case.result(), 2)];
    let expected = tracelift_ir::interpret(&graph, &inputs).unwrap();
    for vector_bytes in [16, 32, 64] {
        let lowered = lowered(&graph, &target(vector_bytes), 1.0);
        assert_eq!(lowered.steps.len(), 1);
        assert!(choice(&lowered).starts_with("winograd"), "{}", choice(&lowered));
        for (found, expected) in lowered.interpret(&inputs).iter().zip(&expected) {
            for (x, y) in found.iter().zip(expected.iter()) {
                assert!((x.to_f64() - y.to_f64()).abs() < 1e-3, "{x} {y}");
            }
        }
    }
}

#[test]
fn other_convolutions_are_left_alone() {
    let build = |strides: [usize; 2], dilations: [usize; 2], groups: usize, constant: bool| {
        let mut graph = Graph::new("g");
        let x = graph.add_input("x", TensorType::new(DType::F32, [1, 12, 12, 32]));
        let shape = [3, 3, 32 / groups, 32];
        let w = match constant {
            true => Builder::new(&mut graph).constant(normal(&shape, 3)),
            false => graph.add_input("w", TensorType::new(DType::F32, shape)),
        };
        let (strides, dilations) = (strides.to_vec(), dilations.to_vec());
        let (pads, layout) = (SAME.to_vec(), ConvLayout::ChannelsLast);
        let op = Conv { strides, pads, dilations, groups, layout };
        let y = Builder::new(&mut graph).op1(op, &[x, w]).unwrap();
        graph.add_result("", y);
        choice(&lowered(&graph, &target(32), 1.0)).to_string()
    };
    assert!(build([1, 1], [1, 1], 1, true).starts_with("winograd"));
    assert_eq!(build([2, 1], [1, 1], 1, true), "");
    assert_eq!(build([1, 1], [2, 2], 1, true), "");
    assert_eq!(build([1, 1], [1, 1], 2, true), "");
    assert_eq!(build([1, 1], [1, 1], 1, false), "direct: the weights are not constant");
}
