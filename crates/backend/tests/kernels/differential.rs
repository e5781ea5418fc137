//! Compiled kernels against the interpreter, bit for bit.

use super::common::{compile, load, of_tile, run, store, targets};
use super::random::{self, Random, TABLE};
use tracelift_backend::JitCode;
use tracelift_loops::{BufferKind, Inst, Kernel, ValueId, interpret};
use tracelift_scalar::{Expr, IndexExpr, Op, expansion_of};
use tracelift_tensor::{DType, Scalar};

/// Equal bits, but for the payload of NaN and, where wanted, the sign of zero.
fn agree(dtype: DType, x: &[u8], y: &[u8], signed_zero: bool) -> bool {
    let number = |b: &[u8]| {
        let mut wide = [0; 8];
        wide[..b.len()].copy_from_slice(b);
        Scalar::from_bits(dtype, u64::from_le_bytes(wide))
    };
    let (a, b) = (number(x), number(y));
    x == y
        || dtype.is_float()
            && (a.to_f64().is_nan() && b.to_f64().is_nan()
                || !signed_zero && a.to_f64() == 0.0 && b.to_f64() == 0.0)
}

/// All ops over these dtypes: `y = op(a, b, …)` on a tile of 3 × 17.
fn op_kernel(op: Op, dtypes: &[DType], strided: bool, literal: Option<Scalar>) -> Option<Kernel> {
    let result = op.result_dtype(dtypes).ok()?;
    let mut kernel = Kernel { name: format!("{}_{}", op.name(), dtypes[0]), ..Kernel::default() };
    let row = kernel.add_axis("r", 3);
    let column = kernel.add_axis("c", 17);
    let axis = IndexExpr::axis;
    let index = match strided {
        true => axis(column).scale(3).add(&axis(row)),
        false => axis(row).scale(17).add(&axis(column)),
    };
    let mut insts = Vec::new();
    for (k, &dtype) in dtypes.iter().enumerate() {
        let buffer = kernel.add_buffer(&format!("x{k}"), dtype, 51, BufferKind::Input);
        insts.push(load(&kernel, buffer, index.clone()));
    }
    let mut operands: Vec<ValueId> = (0..dtypes.len() as u32).map(ValueId).collect();
    if let Some(literal) = literal {
        insts.push(Inst::Const(literal));
        *operands.last_mut().expect("an operation has operands") = ValueId(dtypes.len() as u32);
    }
    insts.push(Inst::Apply(op, operands));
    let value = ValueId(insts.len() as u32 - 1);
    let buffer = kernel.add_buffer("y", result, 51, BufferKind::Output);
    insts.push(store(buffer, index, value));
    Some(of_tile(kernel, row, column, insts))
}

/// An operation, the dtypes of its operands, the literal that the last one is, and its kernel.
type Case = (Op, Vec<DType>, Option<Scalar>, Kernel);

/// Every operation on every dtype in vectors, single columns, strided columns and with literals;
/// what is no instruction agrees with its expansion.
#[test]
fn every_operation_agrees_with_its_meaning() {
    let mut random = Random(1);
    let mut cases = Vec::new();
    let casts = DType::ALL.iter().flat_map(|&d| [Op::Cast(d), Op::Bitcast(d)]);
    for op in Op::ALL.iter().copied().chain(casts) {
        for dtype in DType::ALL {
            let mut dtypes = vec![dtype; op.arity()];
            if op == Op::Select {
                dtypes[0] = DType::Bool;
            }
            let plain = [(false, None), (true, None)];
            let literals = (op.arity() > 1).then(|| (false, Some(random.scalar(dtype))));
            let zero = (op.arity() > 1).then(|| (false, Some(Scalar::zero(dtype))));
            for (strided, literal) in plain.into_iter().chain(literals).chain(zero) {
                if let Some(kernel) = op_kernel(op, &dtypes, strided, literal) {
                    cases.push((op, dtypes.clone(), literal, kernel));
                }
            }
        }
    }
    let kernels: Vec<Kernel> = cases.iter().map(|c| c.3.clone()).collect();
    for target in targets() {
        let code = compile(&kernels, target);
        agree_with_meaning(&cases, &code, &mut random);
    }
}

