//! Object files: what they need, what they offer, and that C gets the JIT's results.

use std::{fs, process::Command};

use super::common::{bytes_of, options};
use ::object::{Object, ObjectSymbol};
use tracelift_backend::{
    CompileOptions, JitCode, assembly_text, clif_text, compile_object, header,
};
use tracelift_loops::{BufferKind, Inst, Kernel, Place, Stmt, Tile, ValueId};
use tracelift_runtime::{Launch, Plan, Port, Slot};
use tracelift_scalar::{IndexExpr, Op};
use tracelift_tensor::{DType, IsaLevel, Target, Tensor};

const N: usize = 37;

/// `y = op(a, b)` over `N` numbers, in two tasks of one tile each and a scratch buffer.
fn map_kernel(op: Op) -> Kernel {
    let mut kernel = Kernel { name: format!("f32_{}", op.name()), ..Kernel::default() };
    let a = kernel.add_buffer("a", DType::F32, 2 * N, BufferKind::Input);
    let b = kernel.add_buffer("b", DType::F32, 2 * N, BufferKind::Input);
    let y = kernel.add_buffer("y", DType::F32, 2 * N, BufferKind::Output);
    kernel.add_buffer("s", DType::F32, 16, BufferKind::Scratch);
    let task = kernel.add_axis("t", 2);
    let row = kernel.add_axis("r", 1);
    let column = kernel.add_axis("c", N);
    let index = IndexExpr::axis(task).scale(N as i64).add(&IndexExpr::axis(column));
    let place = |buffer| Place { buffer, index: index.clone(), dynamic: Vec::new() };
    let fill = tracelift_tensor::Scalar::zero(DType::F32);
    let load = |buffer| Inst::Load { place: place(buffer), guards: Vec::new(), fill };
    let operands = [ValueId(0), ValueId(1)][..op.arity()].to_vec();
    let insts = vec![
        load(a),
        load(b),
        Inst::Apply(op, operands),
        Inst::Store { place: place(y), guards: Vec::new(), condition: None, value: ValueId(2) },
    ];
    kernel.grid = vec![task];
    kernel.body = vec![Stmt::Tile(Tile {
        rows: row,
        columns: column,
        loops: Vec::new(),
        unroll: 1,
        insts,
        n_init: 0,
        n_body: 0,
    })];
    kernel
}

/// `y = tanh(x · weights) + x`.
fn program() -> (Plan, Vec<Kernel>) {
    let kernels = vec![map_kernel(Op::Mul), map_kernel(Op::Tanh), map_kernel(Op::Add)];
    let weights: Vec<f32> = (0..2 * N).map(|i| 1.0 - i as f32 / 29.0).collect();
    let port = |name: &str| Port { name: name.into(), dtype: DType::F32, shape: vec![2, N] };
    let launch = |kernel, operands: [Slot; 3]| Launch {
        kernel,
        n_tasks: 2,
        operands: operands.to_vec(),
        label: "map".into(),
    };
    let (x, weight, y) = (Slot::Input(0), Slot::Constant(0), Slot::Output(0));
    let (product, tanh) = (Slot::Arena(0), Slot::Arena(8 * N));
    let plan = Plan {
        launches: vec![
            launch(0, [x, weight, product]),
            launch(1, [product, product, tanh]),
            launch(2, [tanh, x, y]),
        ],
        kernels: kernels.iter().map(|k| k.name.clone()).collect(),
        inputs: vec![port("x */ ")],
        outputs: vec![port("y")],
        constants: vec![Tensor::new(&[2, N], &weights)],
        arena_bytes: 16 * N,
        scratch_bytes: 64,
        runs_alone: false,
    };
    (plan, kernels)
}

const MAIN: &str = r#"
#include <stdio.h>
#include <stdlib.h>
#include "net.h"

int main(void) {
    static float x[74], y[74];
    if (fread(x, sizeof x, 1, stdin) != 1) return 1;
    const void *inputs[NET_N_INPUTS] = {x};
    void *outputs[NET_N_OUTPUTS] = {y};
    size_t bytes = (NET_ARENA_BYTES + NET_ARENA_ALIGNMENT - 1) / NET_ARENA_ALIGNMENT;
    void *arena = aligned_alloc(NET_ARENA_ALIGNMENT, bytes * NET_ARENA_ALIGNMENT);
    net_run(inputs, outputs, arena);
    fwrite(y, sizeof y, 1, stdout);
    free(arena);
    return 0;
}
"#;

