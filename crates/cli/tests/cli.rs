//! The built program on small models: every subcommand, exit codes, and messages of mistakes.

#[path = "cli/models.rs"]
mod models;

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use tracelift::tensor::{
    Tensor,
    npz::{read_npz, write_npz},
    safetensors_file::{read_safetensors, write_safetensors},
};

const DOUBLE: &str = "graph @double(%x: f32[2, 3]) -> f32[2, 3] {\n  \
                      %y: f32[2, 3] = mul(%x, 2.0)\n  return %y\n}\n";

const SYMBOLIC: &str = "graph @scale(%x: f32[B, T]) -> f32[B, T] {\n  \
                        %y: f32[B, T] = mul(%x, 2.0)\n  return %y\n}\n";

/// A folder with models and tensors of one test.
struct Bench {
    folder: tempfile::TempDir,
}

impl Bench {
    fn new() -> Bench {
        let bench = Bench { folder: tempfile::tempdir().unwrap() };
        bench.write("double.graph", DOUBLE);
        bench.write("symbolic.graph", SYMBOLIC);
        bench
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        fs::write(self.path(name), content).unwrap();
    }

    fn write_npz(&self, name: &str, arrays: &[(&str, Tensor)]) {
        let named: Vec<(String, Tensor)> =
            arrays.iter().map(|(n, t)| (n.to_string(), t.clone())).collect();
        write_npz(&self.path(name), &named).unwrap();
    }

    /// Runs the program in the folder.
    fn run(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tracelift"));
        command.current_dir(self.folder.path()).args(arguments).output().unwrap()
    }

