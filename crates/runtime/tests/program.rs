//! Programs whose kernels are Rust functions.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use tracelift_runtime::{Entry, Launch, Plan, Port, Program, RunError, Slot};
use tracelift_tensor::{DType, Tensor};

/// Counts allocations of all threads.
struct Counting;

static N_ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

// SAFETY: Every call goes to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        N_ALLOCATIONS.fetch_add(1, Ordering::SeqCst);
        // SAFETY: The caller's promise is the system allocator's condition.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: The caller's promise is the system allocator's condition.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// `b[i] = a[i] + 1` for the tasks given, by way of the scratch memory.
unsafe extern "C" fn add_one(operands: *const *mut u8, begin: u64, end: u64) {
    // SAFETY: The plan gives two operands of `N` numbers and scratch of one.
    unsafe {
        let a = operands.read().cast::<f32>();
        let b = operands.add(1).read().cast::<f32>();
        let scratch = operands.add(2).read().cast::<f32>();
        assert!(a.is_aligned() && b.is_aligned() && scratch.addr().is_multiple_of(64));
        for i in begin as usize..end as usize {
            *scratch = *a.add(i);
            *b.add(i) = *scratch + 1.0;
        }
    }
}

const N: usize = 1000;

/// Adds one three times: input to arena, arena to arena, arena to output.
fn program() -> Program {
    program_that(false)
}

fn program_that(runs_alone: bool) -> Program {
    let port = |name: &str| Port { name: name.into(), dtype: DType::F32, shape: vec![N] };
    let launch = |from, to, n_tasks| Launch {
        kernel: 0,
        n_tasks,
        operands: vec![from, to],
        label: "add".into(),
    };
    let n = N as u64;
    let plan = Plan {
        launches: vec![
            launch(Slot::Input(0), Slot::Arena(0), n),
            launch(Slot::Arena(0), Slot::Arena(4 * N), n),
            launch(Slot::Constant(0), Slot::Arena(0), 1),
            launch(Slot::Arena(4 * N), Slot::Output(0), n),
        ],
        kernels: vec!["add_one".into()],
        inputs: vec![port("x")],
        outputs: vec![port("y")],
        constants: vec![Tensor::new(&[N], &[41f32; N])],
        arena_bytes: 8 * N,
        scratch_bytes: 4,
        runs_alone,
    };
    // SAFETY: The kernel touches its operands only, each as large as the plan says.
    unsafe { Program::new(plan, vec![add_one as Entry], Arc::new(())) }
}

fn expected() -> Vec<f32> {
    (0..N).map(|i| i as f32 + 3.0).collect()
}

fn input() -> Vec<u8> {
    (0..N).flat_map(|i| (i as f32).to_le_bytes()).collect()
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes.chunks_exact(4).map(|c| f32::from_le_bytes(c.try_into().unwrap())).collect()
}

/// One test, because other tests' allocations would be counted as well.
#[test]
fn runs_are_right_on_any_threads_and_allocate_nothing_after_the_first() {
    let program = program();
    let (x, expected) = (input(), expected());
    for n_threads in [1, 2, 3] {
        let mut context = program.context(n_threads);
        // One byte off, so that both are copied.
        let mut unaligned = [&[0], x.as_slice()].concat();
        let shift = usize::from(unaligned.as_ptr().addr().is_multiple_of(2));
        if shift == 0 {
            unaligned.rotate_left(1);
        }
        let mut y = vec![0u8; 4 * N + 1];
        let y_shift = usize::from(y.as_ptr().addr().is_multiple_of(2));
        let mut before = 0;
        for round in 0..20 {
            y.fill(0);
            let inputs = [&unaligned[shift..shift + 4 * N]];
            let mut outputs = [&mut y[y_shift..y_shift + 4 * N]];
            program.run(&mut context, &inputs, &mut outputs).unwrap();
            let now = N_ALLOCATIONS.load(Ordering::SeqCst);
            if round > 0 {
                assert_eq!(now, before, "{n_threads} threads");
            }
            let right = floats(outputs[0]) == expected;
            assert!(right, "{n_threads} threads, round {round}");
            before = N_ALLOCATIONS.load(Ordering::SeqCst);
        }
        // Inputs and outputs may lie elsewhere in each run.
        let mut other = vec![0u8; 4 * N];
        for output in [&mut other[..], &mut y[..4 * N]] {
            output.fill(0);
            let times = program.run_profiled(&mut context, &[&x], &mut [&mut *output]).unwrap();
            assert_eq!((times.len(), floats(output) == expected), (4, true));
        }
        let tensor = Tensor::new(&[N], &floats(&x));
        let results = program.run_tensors(&mut context, &[tensor]).unwrap();
        assert_eq!(results[0].to_vec::<f32>(), expected);
    }
    callers_run_at_the_same_time(&program);
    a_small_program_runs_alone();
    mistakes_are_named(&program);
}

fn callers_run_at_the_same_time(program: &Program) {
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let mut context = program.context(2);
                let x = Tensor::new(&[N], &floats(&input()));
                for _ in 0..50 {
                    let y = program.run_tensors(&mut context, std::slice::from_ref(&x)).unwrap();
                    assert_eq!(y[0].to_vec::<f32>(), expected());
                }
            });
        }
    });
}

fn a_small_program_runs_alone() {
    let program = program_that(true);
    let mut context = program.context(3);
    assert_eq!(context.n_threads(), 3);
    let x = Tensor::new(&[N], &floats(&input()));
    let y = program.run_tensors(&mut context, &[x]).unwrap();
    assert_eq!(y[0].to_vec::<f32>(), expected());
}

fn mistakes_are_named(program: &Program) {
    let mut context = program.context(1);
    let x = input();
    let mut y = vec![0u8; 4 * N];
    let error = program.run(&mut context, &[&x[..8]], &mut [&mut y]).unwrap_err();
    assert_eq!(error.to_string(), "TL0501: input 'x' has 4000 bytes, found 8");
    let error = program.run(&mut context, &[], &mut [&mut y]).unwrap_err();
    assert_eq!(error.to_string(), "TL0500: expected 1 inputs, found 0");
    let wrong = Tensor::new(&[2], &[1i32, 2]);
    let error = program.run_tensors(&mut context, &[wrong]).unwrap_err();
    assert_eq!(error.to_string(), "TL0502: input 'x' is f32[1000], found i32[2]");
    let mut other = self::program().context(1);
    let error = program.run(&mut other, &[&x], &mut [&mut y]).unwrap_err();
    assert_eq!(error, RunError::ForeignContext);
}
