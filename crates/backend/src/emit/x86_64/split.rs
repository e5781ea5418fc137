//! Values of a loop under other names after it.
//!
//! A register that is spilled lives in memory throughout. What a loop accumulates is often read long
//! after, where other values want registers: under a name of its own it is spilled there alone.

use super::program::{V, VInst, VProgram};

/// Moves what outermost loops access, and what comes after them reads, to registers of its own at
/// the end of each. Where both names get the same register, nothing is moved.
pub(super) fn split_after_loops(program: &VProgram) -> VProgram {
    let mut last_read = vec![0; program.classes.len()];
    for (at, inst) in program.insts.iter().enumerate() {
        inst.reads().for_each(|v| last_read[v as usize] = at);
    }
    let mut names: Vec<V> = (0..program.classes.len() as V).collect();
    let mut out = VProgram {
        insts: Vec::with_capacity(program.insts.len()),
        classes: program.classes.clone(),
    };
    let (mut depth, mut start) = (0, 0);
    for (at, inst) in program.insts.iter().enumerate() {
        let mut inst = inst.clone();
        inst.registers(&mut |v| *v = names[*v as usize]);
        let (starts, ends) = match inst {
            VInst::LoopStart { .. } => (depth == 0, false),
            VInst::LoopEnd { .. } => (false, depth == 1),
            _ => (false, false),
        };
        match inst {
            VInst::LoopStart { .. } => depth += 1,
            VInst::LoopEnd { .. } => depth -= 1,
            _ => {}
        }
        out.insts.push(inst);
        if starts {
            start = at;
        }
        if ends {
            for v in accessed(&program.insts[start..at]) {
                if last_read[v as usize] > at {
                    let to = out.register(program.classes[v as usize]);
                    out.insts.push(VInst::Move { to, from: names[v as usize] });
                    names[v as usize] = to;
                }
            }
        }
    }
    out
}

/// The registers that instructions access, each once.
fn accessed(insts: &[VInst]) -> Vec<V> {
    let mut out: Vec<V> = insts.iter().flat_map(|i| i.reads().chain(i.def())).collect();
    out.sort_unstable();
    out.dedup();
    out
}
