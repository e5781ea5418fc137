//! Loads along the rows of a tile: squares transposed in registers, with every tail.

use super::common::{bytes_of, compile, floats_of, load, of_tile, run, store, targets};
use tracelift_loops::{BufferKind, Inst, Kernel, ValueId};
use tracelift_scalar::{IndexExpr, Op};
use tracelift_tensor::DType;

/// `y[r, c] = -x[c, r]` with one tile.
pub fn transpose(rows: usize, columns: usize) -> Kernel {
    let mut kernel = Kernel { name: format!("transpose_{rows}x{columns}"), ..Kernel::default() };
    let n = rows * columns;
    let x = kernel.add_buffer("x", DType::F32, n, BufferKind::Input);
    let y = kernel.add_buffer("y", DType::F32, n, BufferKind::Output);
    let [r, c] = [("r", rows), ("c", columns)].map(|(s, e)| kernel.add_axis(s, e));
    let axis = IndexExpr::axis;
    let insts = vec![
        load(&kernel, x, axis(c).scale(rows as i64).add(&axis(r))),
        Inst::Apply(Op::Neg, vec![ValueId(0)]),
        store(y, axis(r).scale(columns as i64).add(&axis(c)), ValueId(1)),
    ];
    of_tile(kernel, r, c, insts)
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
