//! Single kernels on one thread; an item is a floating-point operation, where they are counted.

use divan::{
    Bencher,
    counter::{BytesCount, ItemsCount},
};
use tracelift::Options;
use tracelift_bench::{
    Runnable,
    kernels::{Case, cases},
};

fn main() {
    divan::main();
}

#[divan::bench(args = cases())]
fn kernel(bencher: Bencher<'_, '_>, case: &Case) {
    let graph = case.graph().expect("the shapes fit");
    let mut runnable = Runnable::new(graph, &Options::default()).expect("kernels compile");
    bencher
        .counter(ItemsCount::new(case.flops.max(case.n_elements)))
        .counter(BytesCount::new(case.bytes))
        .bench_local(|| runnable.run().expect("the inputs fit"));
}
