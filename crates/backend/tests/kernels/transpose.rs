//! Loads along the rows of a tile: squares transposed in registers, with every tail.

use super::common::{bytes_of, compile, floats_of, run, targets};
use tracelift_loops::{BufferKind, Inst, Kernel, Place, Stmt, Tile, ValueId};
use tracelift_scalar::{IndexExpr, Op};
use tracelift_tensor::{DType, Scalar};

/// `y[r, c] = -x[c, r]` with one tile.
pub fn transpose(rows: usize, columns: usize) -> Kernel {
    let mut kernel = Kernel { name: format!("transpose_{rows}x{columns}"), ..Kernel::default() };
    let n = rows * columns;
    let x = kernel.add_buffer("x", DType::F32, n, BufferKind::Input);
    let y = kernel.add_buffer("y", DType::F32, n, BufferKind::Output);
    let [r, c] = [("r", rows), ("c", columns)].map(|(s, e)| kernel.add_axis(s, e));
    let axis = IndexExpr::axis;
    let place = |buffer, index| Place { buffer, index, dynamic: Vec::new() };
    let insts = vec![
        Inst::Load {
            place: place(x, axis(c).scale(rows as i64).add(&axis(r))),
            guards: Vec::new(),
            fill: Scalar::zero(DType::F32),
        },
        Inst::Apply(Op::Neg, vec![ValueId(0)]),
        Inst::Store {
            place: place(y, axis(r).scale(columns as i64).add(&axis(c))),
            guards: Vec::new(),
            condition: None,
            value: ValueId(1),
        },
    ];
    let n_init = insts.len();
    let tile = Tile { rows: r, columns: c, loops: vec![], unroll: 1, insts, n_init, n_body: 0 };
    kernel.body = vec![Stmt::Tile(tile)];
    kernel
}

#[test]
fn squares_are_transposed_at_every_tail() {
    let kernels: Vec<Kernel> =
        (1..=17).flat_map(|rows| (1..=33).map(move |columns| transpose(rows, columns))).collect();
    for target in targets() {
        let code = compile(&kernels, target);
        for (kernel, &entry) in kernels.iter().zip(code.entries()) {
            let [rows, columns] = [0, 1].map(|a| kernel.axes[a].extent);
            let x: Vec<f32> = (0..rows * columns).map(|i| i as f32 - 100.5).collect();
            let mut operands = [bytes_of(&x), vec![0xff; 4 * rows * columns]];
            run(entry, kernel, &mut operands);
            let expected = (0..rows * columns).map(|i| -x[i % columns * rows + i / columns]);
            assert_eq!(floats_of(&operands[1]), expected.collect::<Vec<_>>(), "{}", kernel.name);
        }
    }
}
