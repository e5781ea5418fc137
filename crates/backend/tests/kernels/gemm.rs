//! A matrix product: addresses, accumulators, unrolling and tails.

use super::common::{bytes_of, compile, floats_of, run, targets};
use tracelift_loops::{BufferKind, Inst, Kernel, Place, Stmt, Tile, ValueId, interpret};
use tracelift_scalar::{IndexExpr, Op};
use tracelift_tensor::{DType, Scalar};

/// `c = a · b` with tiles of `rows × columns`, which divide `m` and `n`.
pub fn gemm(m: usize, n: usize, k: usize, rows: usize, columns: usize, unroll: usize) -> Kernel {
    let mut kernel = Kernel { name: format!("f32_gemm_{rows}x{columns}"), ..Kernel::default() };
    let a = kernel.add_buffer("a", DType::F32, m * k, BufferKind::Input);
    let b = kernel.add_buffer("b", DType::F32, k * n, BufferKind::Input);
    let c = kernel.add_buffer("c", DType::F32, m * n, BufferKind::Output);
    let mo = kernel.add_axis("mo", m / rows);
    let no = kernel.add_axis("no", n / columns);
    let [row, column, depth] =
        [("row", rows), ("column", columns), ("depth", k)].map(|(s, e)| kernel.add_axis(s, e));
    let axis = IndexExpr::axis;
    let at_row = axis(mo).scale(rows as i64).add(&axis(row));
    let at_column = axis(no).scale(columns as i64).add(&axis(column));
    let load = |buffer, index| Inst::Load {
        place: Place { buffer, index, dynamic: Vec::new() },
        guards: Vec::new(),
        fill: Scalar::zero(DType::F32),
    };
    let v = ValueId;
    let tile = Tile {
        rows: row,
        columns: column,
        loops: vec![depth],
        unroll,
        insts: vec![
            Inst::Const(Scalar::zero(DType::F32)),
            Inst::Accumulator(v(0)),
            load(a, at_row.scale(k as i64).add(&axis(depth))),
            load(b, axis(depth).scale(n as i64).add(&at_column)),
            Inst::Apply(Op::Fma, vec![v(2), v(3), v(1)]),
            Inst::Update { accumulator: v(1), value: v(4) },
            Inst::Store {
                place: Place {
                    buffer: c,
                    index: at_row.scale(n as i64).add(&at_column),
                    dynamic: Vec::new(),
                },
                guards: Vec::new(),
                condition: None,
                value: v(1),
            },
        ],
        n_init: 2,
        n_body: 4,
    };
    kernel.grid = vec![mo, no];
    kernel.body = vec![Stmt::Tile(tile)];
    kernel
}

fn check(m: usize, n: usize, k: usize, rows: usize, columns: usize, unroll: usize) {
    let kernel = gemm(m, n, k, rows, columns, unroll);
    let number = |i: usize| (i * 37 % 101) as f32 / 50.0 - 1.0;
    let a: Vec<f32> = (0..m * k).map(number).collect();
    let b: Vec<f32> = (0..k * n).map(|i| number(i + 7)).collect();
    for target in targets() {
        let code = compile(std::slice::from_ref(&kernel), target);
        let mut operands = [bytes_of(&a), bytes_of(&b), vec![0xff; 4 * m * n]];
        run(code.entries()[0], &kernel, &mut operands);
        let c = floats_of(&operands[2]);
        for i in 0..m {
            for j in 0..n {
                let expected =
                    (0..k).fold(0.0f32, |sum, p| a[i * k + p].mul_add(b[p * n + j], sum));
                assert_eq!(c[i * n + j], expected, "({i}, {j}) of {}", kernel.name);
            }
        }
    }
}

#[test]
fn products_are_exact_at_every_tail() {
    check(10, 16, 256, 5, 8, 4);
    for k in [0, 1, 2, 3, 4, 5, 9] {
        check(4, 12, k, 2, 6, 4);
    }
    for columns in (1..=9).chain([15, 16, 17, 31, 33, 48, 63, 64, 65]) {
        check(3, 2 * columns, 7, 3, columns, 2);
    }
    for rows in 1..=14 {
        check(rows, 64, 9, rows, 64, 4);
    }
    check(28, 16, 5, 28, 16, 1);
}

/// `c = erf(a · b) · a · b`: a tile that fills the registers with sums, of which the operations after
/// the loop need many.
pub fn gemm_and_more(k: usize, rows: usize, columns: usize) -> Kernel {
    let mut kernel = gemm(rows, columns, k, rows, columns, 4);
    let Stmt::Tile(tile) = &mut kernel.body[0] else { unreachable!("a product is one tile") };
    let Some(Inst::Store { value, .. }) = tile.insts.last_mut() else {
        unreachable!("a product ends with a store")
    };
    *value = ValueId(7);
    let (sum, erf) = (ValueId(1), ValueId(6));
    tile.insts.insert(6, Inst::Apply(Op::Erf, vec![sum]));
    tile.insts.insert(7, Inst::Apply(Op::Mul, vec![erf, sum]));
    kernel
}

/// `c = a · b + a · b`, both products added to the same sum one after the other.
pub fn gemm_twice(k: usize, rows: usize, columns: usize) -> Kernel {
    let mut kernel = gemm(rows, columns, k, rows, columns, 1);
    let Stmt::Tile(tile) = &mut kernel.body[0] else { unreachable!("a product is one tile") };
    let v = ValueId;
    tile.insts.insert(5, Inst::Apply(Op::Fma, vec![v(3), v(2), v(4)]));
    tile.insts[6] = Inst::Update { accumulator: v(1), value: v(5) };
    tile.n_body += 1;
    kernel
}

#[test]
fn what_follows_a_full_tile_is_computed() {
    for (rows, columns) in [(4, 24), (6, 16), (3, 25), (6, 64), (7, 64)] {
        let kernel = gemm_and_more(9, rows, columns);
        let number = |i: usize| (i * 37 % 101) as f32 / 50.0 - 1.0;
        let inputs: Vec<Vec<u8>> = (0..2)
            .map(|k| bytes_of(&(0..kernel.buffers[k].len).map(number).collect::<Vec<f32>>()))
            .collect();
        let operands = [inputs, vec![vec![0xff; 4 * rows * columns]]].concat();
        let mut expected = operands.clone();
        interpret(&kernel, &mut expected);
        for target in targets() {
            let code = compile(std::slice::from_ref(&kernel), target);
            let mut found = operands.clone();
            run(code.entries()[0], &kernel, &mut found);
            // Compiled code approximates `erf`.
            for (x, y) in floats_of(&found[2]).into_iter().zip(floats_of(&expected[2])) {
                assert!((x - y).abs() <= 1e-5, "{}: {x}, expected {y}", kernel.name);
            }
        }
    }
}
