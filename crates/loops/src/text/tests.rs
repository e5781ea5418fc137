//! What kernels look like, and what is said about texts that are none.

use tracelift_scalar::IndexExpr;
use tracelift_tensor::{DType, Scalar};

use crate::samples::{gemm, softmax};
use crate::{BufferKind, Inst, Kernel, Stmt, Tile, parse};

#[test]
fn a_contraction_reads_well() {
    insta::assert_snapshot!(gemm());
    assert_eq!(parse(&gemm().to_string()), Ok(gemm()));
}

#[test]
fn a_softmax_row_reads_well() {
    insta::assert_snapshot!(softmax());
    assert_eq!(parse(&softmax().to_string()), Ok(softmax()));
}

#[test]
fn the_documented_example_parses_and_verifies() {
    let source = include_str!("../text.rs");
    let lines = source.lines().filter_map(|l| l.strip_prefix("//!"));
    let block: Vec<&str> = lines
        .skip_while(|l| !l.contains("```text"))
        .skip(1)
        .take_while(|l| !l.contains("```"))
        .collect();
    let text =
        block.iter().map(|l| l.strip_prefix(' ').unwrap_or(l)).collect::<Vec<_>>().join("\n");
    let kernel = parse(&text).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(kernel.to_string().trim_end(), text);
}

#[test]
fn axes_out_of_order_are_declared_first() {
    let mut kernel = Kernel { name: "f".into(), ..Kernel::default() };
    let (c, _, r) = (kernel.add_axis("c", 2), kernel.add_axis("free", 9), kernel.add_axis("r", 1));
    let tile =
        Tile { rows: r, columns: c, loops: vec![], unroll: 3, insts: vec![], n_init: 0, n_body: 0 };
    kernel.body = vec![Stmt::If { guards: vec![], body: vec![Stmt::Tile(tile)] }];
    insta::assert_snapshot!(kernel);
    assert_eq!(parse(&kernel.to_string()), Ok(kernel));
}

#[test]
fn names_are_made_unique_and_legal() {
    let mut kernel = Kernel { name: "a b".into(), ..Kernel::default() };
    kernel.add_buffer("x", DType::F32, 1, BufferKind::Input);
    kernel.add_buffer("x", DType::F32, 1, BufferKind::Input);
    kernel.add_buffer("0.w", DType::F32, 0, BufferKind::Output);
    let text = kernel.to_string();
    let head = "kernel @a_b(%x: f32[1] input, %x_2: f32[1] input, %_0_w: f32[0] output) {";
    assert_eq!(text.lines().next(), Some(head));
    assert!(parse(&text).is_ok());
}

#[test]
fn kernels_that_do_not_verify_are_written_too() {
    let mut kernel = gemm();
    let Stmt::Tile(tile) = &mut kernel.body[0] else { panic!("the sample is one tile") };
    tile.rows = 99;
    tile.n_body = usize::MAX;
    tile.insts[6] = Inst::Index(IndexExpr::axis(77));
    assert!(kernel.to_string().contains("tile (?99: ?, c: 4)"));
}

#[test]
fn comments_free_names_and_missing_dtypes_are_read() {
    let text = "// A comment.
        kernel @k(%x: f64[4] input, %y: f64[4] output) { // Another.
          tile (r: 1, c: 4) {
            %value = load %x[c]
            %twice = add(%value, %value)
            store %y[-c + 3] = %twice
          }
        }";
    let kernel = parse(text).unwrap_or_else(|e| panic!("{e}"));
    crate::verify(&kernel).unwrap_or_else(|v| panic!("{}", v[0]));
    let Stmt::Tile(tile) = &kernel.body[0] else { panic!("one tile") };
    assert!(matches!(tile.insts[0], Inst::Load { fill: Scalar::F64(0.0), .. }));
}

#[test]
fn errors_name_the_place_what_was_found_and_what_was_expected() {
    let in_tile = |inst: &str| {
        format!("kernel @k(%x: f32[4] input) {{\n  tile (r: 1, c: 4) {{\n    {inst}\n  }}\n}}")
    };
    let at_3 = |inst: &str| parse(&in_tile(inst)).expect_err(inst).to_string();
    let cases = [
        (
            "%a = lod %x[c]",
            "column 10: found 'lod', expected an operation, or a dtype before a literal",
        ),
        ("%a = fmadd(%b)", "column 10: found 'fmadd', expected an operation"),
        ("%a = neg(%b)", "column 14: found '%b', expected a value defined above"),
        ("%a = load %z[c]", "column 15: found '%z', expected a buffer of the kernel"),
        ("%a = load %x[q]", "column 18: found 'q', expected an axis declared above"),
        ("%a: i32 = load %x[c]", "column 15: found a value of f32, expected one of dtype i32"),
        ("%a: u8 = 256", "column 14: found '256', expected an operation or a literal of dtype u8"),
        ("%a = index(mod(c, 0))", "column 23: found '0', expected a positive divisor"),
        (
            "%a = index(9223372036854775807 + 1)",
            "column 16: found a number, expected one that fits 64 bits",
        ),
        ("%a = test(0 <= c)", "column 21: found ')', expected '<'"),
        (
            "%a = load %x[c] if 0 <= c < 4",
            "column 3: found '}', expected ',' or else and what is read where a guard fails",
        ),
        (
            "tile",
            "column 5: found 'tile', expected update, store, prefetch, '}' or a value such as %x",
        ),
    ];
    for (inst, expected) in cases {
        let line = if expected.starts_with("column 3:") { 4 } else { 3 };
        assert_eq!(at_3(inst), format!("TL0501: line {line}, {expected}"), "{inst}");
    }
    let error = parse("kernel @k(").expect_err("incomplete").to_string();
    assert_eq!(
        error,
        "TL0501: line 1, column 11: found the end of the text, expected a buffer such as %x"
    );
    let error = parse("kernel @k() { grid (m: 2) for m in 0..3 {} }").expect_err("two extents");
    let expected =
        "TL0501: line 1, column 39: found '3', expected extent 2 as where axis m was declared";
    assert_eq!(error.to_string(), expected);
}

#[test]
fn deep_nests_are_refused() {
    let text = format!("kernel @k() {{ {} ", "if true { ".repeat(10_000));
    let error = parse(&text).expect_err("too deep").to_string();
    assert!(error.ends_with("expected at most 64 levels of statements"), "{error}");
    let deep = format!("kernel @k() {{ if 0 <= {}", "mod(".repeat(10_000));
    let error = parse(&deep).expect_err("too deep").to_string();
    assert!(error.ends_with("expected at most 64 levels"), "{error}");
}

#[test]
fn cut_texts_are_errors() {
    let text = softmax().to_string();
    for end in 0..text.trim_end().len() {
        assert!(parse(&text[..end]).is_err());
    }
}
