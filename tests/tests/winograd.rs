//! Convolutions by Winograd's algorithm in machine code, with every width of vectors.

use tracelift::{
    Options,
    ir::{Builder, Conv, ConvLayout, Graph, TensorType},
    pipeline::Build,
    testing::{Engine, GraphInterpreter, KernelInterpreter, jits},
};
use tracelift_tensor::{DType, Scalar, Tensor};
use tracelift_tests::noise::noise;

/// Reproducible numbers in −1..1.
fn numbers(shape: &[usize], seed: u64) -> Tensor {
    noise(shape, seed, |state| (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0)
}

/// A residual block: a convolution of 3 × 3 taps, bias, sum and activation, channels last.
fn block(image: [usize; 4], n_out: usize, pad: usize) -> (Graph, Vec<Tensor>) {
    let mut graph = Graph::new("block");
    let [n, rows, columns, n_in] = image;
    let result = [n, rows + 2 * pad - 2, columns + 2 * pad - 2, n_out];
    let x = graph.add_input("x", TensorType::new(DType::F32, image));
    let residual = graph.add_input("residual", TensorType::new(DType::F32, result));
    let mut b = Builder::new(&mut graph);
    let w = b.constant(numbers(&[3, 3, n_in, n_out], 3));
    let bias = b.constant(numbers(&[n_out], 4));
    let op = Conv {
        strides: vec![1, 1],
        pads: vec![[pad, pad]; 2],
        dilations: vec![1, 1],
        groups: 1,
        layout: ConvLayout::ChannelsLast,
    };
    let y = b.op1(op, &[x, w]).unwrap();
    let bias = b.broadcast_to(bias, &result.into()).unwrap();
    let y = b.add(y, bias).unwrap();
    let y = b.add(y, residual).unwrap();
    let zero = b.splat(Scalar::F32(0.0), result);
    let y = b.max(y, zero).unwrap();
    graph.add_result("y", y);
    (graph, vec![numbers(&image, 1), numbers(&result, 2)])
}

#[test]
fn engines_agree() {
    let cases = [
        ([1, 14, 14, 64], 64, 1),
        ([2, 9, 11, 24], 40, 1),
        ([1, 7, 7, 128], 256, 1),
        ([1, 12, 8, 16], 18, 0),
        ([1, 3, 60, 33], 16, 2),
        // So many filters are transformed in every run.
        ([1, 16, 16, 190], 210, 1),
    ];
    for (image, n_out, pad) in cases {
        let (graph, inputs) = block(image, n_out, pad);
        let expected = GraphInterpreter.run(&graph, &inputs).unwrap();
        let engines = jits().iter().map(|jit| jit as &dyn Engine);
        for engine in engines.chain([&KernelInterpreter as &dyn Engine]) {
            let found = engine.run(&graph, &inputs).unwrap();
            for (x, y) in found[0].iter().zip(expected[0].iter()) {
                let error = (x.to_f64() - y.to_f64()).abs();
                // Outputs are sums of so many products of numbers up to 1.
                let bound = 1e-5 * (9.0 * image[3] as f64).sqrt();
                assert!(error < bound, "{} {image:?} {n_out}: {x} {y}", engine.name());
            }
        }
    }
}

#[test]
fn threads_change_no_bit() {
    let (graph, inputs) = block([1, 20, 20, 32], 64, 1);
    let build = Build::new(&Options::default()).unwrap();
    let (program, _) = build.run(graph).unwrap();
    let run = |threads: usize| {
        program.run_tensors(&mut program.context(threads), &inputs).unwrap()[0].to_vec::<f32>()
    };
    let one: Vec<u32> = run(1).into_iter().map(f32::to_bits).collect();
    for threads in [2, 3, 8] {
        assert_eq!(run(threads).into_iter().map(f32::to_bits).collect::<Vec<_>>(), one);
    }
}