fn agree_with_meaning(cases: &[Case], code: &JitCode, random: &mut Random) {
    for ((op, dtypes, literal, kernel), &entry) in cases.iter().zip(code.entries()) {
        let expr = match expansion_of(*op, *dtypes.last().expect("operands")) {
            Some(expr) => expr,
            None => Expr::of_op(*op, dtypes).expect("the dtypes fit"),
        };
        let result = expr.dtype();
        let mut operands: Vec<Vec<u8>> = dtypes.iter().map(|&d| random.bytes(d, 51)).collect();
        operands.push(vec![0; 51 * result.size_bytes()]);
        let inputs = operands.clone();
        run(entry, kernel, &mut operands);
        let size = result.size_bytes();
        let found = operands.last().expect("an output");
        for (at, found) in found.chunks_exact(size).enumerate() {
            let element = |(bytes, dtype): (&Vec<u8>, &DType)| {
                let size = dtype.size_bytes();
                let mut wide = [0; 8];
                wide[..size].copy_from_slice(&bytes[at * size..][..size]);
                Scalar::from_bits(*dtype, u64::from_le_bytes(wide))
            };
            let mut args: Vec<Scalar> = inputs.iter().zip(dtypes).map(element).collect();
            if let Some(literal) = literal {
                *args.last_mut().expect("operands") = *literal;
            }
            let expected = expr.eval(&args, &[]);
            let bytes = &expected.to_bits().to_le_bytes()[..size];
            assert!(
                agree(result, bytes, found, true),
                "{} of {args:?} at column {}: expected {expected:?}, found {found:x?}",
                op.name(),
                at % 17
            );
        }
    }
}

fn operands_of(kernel: &Kernel, random: &mut Random) -> Vec<Vec<u8>> {
    let bytes = kernel.buffers.iter().map(|buffer| match buffer.name.as_str() {
        "index" => (0..buffer.len).flat_map(|_| random.below(TABLE).to_le_bytes()).collect(),
        _ => random.bytes(buffer.dtype, buffer.len),
    });
    bytes.collect()
}

fn folds_floats(kernel: &Kernel) -> bool {
    let mut found = false;
    kernel.for_each_tile(&mut |tile| {
        found |= tile.insts.iter().any(|i| matches!(i, Inst::FoldColumns(..)));
    });
    found
}

#[test]
fn random_kernels_agree_with_the_interpreter() {
    for batch in 0..40 {
        let seeds: Vec<u64> = (0..25).map(|k| 1000 * batch + k).collect();
        let kernels: Vec<Kernel> = seeds.iter().map(|&s| random::kernel(&mut Random(s))).collect();
        let codes: Vec<_> = targets().into_iter().map(|t| compile(&kernels, t)).collect();
        for (k, (kernel, &seed)) in kernels.iter().zip(&seeds).enumerate() {
            let mut random = Random(!seed);
            let inputs = operands_of(kernel, &mut random);
            let mut expected = inputs.clone();
            interpret(kernel, &mut expected);
            for code in &codes {
                let mut found = inputs.clone();
                run(code.entries()[k], kernel, &mut found);
                let signed_zero = !folds_floats(kernel);
                for ((buffer, x), y) in kernel.buffers.iter().zip(&expected).zip(&found) {
                    let size = buffer.dtype.size_bytes();
                    let pairs = x.chunks_exact(size).zip(y.chunks_exact(size));
                    for (at, (x, y)) in pairs.enumerate() {
                        assert!(
                            agree(buffer.dtype, x, y, signed_zero),
                            "seed {seed}: {}[{at}]: expected {x:x?}, found {y:x?}\n{kernel:#?}",
                            buffer.name
                        );
                    }
                }
            }
        }
    }
}
