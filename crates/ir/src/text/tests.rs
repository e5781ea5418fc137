//! Tests of the text form: canonical text prints as itself, mistakes are all reported.

use tracelift_tensor::{DType, Scalar, Tensor};

use super::{PrintOptions, data_beside, parse_graph, parse_graph_unverified};
use crate::{Builder, Constant, ConstantData, Graph, Provenance, TensorType};

fn data(name: &str) -> Option<Tensor> {
    match name {
        "enc.weight" => Some(Tensor::new(&[3], &[1.0f32, 2.0, 3.0])),
        "a/b:0" => Some(Tensor::new(&[2, 3], &[0i64; 6])),
        "const.0" => Some(Tensor::new(&[40], &[true; 40])),
        _ => None,
    }
}

#[track_caller]
fn is_canonical(text: &str) {
    let graph = parse_graph(text, &mut data).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(graph.to_string(), text);
}

#[test]
fn canonical_text_prints_as_itself() {
    is_canonical(
        r#"graph @attend(%q: f32[B, T, 12, 64], %k: f32[B, T, 12, 64], %m: bool[B, 12, T, T]) -> f32[B, 12, T, T] {
  %logits: f32[B, 12, T, T] = contract(%q, %k, "btnh, bsnh -> bnts")
  %scaled: f32[B, 12, T, T] = mul(%logits, 0.125)
  %masked: f32[B, 12, T, T] = select(%m, %scaled, -inf)
  %probs: f32[B, 12, T, T] = softmax(%masked, axis=3)
  return %probs
}
"#,
    );
}

#[test]
fn constants_and_parameters_print_as_themselves() {
    is_canonical(
        r#"graph @"x/y:0"(%"in 0": f32[3], %1: i64[T]) -> (f32[3], i64[2, 3], bool[40], f64[T]) {
  @enc.weight: f32[3]
  @"a/b:0": i64[2, 3]
  %table: f32[3] = constant([1.0, -0.0, nan:0xffc00001])
  %small: i64[2, 3] = constant([[1, 2, 3], [-4, 5, 6]])
  %none: f32[0, 2] = constant([])
  %large: bool[40] = constant(@const.0)
  @repeated: f32[3] = constant(0.5)
  %half: f64[T] = constant(0.5)
  %a: f32[3] = fma(%table, @enc.weight, -0.0)
  %b: f32[3] = add(%a, @repeated)
  %c: i64[2, 3] = mul(%small, @"a/b:0")
  return logits: %b, "hidden state": %c, %large, %half
}
"#,
    );
    is_canonical("graph @nothing() -> () {\n  return\n}\n");
}

#[test]
fn a_literal_stands_only_where_its_type_comes_back() {
    let mut g = Graph::new("g");
    let x = g.add_input("x", TensorType::new(DType::F32, [2]));
    let mut b = Builder::new(&mut g);
    let [one, row, two] = [([2], 1.0), ([3], 1.0), ([2], 2.0)]
        .map(|(shape, value)| b.splat(Scalar::F32(value), shape));
    let sum = b.add(one, x).unwrap();
    let joined = b.op1(crate::Concat { axis: 0 }, &[row, sum]).unwrap();
    let both = b.add(two, two).unwrap();
    for value in [joined, both] {
        g.add_result("", value);
    }
    let text = "graph @g(%x: f32[2]) -> (f32[5], f32[2]) {
  %0: f32[3] = constant(1.0)
  %1: f32[2] = constant(2.0)
  %2: f32[2] = add(1.0, %x)
  %3: f32[5] = concat(%0, %2)
  %4: f32[2] = add(%1, %1)
  return %3, %4
}
";
    assert_eq!(g.to_string(), text);
    is_canonical(text);
    assert!(parse_graph(text, &mut data).unwrap().same_as(&g));
}

#[test]
fn names_are_kept_and_made_unique() {
    let mut g = Graph::new("g");
    let x = g.add_input("0", TensorType::new(DType::F32, [2]));
    let mut b = Builder::new(&mut g);
    let y = b.exp(x).unwrap();
    let y = b.name(y, "a//b\n\"%");
    let z = b.exp(y).unwrap();
    let z = b.name(z, "0");
    let w = b.exp(z).unwrap();
    g.add_result("", w);
    let text = r#"graph @g(%0: f32[2]) -> f32[2] {
  %"a//b\n\"%": f32[2] = exp(%0)
  %0_1: f32[2] = exp(%"a//b\n\"%")
  %1: f32[2] = exp(%0_1)
  return %1
}
"#;
    assert_eq!(g.to_string(), text);
    is_canonical(text);
}

#[test]
fn large_constants_lie_beside_the_text_unnamed() {
    let mut g = Graph::new("g");
    let mut b = Builder::new(&mut g);
    let large = Tensor::from_fn(DType::I8, &[33], |i| Scalar::from_i64(DType::I8, i[0] as i64));
    let w = b.parameter("const.0", Tensor::new(&[1], &[1u8]));
    let c = b.constant(large.clone());
    for value in [w, c] {
        g.add_result("", value);
    }
    let beside = data_beside(&g);
    let names: Vec<&str> = beside.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["const.0", "const.1"]);
    let mut find = |name: &str| beside.iter().find(|(n, _)| n == name).map(|(_, t)| t.clone());
    let back = parse_graph(&g.to_string(), &mut find).unwrap();
    assert!(back.same_as(&g));
    let constant = Constant { parameter: None, data: ConstantData::Dense(large) };
    assert_eq!(back.constant(back.results()[1].value), Some(&constant));
}

