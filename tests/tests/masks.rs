//! Attention under masks known at compile time in machine code, with every width of vectors.

use tracelift::{
    ir::{Attention, Builder, Graph, Literal, TensorType, Value},
    pipeline::Build,
};
use tracelift_tensor::{DType, Scalar, Tensor};
use tracelift_tests::{agreement, noise::eighths, widths::options};

const HEADS: usize = 3;
const SIZE: usize = 20;

/// Queries and keys.
type Sizes = [usize; 2];

/// What kind of mask, and what of the scores it keeps.
#[derive(Clone, Copy, Debug)]
enum Mask {
    Causal,
    /// Added, the lowest number where a key is hidden.
    Added(fn(usize, usize) -> bool),
    /// A condition, `true` where a key is seen.
    Condition(fn(usize, usize) -> bool),
}

fn attention([queries, keys]: Sizes, mask: Mask) -> Graph {
    let mut graph = Graph::new("attention");
    let of = |n: usize| TensorType::new(DType::F32, [2, HEADS, n, SIZE]);
    let [q, k, v] =
        [("q", queries), ("k", keys), ("v", keys)].map(|(name, n)| graph.add_input(name, of(n)));
    let mut b = Builder::new(&mut graph);
    let op = Attention { scale: Literal::Real(0.25), causal: matches!(mask, Mask::Causal) };
    let mut operands = vec![q, k, v];
    operands.extend(constant(&mut b, [queries, keys], mask));
    let result = b.decomposed(&op.into(), &operands).unwrap()[0];
    graph.add_result("y", result);
    graph
}

fn constant(b: &mut Builder<'_>, sizes: Sizes, mask: Mask) -> Option<Value> {
    let (dtype, sees) = match mask {
        Mask::Causal => return None,
        Mask::Added(sees) => (DType::F32, sees),
        Mask::Condition(sees) => (DType::Bool, sees),
    };
    let mask = Tensor::from_fn(dtype, &sizes, |at| match (dtype, sees(at[0], at[1])) {
        (DType::Bool, sees) => Scalar::Bool(sees),
        (_, true) => Scalar::F32(0.5),
        (_, false) => Scalar::F32(f32::MIN),
    });
    Some(b.constant(mask))
}

#[test]
fn columns_that_masks_hide_are_left_out_of_the_same_result() {
    let causal = |query: usize, key: usize| key <= query + 30;
    let window = |query: usize, key: usize| key <= query && query < key + 20;
    let masks = [Mask::Causal, Mask::Added(causal), Mask::Added(window), Mask::Condition(window)];
    for (sizes, mask) in [[96, 96], [50, 83]].iter().flat_map(|s| masks.map(|mask| (*s, mask))) {
        let graph = attention(sizes, mask);
        let shape = |n: usize| [2, HEADS, n, SIZE];
        let inputs = [
            eighths(&shape(sizes[0]), 1),
            eighths(&shape(sizes[1]), 2),
            eighths(&shape(sizes[1]), 3),
        ];
        for options in options(|target| target) {
            let mut build = Build::new(&options).unwrap();
            let mut optimised = graph.clone();
            build.optimise(&mut optimised).unwrap();
            let groups = build.lower(&optimised).unwrap().groups;
            let leaves = groups.iter().any(|g| g.choice.contains("a mask leaves"));
            assert!(leaves, "{sizes:?}, {mask:?}: {groups:?}");
            let (program, _) = Build::new(&options).unwrap().run(graph.clone()).unwrap();
            let run =
                |threads| program.run_tensors(&mut program.context(threads), &inputs).unwrap();
            let found = run(1);
            agreement::check(&graph, &inputs, &found).unwrap();
            for threads in [2, 3, 8] {
                assert_eq!(run(threads), found, "{sizes:?}, {mask:?}, {threads} threads");
            }
        }
    }
}
