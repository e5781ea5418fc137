//! Windows and the product after them in machine code, with every width of vectors.

use tracelift::{
    ir::{Builder, Conv, ConvLayout, Graph, TensorType, interpret},
    pipeline::Build,
};
use tracelift_tensor::{DType, Scalar, Target};
use tracelift_tests::{noise::eighths, widths::options};

/// A depthwise convolution, cut at 0, and a 1 × 1 convolution; channels last.
fn separable(image: [usize; 4], extent: usize, stride: usize, n_out: usize) -> Graph {
    let mut graph = Graph::new("separable");
    let x = graph.add_input("x", TensorType::new(DType::F32, image));
    let channels = image[3];
    let mut b = Builder::new(&mut graph);
    let conv = |stride: usize, pad: usize, groups: usize| Conv {
        strides: vec![stride; 2],
        pads: vec![[pad; 2]; 2],
        dilations: vec![1; 2],
        groups,
        layout: ConvLayout::ChannelsLast,
    };
    let w = b.constant(eighths(&[extent, extent, 1, channels], 3));
    let y = b.op1(conv(stride, extent / 2, channels), &[x, w]).unwrap();
    let zero = b.splat(Scalar::F32(0.0), b.shape(y));
    let y = b.max(y, zero).unwrap();
    let w = b.constant(eighths(&[1, 1, channels, n_out], 4));
    let y = b.op1(conv(1, 0, 1), &[y, w]).unwrap();
    graph.add_result("y", y);
    graph
}

#[test]
fn strips_agree_with_the_interpreter_on_any_number_of_threads() {
    for (image, extent, stride, n_out) in
        [([1, 30, 28, 12], 3, 1, 40), ([2, 33, 26, 16], 5, 1, 10), ([3, 50, 40, 19], 3, 2, 33)]
    {
        let graph = separable(image, extent, stride, n_out);
        let inputs = [eighths(&image, 1)];
        let expected = interpret(&graph, &inputs).unwrap().remove(0).to_vec::<f32>();
        // So small a second-level cache that few rows of an image fit it.
        for options in options(|target| Target { l2_bytes: 64 << 10, ..target }) {
            let mut build = Build::new(&options).unwrap();
            let lowered = build.lower(&graph).unwrap();
            assert_eq!(lowered.steps.len(), 1, "{image:?}: {:?}", lowered.groups);
            let (program, _) = Build::new(&options).unwrap().run(graph.clone()).unwrap();
            for threads in [1, 2, 3, 8] {
                let mut context = program.context(threads);
                let found = program.run_tensors(&mut context, &inputs).unwrap();
                assert_eq!(found[0].to_vec::<f32>(), expected, "{image:?}, {threads} threads");
            }
        }
    }
}