    /// What the program prints where it succeeds.
    fn succeed(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {errors}");
        assert_eq!(errors, "", "{arguments:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// The message where the program fails with a code.
    fn fail(&self, code: i32, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let errors = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {errors}");
        assert!(code != 2 || errors.starts_with("error: "), "{arguments:?}: {errors}");
        assert!(!errors.contains("panicked"), "{arguments:?}: {errors}");
        if code == 2 { errors } else { String::from_utf8(output.stdout).unwrap() }
    }
}

fn floats(shape: &[usize], elements: &[f32]) -> Tensor {
    Tensor::new(shape, elements)
}

fn x() -> Tensor {
    floats(&[2, 3], &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0])
}

fn doubled() -> Tensor {
    floats(&[2, 3], &[0.0, 2.0, 4.0, 6.0, 8.0, 10.0])
}

fn json(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap_or_else(|e| panic!("{e}: {text}"))
}

fn digits(file: &str) -> String {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/data").join(file);
    data.to_str().unwrap().to_string()
}

#[test]
fn run_finds_inputs_by_name_and_by_number_and_writes_outputs() {
    let bench = Bench::new();
    for (file, name) in [("named.npz", "x"), ("numbered.npz", "in_0")] {
        bench.write_npz(file, &[(name, x())]);
        let text = bench.succeed(&["run", "double.graph", "--inputs", file, "--outputs", "y.npz"]);
        assert!(text.contains("f32[2, 3]"), "{text}");
        let outputs = read_npz(&bench.path("y.npz")).unwrap();
        assert_eq!(outputs, [("out_0".to_string(), doubled())]);
    }
    write_safetensors(&bench.path("x.safetensors"), &[("x".into(), x())]).unwrap();
    let arguments =
        ["run", "double.graph", "--inputs", "x.safetensors", "--outputs", "y.safetensors"];
    bench.succeed(&arguments);
    let outputs = read_safetensors(&bench.path("y.safetensors")).unwrap();
    assert_eq!(outputs[0].1, doubled());
}

#[test]
fn made_up_inputs_depend_on_the_seed_alone() {
    let bench = Bench::new();
    let outputs = |seed: &str, threads: &str| {
        let arguments = ["run", "double.graph", "--seed", seed, "--threads", threads];
        bench.succeed(&[&arguments[..], &["--outputs", "y.npz"]].concat());
        read_npz(&bench.path("y.npz")).unwrap()
    };
    assert_eq!(outputs("1", "1"), outputs("1", "2"));
    assert_ne!(outputs("1", "1"), outputs("2", "1"));
}

#[test]
fn symbols_take_their_values_from_inputs_or_from_set() {
    let bench = Bench::new();
    bench.write_npz("x.npz", &[("x", x())]);
    let text = bench.succeed(&["run", "symbolic.graph", "--inputs", "x.npz"]);
    assert!(text.contains("f32[2, 3]"), "{text}");
    let text = bench.succeed(&["run", "symbolic.graph", "--set", "B=4", "--set", "T=5"]);
    assert!(text.contains("f32[4, 5]"), "{text}");
    let error = bench.fail(2, &["run", "symbolic.graph", "--set", "B=4"]);
    assert!(error.contains("found:    T") && error.contains("--set T=1"), "{error}");
    let error = bench.fail(2, &["run", "symbolic.graph", "--set", "C=4"]);
    assert!(error.contains("--set C") && error.contains("B, T"), "{error}");
    let error = bench.fail(2, &["compile", "symbolic.graph", "-o", "m.o"]);
    assert!(error.contains("--set B=1 --set T=1"), "{error}");
}

#[test]
fn check_tells_agreement_from_mismatch_by_its_exit_code() {
    let bench = Bench::new();
    bench.write_npz("case.npz", &[("in_0", x()), ("out_0", doubled())]);
    let check = ["check", "double.graph", "--inputs", "case.npz"];
    let text = bench.succeed(&check);
    assert!(text.contains("agrees"), "{text}");

    let mut far = doubled().to_vec::<f32>();
    far[4] += 0.01;
    bench.write_npz("far.npz", &[("out_0", floats(&[2, 3], &far))]);
    let against_far = [&check[..], &["--expect", "far.npz"]].concat();
    let text = bench.fail(1, &against_far);
    assert!(text.contains("[1, 1]: found 8.0, expected 8.01"), "{text}");
    bench.succeed(&[&against_far[..], &["--rtol", "0", "--atol", "0.1"]].concat());
    let report = json(&bench.fail(1, &[&against_far[..], &["--json"]].concat()));
    assert_eq!(report["agrees"], false);
    assert_eq!(report["outputs"][0]["at"], serde_json::json!([1, 1]));

    far[4] = f32::NAN;
    bench.write_npz("nan.npz", &[("out_0", floats(&[2, 3], &far))]);
    let arguments = [&check[..], &["--expect", "nan.npz", "--rtol", "1", "--atol", "1"]].concat();
    bench.fail(1, &arguments);
    bench.write_npz("none.npz", &[("other", x())]);
    let error = bench.fail(2, &[&check[..], &["--expect", "none.npz"]].concat());
    assert!(error.contains("out_0") && error.contains("found:    other"), "{error}");
}

#[test]
fn check_reads_the_test_data_of_onnx() {
    let bench = Bench::new();
    bench.write("reshape.onnx", models::reshape());
    fs::create_dir(bench.path("case")).unwrap();
    let pb = |name: &str, bytes: Vec<u8>| bench.write(&format!("case/{name}.pb"), bytes);
    pb("input_0", models::floats_pb(&[2, 3], &x().to_vec()));
    pb("input_1", models::integers_pb(&[3, 2]));
    pb("output_0", models::floats_pb(&[3, 2], &x().to_vec()));
    // The shape is an input here, and becomes a constant.
    let text = bench.succeed(&["check", "reshape.onnx", "--data", "case"]);
    assert!(text.contains("constants: shape"), "{text}");

    let off: Vec<f32> = x().to_vec::<f32>().into_iter().map(|x| x * 1.01).collect();
    pb("output_0", models::floats_pb(&[3, 2], &off));
    bench.fail(1, &["check", "reshape.onnx", "--data", "case"]);
    bench.write("data.json", r#"{"rtol": 0.1}"#);
    bench.succeed(&["check", "reshape.onnx", "--data", "case"]);
}

#[test]
fn an_input_that_is_set_becomes_a_constant() {
    let bench = Bench::new();
    bench.write("reshape.onnx", models::reshape());
    bench.write_npz("x.npz", &[("in_0", x())]);
    let set = ["run", "reshape.onnx", "--set", "shape=3,2"];
    let text = bench.succeed(&[&set[..], &["--inputs", "x.npz"]].concat());
    assert!(text.contains("f32[3, 2]"), "{text}");
    let error = bench.fail(2, &["run", "reshape.onnx", "--set", "shape=3"]);
    assert!(error.contains("--set shape"), "{error}");
    let error = bench.fail(2, &["run", "reshape.onnx"]);
    assert!(error.contains("shape"), "{error}");
}

#[test]
fn the_digits_network_agrees_with_pytorch() {
    let bench = Bench::new();
    let (model, samples) = (digits("digits_cnn.onnx"), digits("digits_samples.npz"));
    // The samples' `logits` are those of all images; the model's are in `out_0`.
    for threads in ["1", "2"] {
        bench.succeed(&["check", &model, "--inputs", &samples, "--threads", threads]);
    }
    bench.succeed(&["dump", &model, "--stage", "import", "-o", "digits.graph"]);
    bench.succeed(&["check", "digits.graph", "--inputs", &samples]);
}

#[test]
fn bench_prints_one_line_of_json() {
    let bench = Bench::new();
    bench.write_npz("case.npz", &[("in_0", x()), ("out_0", doubled())]);
    let quick = ["bench", "double.graph", "--seconds", "0.01"];
    let text = bench
        .succeed(&[&quick[..], &["--json", "--inputs", "case.npz", "--threads", "1"]].concat());
    assert_eq!(text.lines().count(), 1, "{text}");
    let line = json(&text);
    for key in ["median_ms", "p10_ms", "p90_ms", "to_first_s", "load_ms", "compile_ms"] {
        assert!(line[key].as_f64().is_some_and(|x| x > 0.0), "{key}: {text}");
    }
    assert!(line["n"].as_u64() >= Some(3) && line["arena_bytes"].is_u64(), "{text}");
    assert!(line["peak_rss_mb"].is_number() && line["version"].is_string(), "{text}");
    assert_eq!(line["max_rel_err"], 0.0);
    assert!(bench.succeed(&quick).contains("median"));
    let text = bench.succeed(&[&quick[..], &["--profile"]].concat());
    assert!(text.contains("launch") && text.contains("100.0"), "{text}");
    assert!(text.contains("machine: ") && text.contains("% peak"), "{text}");
    let profile = json(&bench.succeed(&[&quick[..], &["--profile", "--json"]].concat()));
    let launch = &profile["launches"][0];
    // Doubling six numbers: one operation each.
    assert_eq!((&launch["flops"], &launch["read_bytes"]), (&6.into(), &24.into()), "{profile}");
    assert!(launch["peak_percent"].as_f64().is_some_and(|x| x > 0.0), "{profile}");
    let text = bench.succeed(&[&quick[..], &["--kernels"]].concat());
    assert!(text.contains("of roof") && text.contains("FLOP/B"), "{text}");
    let kernels = json(&bench.succeed(&[&quick[..], &["--kernels", "--json"]].concat()));
    assert_eq!(kernels["kernels"][0]["launches"], 1, "{kernels}");
}

#[test]
fn bench_serves_measurements_line_by_line() {
    let bench = Bench::new();
    bench.write_npz("case.npz", &[("in_0", x()), ("out_0", doubled())]);
    let mut child = Command::new(env!("CARGO_BIN_EXE_tracelift"))
        .current_dir(bench.folder.path())
        .args(["bench", "double.graph", "--inputs", "case.npz", "--serve"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(b"measure 0.01\nmeasure 0.01\nfinish\n").unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<serde_json::Value> = text.lines().map(json).collect();
    let events: Vec<&str> = lines.iter().filter_map(|line| line["event"].as_str()).collect();
    assert_eq!(events, ["load", "measure", "measure", "final"]);
    assert!(lines[0]["load_s"].is_number() && lines[0]["to_first_s"].is_number());
    for key in ["n", "median_ms", "p10_ms", "p90_ms", "min_ms", "cpu_per_wall"] {
        assert!(lines[1][key].is_number(), "{key}: {text}");
    }
    assert_eq!(lines[3]["max_abs_err"], 0.0);
}

#[test]
fn dump_prints_every_stage() {
    let bench = Bench::new();
    for (stage, expected) in [
        ("import", "mul(%x, 2.0)"),
        ("graph", "mul(%x, 2.0)"),
        ("fused", "pointwise"),
        ("loops", "kernel @map"),
        ("clif", "function u0:0"),
        ("asm", "ret"),
    ] {
        let text = bench.succeed(&["dump", "double.graph", "--stage", stage]);
        assert!(text.contains(expected), "{stage}: {text}");
    }
    let text = bench.succeed(&["dump", "double.graph", "--stage", "import"]);
    assert_eq!(text, DOUBLE);
    let text = bench.succeed(&["dump", "double.graph", "--format", "json"]);
    assert_eq!(json(&text)["graph"], "double");
    assert!(bench.succeed(&["dump", "double.graph", "--format", "dot"]).starts_with("digraph"));
    let text = bench.succeed(&["dump", "double.graph", "--stage", "fused", "--format", "json"]);
    assert_eq!(json(&text)[0]["kind"], "pointwise");
    let error = bench.fail(2, &["dump", "double.graph", "--stage", "asm", "--format", "dot"]);
    assert!(error.contains("expected: text"), "{error}");
}

#[test]
fn dump_shows_single_passes_and_all_of_them() {
    let bench = Bench::new();
    bench.write(
        "silu.graph",
        "graph @f(%x: f32[2]) -> f32[2] {\n  %y: f32[2] = silu(%x)\n  return %y\n}\n",
    );
    let before = bench.succeed(&["dump", "silu.graph", "--pass", "spell_out"]);
    let after = bench.succeed(&["dump", "silu.graph", "--pass", "decompose"]);
    assert!(before.contains("silu") && !after.contains("silu"), "{before}{after}");
    bench.succeed(&["dump", "silu.graph", "--after-all", "out"]);
    let mut files: Vec<String> = fs::read_dir(bench.path("out"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    files.sort();
    assert_eq!(files[0], "00.input.graph");
    assert!(files.iter().any(|name| name.ends_with("after-decompose.changed.graph")), "{files:?}");
}

#[test]
fn opt_runs_the_passes_asked_for() {
    let bench = Bench::new();
    bench.write(
        "f.graph",
        "graph @f(%x: f32[2]) -> f32[2] {\n  %y: f32[2] = silu(%x)\n  \
         %z: f32[2] = neg(%x)\n  return %y\n}\n",
    );
    let text = bench.succeed(&["opt", "--passes", "remove_dead", "f.graph"]);
    assert_eq!(text, "graph @f(%x: f32[2]) -> f32[2] {\n  %y: f32[2] = silu(%x)\n  return %y\n}\n");
    let text = bench.succeed(&["opt", "--passes", "remove_dead,decompose", "f.graph"]);
    assert!(!text.contains("silu"), "{text}");
    let error = bench.fail(2, &["opt", "--passes", "remove_ded", "f.graph"]);
    assert!(error.contains("unknown pass 'remove_ded' (known: "), "{error}");
}

#[test]
fn compile_writes_an_object_and_its_header() {
    let bench = Bench::new();
    bench.succeed(&["compile", "double.graph", "-o", "net.o"]);
    let object = fs::read(bench.path("net.o")).unwrap();
    assert!(object.starts_with(b"\x7fELF"));
    let header = fs::read_to_string(bench.path("net.h")).unwrap();
    assert!(header.contains("void net_run("), "{header}");
    bench.succeed(&["compile", "double.graph", "-o", "again.o", "--name", "net", "--threads", "1"]);
    assert_eq!(fs::read(bench.path("again.o")).unwrap(), object);
    bench.succeed(&["compile", "double.graph", "-o", "arm.o", "--target-cpu", "aarch64"]);
    // e_machine of aarch64.
    assert_eq!(fs::read(bench.path("arm.o")).unwrap()[18], 183);
    let error = bench.fail(2, &["compile", "double.graph", "-o", "net.exe"]);
    assert!(error.contains("expected a name ending in .o"), "{error}");
}

#[test]
fn inspect_shows_the_model_and_what_becomes_of_it() {
    let bench = Bench::new();
    let text = bench.succeed(&["inspect", &digits("digits_cnn.onnx")]);
    for expected in ["image", "f32[1, 1, 8, 8]", "parameters: ", "conv 2", "arena", "kernels for"] {
        assert!(text.contains(expected), "{expected}: {text}");
    }
    let value = json(&bench.succeed(&["inspect", "double.graph", "--json"]));
    assert_eq!(value["operators"]["mul"], 1);
    assert_eq!(value["compiled"]["n_launches"], 1);
    assert_eq!(value["inputs"][0]["type"], "f32[2, 3]");
    let text = bench.succeed(&["inspect", "symbolic.graph"]);
    assert!(text.contains("--set B=1 --set T=1"), "{text}");
}

#[test]
fn inspect_lists_all_that_is_not_supported() {
    let bench = Bench::new();
    bench.write("odd.onnx", models::unsupported());
    let error = bench.fail(2, &["inspect", "odd.onnx"]);
    assert!(error.contains("node 'first'") && error.contains("node 'second'"), "{error}");
    let output = bench.run(&["inspect", "odd.onnx", "--json"]);
    assert_eq!(output.status.code(), Some(2));
    let value = json(&String::from_utf8(output.stdout).unwrap());
    assert_eq!(value["unsupported"].as_array().map(Vec::len), Some(2));
}

#[test]
fn mistakes_are_errors_with_a_reason() {
    let bench = Bench::new();
    bench.write_npz("wrong.npz", &[("x", floats(&[3, 2], &[0.0; 6]))]);
    bench.write_npz("other.npz", &[("z", x())]);
    bench.write("broken.npz", "PK\u{3}\u{4}");
    bench.write("broken.onnx", [0xff; 40]);
    bench.write("broken.graph", "graph @f(");
    let cases: &[(&[&str], &str)] = &[
        (&["run", "missing.onnx"], "missing.onnx"),
        (&["run", "missing.graph"], "missing.graph"),
        (&["run", "wrong.npz"], "expected: a name ending in .onnx or .graph"),
        (&["run", "broken.onnx"], "broken.onnx"),
        (&["run", "broken.graph"], "broken.graph"),
        (
            &["run", "double.graph", "--inputs", "wrong.npz"],
            "input %x: expected f32[2, 3], found f32[3, 2]",
        ),
        (&["run", "double.graph", "--inputs", "other.npz"], "x: f32[2, 3] (or in_0)"),
        (&["run", "double.graph", "--inputs", "broken.npz"], "broken.npz"),
        (&["run", "double.graph", "--inputs", "missing.npz"], "missing.npz"),
        (&["run", "double.graph", "--inputs", "double.graph"], ".safetensors"),
        (&["run", "double.graph", "--outputs", "y.txt"], "y.txt"),
        (&["run", "double.graph", "--target-cpu", "x86-64-v9"], "'x86-64-v9' is not known"),
        (&["run", "double.graph", "--threads", "0"], "--threads"),
        (&["run", "double.graph", "--set", "B"], "expected NAME=VALUE"),
        (&["bench", "double.graph", "--seconds", "nan"], "found 'nan'"),
        (&["check", "double.graph"], "--inputs"),
        (&["check", "double.graph", "--data", "missing"], "missing: not a folder"),
        (&["dump", "double.graph", "--pass", "nothing"], "unknown pass 'nothing'"),
        (&["dump", "double.graph", "--stage", "nothing"], "[possible values: import,"),
        (&["compile", "double.graph", "-o", "no/such/folder.o"], "no/such/folder.o"),
    ];
    for (arguments, expected) in cases {
        let error = bench.fail(2, arguments);
        assert!(error.contains(expected), "{arguments:?}: {error}");
    }
}

#[test]
fn a_program_larger_than_memory_is_refused() {
    let bench = Bench::new();
    bench.write(
        "large.graph",
        "graph @f(%x: f32[]) -> f32[1048576, 1048575] {\n  \
         %y: f32[1048576, 1048575] = broadcast(%x, shape=[1048576, 1048575], axes=[])\n  \
         return %y\n}\n",
    );
    for command in ["run", "bench"] {
        let error = bench.fail(2, &[command, "large.graph"]);
        assert!(error.contains("needs 4.0 TiB"), "{error}");
    }
}

#[test]
fn output_that_nobody_reads_is_no_error() {
    let bench = Bench::new();
    let mut child = Command::new(env!("CARGO_BIN_EXE_tracelift"))
        .current_dir(bench.folder.path())
        .args(["dump", "double.graph", "--stage", "asm"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr), (Some(0), Vec::new()));
}
