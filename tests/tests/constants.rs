//! What depends on constants only is computed once, by code for the target, where it runs here.

use tracelift::{
    Options,
    ir::{Builder, Graph, TensorType, interpret},
    pipeline::Build,
};
use tracelift_tensor::{DType, IsaLevel, Target};
use tracelift_tests::noise::eighths;

/// `x · (a · b)` of weights too large for the reference meaning.
fn graph() -> Graph {
    let mut graph = Graph::new("products");
    let x = graph.add_input("x", TensorType::new(DType::F32, [5, 96]));
    let mut b = Builder::new(&mut graph);
    let weights = [1, 2].map(|seed| b.constant(eighths(&[96, 96], seed)));
    let both = b.matmul(weights[0], weights[1]).unwrap();
    let y = b.matmul(x, both).unwrap();
    graph.add_result("y", y);
    graph
}

#[test]
fn products_of_weights_take_no_time_in_a_run() {
    let (program, report) = Build::new(&Options::default()).unwrap().run(graph()).unwrap();
    assert_eq!(report.n_launches, 1);
    let inputs = [eighths(&[5, 96], 3)];
    let found = program.run_tensors(&mut program.context(1), &inputs).unwrap();
    assert_eq!(found, interpret(&graph(), &inputs).unwrap());
}

#[test]
fn code_for_another_machine_computes_them_there() {
    let foreign = IsaLevel::ALL.map(Target::typical).into_iter().find(|t| !t.runs_here());
    let target = foreign.expect("no machine runs both x86-64 and aarch64");
    let mut build = Build::new(&Options { target: Some(target), ..Options::default() }).unwrap();
    let mut graph = graph();
    build.optimise(&mut graph).unwrap();
    assert_eq!(build.lower(&graph).unwrap().steps.len(), 2);
}