#[test]
fn c_gets_the_same_bits_as_the_jit() {
    let (plan, kernels) = program();
    let x: Vec<u8> = bytes_of(&(0..2 * N).map(|i| i as f32 / 8.0 - 4.0).collect::<Vec<_>>());
    let mut y = vec![0; x.len()];
    let jit = JitCode::compile(&kernels, &options()).unwrap().into_program(plan.clone()).unwrap();
    jit.run(&mut jit.context(2), &[&x], &mut [&mut y]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let bytes = compile_object(&plan, &kernels, "net", &options()).unwrap();
    fs::write(path("net.o"), bytes).unwrap();
    fs::write(path("net.h"), header(&plan, "net")).unwrap();
    fs::write(path("main.c"), MAIN).unwrap();
    fs::write(path("x"), &x).unwrap();
    let built = Command::new("cc")
        .args(["-Wall", "-Wextra", "-Werror", "-Wl,--fatal-warnings", "main.c", "net.o"])
        .args(["-o", "main"])
        .current_dir(&folder)
        .output()
        .unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    let shared = Command::new("cc")
        .args(["-shared", "-Wl,--fatal-warnings,-z,text", "net.o", "-o", "net.so"])
        .current_dir(&folder)
        .output()
        .unwrap();
    assert!(shared.status.success(), "{}", String::from_utf8_lossy(&shared.stderr));
    let input = fs::File::open(path("x")).unwrap();
    let ran = Command::new(path("main")).stdin(input).output().unwrap();
    assert!(ran.status.success());
    assert_eq!(ran.stdout, y);
}

#[test]
fn an_object_needs_nothing_and_does_not_depend_on_threads() {
    let (plan, kernels) = program();
    for level in [IsaLevel::X86_64V3, IsaLevel::X86_64V4, IsaLevel::Aarch64] {
        let target = Target::typical(level);
        let with = |threads| {
            compile_object(&plan, &kernels, "net", &CompileOptions { target, threads }).unwrap()
        };
        let bytes = with(1);
        assert!(bytes == with(3), "{level}: the number of threads changes the object");
        let file = ::object::File::parse(&*bytes).unwrap();
        let undefined: Vec<&str> =
            file.symbols().filter(|s| s.is_undefined()).filter_map(|s| s.name().ok()).collect();
        let allowed = ["", "memcpy", "memmove", "memset"];
        assert!(undefined.iter().all(|s| allowed.contains(s)), "{level}: {undefined:?}");
        let exported: Vec<&str> = file
            .symbols()
            .filter(|s| s.is_global() && !s.is_undefined())
            .filter_map(|s| s.name().ok())
            .collect();
        assert_eq!(exported, ["net_run"], "{level}");
    }
}

#[test]
fn a_target_without_fma_is_refused_by_name() {
    let (plan, kernels) = program();
    let target = Target::typical(IsaLevel::X86_64V2);
    let options = CompileOptions { target, threads: 1 };
    let error = compile_object(&plan, &kernels, "net", &options).unwrap_err().to_string();
    assert_eq!(
        error,
        "TL0400: kernel 'f32_tanh': target x86-64-v2 has no instruction for fused multiply-add"
    );
}

#[test]
fn kernels_read_as_text() {
    let (_, mut kernels) = program();
    kernels.push(kernels[0].clone());
    let narrow = Target { vector_bytes: 16, ..Target::typical(IsaLevel::X86_64V3) };
    let clif = clif_text(&kernels, &narrow).unwrap();
    assert_eq!(clif.matches("; f32_mul\n").count(), 1, "equal kernels are one");
    assert!(clif.contains("fmul"), "{clif}");
    for (level, part) in [(IsaLevel::X86_64V3, "vmulps"), (IsaLevel::Aarch64, "fmul v")] {
        let text =
            assembly_text(&kernels, &[vec!["the.node".into()]], &Target::typical(level)).unwrap();
        assert!(text.starts_with("; the.node\nf32_mul:") && text.contains(part), "{text}");
    }
}
