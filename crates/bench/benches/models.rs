//! Whole models, those present, on one and on two threads.

use divan::Bencher;
use tracelift::Options;
use tracelift_bench::models::{present, runnable};

fn main() {
    divan::main();
}

#[divan::bench(args = present(), consts = [1, 2])]
fn model<const THREADS: usize>(bencher: Bencher<'_, '_>, name: &str) {
    let options = Options { threads: THREADS, ..Options::default() };
    let mut runnable = runnable(name, &options).expect("the model compiles");
    bencher.bench_local(|| runnable.run().expect("the inputs fit"));
}
