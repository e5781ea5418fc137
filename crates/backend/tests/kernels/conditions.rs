//! Bools loaded from memory, one for each element and one for each row, with every tail.

use super::common::{bytes_of, compile, floats_of, load, of_tile, run, store, targets};
use tracelift_loops::{BufferKind, Inst, Kernel, ValueId};
use tracelift_scalar::{IndexExpr, Op};
use tracelift_tensor::{DType, Scalar};

/// `y[r, c] = x[r, c] where keeps[r, c] and not drops[r], else 0` with one tile.
pub fn masked(rows: usize, columns: usize) -> Kernel {
    let mut kernel = Kernel { name: format!("masked_{rows}x{columns}"), ..Kernel::default() };
    let n = rows * columns;
    let x = kernel.add_buffer("x", DType::F32, n, BufferKind::Input);
    let keeps = kernel.add_buffer("keeps", DType::Bool, n, BufferKind::Input);
    let drops = kernel.add_buffer("drops", DType::Bool, rows, BufferKind::Input);
    let y = kernel.add_buffer("y", DType::F32, n, BufferKind::Output);
    let [r, c] = [("r", rows), ("c", columns)].map(|(s, e)| kernel.add_axis(s, e));
    let row = IndexExpr::axis(r);
    let element = row.scale(columns as i64).add(&IndexExpr::axis(c));
    let insts = vec![
        load(&kernel, x, element.clone()),
        load(&kernel, keeps, element.clone()),
        load(&kernel, drops, row),
        Inst::Apply(Op::Not, vec![ValueId(2)]),
        Inst::Apply(Op::And, vec![ValueId(1), ValueId(3)]),
        Inst::Const(Scalar::F32(0.0)),
        Inst::Apply(Op::Select, vec![ValueId(4), ValueId(0), ValueId(5)]),
        store(y, element, ValueId(6)),
    ];
    of_tile(kernel, r, c, insts)
}

#[test]
fn bools_in_memory_choose_at_every_tail() {
    let pairs = [1, 3].into_iter().flat_map(|rows| (1..=49).map(move |columns| (rows, columns)));
    let kernels: Vec<Kernel> = pairs.map(|(rows, columns)| masked(rows, columns)).collect();
    for target in targets() {
        let code = compile(&kernels, target);
        for (kernel, &entry) in kernels.iter().zip(code.entries()) {
            let [rows, columns] = [0, 1].map(|a| kernel.axes[a].extent);
            let n = rows * columns;
            let x: Vec<f32> = (0..n).map(|i| i as f32 + 0.5).collect();
            let keeps: Vec<u8> = (0..n).map(|i| u8::from(i % 3 != 1)).collect();
            let drops: Vec<u8> = (0..rows).map(|r| u8::from(r == 1)).collect();
            let expected = (0..n).map(|i| match keeps[i] == 1 && drops[i / columns] == 0 {
                true => x[i],
                false => 0.0,
            });
            let expected: Vec<f32> = expected.collect();
            let mut operands = [bytes_of(&x), keeps, drops, vec![0xff; 4 * n]];
            run(entry, kernel, &mut operands);
            assert_eq!(floats_of(&operands[3]), expected, "{} for {target:?}", kernel.name);
        }
    }
}