#[test]
fn provenance_prints_as_comments() {
    let mut g = Graph::new("g");
    let x = g.add_input("x", TensorType::new(DType::F32, [2]));
    let from = Provenance::at("Exp_3", "encoder.layer.0");
    let y = Builder::with_provenance(&mut g, from).exp(x).unwrap();
    g.add_result("", y);
    let text = g.to_text(&PrintOptions { provenance: true });
    let line = "  %0: f32[2] = exp(%x)  // from encoder.layer.0 (Exp_3)\n";
    assert!(text.contains(line), "{text}");
    assert!(parse_graph(&text, &mut data).unwrap().same_as(&g));
}

/// The messages of a text with mistakes, without their codes.
fn mistakes(body: &str) -> String {
    let text = format!("graph @g(%x: f32[2], %m: bool[2]) -> f32[2] {{\n{body}\n}}");
    parse_graph(&text, &mut data).unwrap_err().to_string()
}

#[test]
fn every_mistake_is_reported_once_at_its_place() {
    let found = mistakes(
        r#"  %a: f32[2] = exq(%x)
  %b: f32[2 = exp(%x)
  %c: q8[2] = exp(%x)
  %d: f32[2] = exp(%xx, axis=1)
  %e: f32[2] = softmax(%x)
  %f: f32[2] = add(%x, true)
  %g: f32[2] = iff(1.0 %x)
  %x: f32[2] = add(%a, %b)
  %h: f32[3] = constant([1.0, 2.0])
  @w: f32[2]
  @enc.weight: f32[2]
  %i: f32[2] = add(%x, %h),
  %j: f32[2] = add(1.0, 2.0)
  §
  return %a, %zz"#,
    );
    insta::assert_snapshot!(found, @"
    TL0305: line 2, column 16: found 'exq', expected an operator (did you mean eq?)
    TL0301: line 3, column 13: found '=', expected ',' or a closing bracket
    TL0307: line 4, column 7: found 'q8', expected bool, u8 to u64, i8 to i64, f32 or f64
    TL0306: line 5, column 16: found exp: unknown attribute 'axis' (known: ), expected its attributes
    TL0303: line 5, column 20: found %xx, expected a name defined above (did you mean %x?)
    TL0306: line 6, column 16: found softmax: attribute axis is missing, expected its attributes
    TL0308: line 7, column 24: found 'true', expected a number of dtype f32
    TL0301: line 8, column 24: found '%x', expected ',' or ')'
    TL0304: line 9, column 3: found a second %x, expected a name not used above
    TL0308: line 10, column 25: found 2 numbers, expected those of f32[3]
    TL0309: line 11, column 3: found no tensor 'w', expected its data beside the text
    TL0309: line 12, column 3: found a tensor 'enc.weight' of f32[3], expected f32[2]
    TL0301: line 13, column 27: found ',', expected a value, a parameter, 'return' or '}'
    TL0308: line 14, column 20: found '1.0', expected a value beside it (a number takes the type of a value; write a constant)
    TL0302: line 15, column 3: found '§', expected a name, number, text or punctuation
    TL0303: line 16, column 14: found %zz, expected a name defined above
    ");
}

#[test]
fn violations_of_parsed_graphs_carry_their_lines() {
    let found = mistakes(
        "  %a: f32[3] = exp(%x)\n  %b: f32[2] = add(%x, %m)\n  %c: f32[4] = concat(%x, %x)\n  return %a",
    );
    insta::assert_snapshot!(found, @"
    TL0322: line 2: exp: result 0 declared f32[3], expected f32[2]
    TL0322: line 3: add: C2: add takes numbers of one dtype, found (f32, bool)
    TL0328: line 5: @g: returns (f32[3]), declared (f32[2])
    ");
}

#[test]
fn a_graph_may_be_read_unverified() {
    let text = "graph @g(%x: f32[2]) -> f32[2] {\n  %y: i8[7] = exp(%x)\n  return %y\n}";
    let parsed = parse_graph_unverified(text, &mut data).unwrap();
    assert_eq!(parsed.graph.ty(parsed.graph.results()[0].value).to_string(), "i8[7]");
    assert_eq!(parsed.verify().unwrap_err().len(), 2);
}

#[test]
fn mutated_texts_never_panic() {
    let text = r#"graph @g(%x: f32[B, floordiv(B, 2)], %"a b": i64[]) -> (f32[B, 2], i64[]) {
  @enc.weight: f32[3]
  %c: f32[2, 1] = constant([[1.0], [nan:0x7fc00001]])
  %d: f32[2, 1] = mul(%c, -2e-3)
  return x: %d, "y": %"a b" // end
}"#;
    for at in 0..text.len() {
        let _ = parse_graph(&text[..at], &mut data);
        for with in ["", "[", "]", "(", ")", "{", "}", "\"", "%", ",", "-", "\\", "\n", "9", "é"] {
            let mutated = format!("{}{with}{}", &text[..at], &text[at + 1..]);
            let _ = parse_graph(&mutated, &mut data);
        }
    }
    for open in ["(", "[", "{", "graph @g(", "%a: f32["] {
        let _ = parse_graph(&open.repeat(20_000), &mut data);
    }
    let deep = format!("graph @g() -> () {{\n %c: f32[1] = constant({}\n}}", "[".repeat(50_000));
    assert!(parse_graph(&deep, &mut data).is_err());
}
