//! Folds loads and literals into the instructions that use them, and drops what is left unused.

use super::{
    Width,
    program::{One, Source, V, VInst, VProgram},
};

/// What a register could be replaced by.
#[derive(Clone, Copy)]
struct Candidate {
    source: Source,
    at: usize,
}

/// Folds memory operands in; those that are broadcast also where they have several uses, if
/// `repeats`, which loads more often and takes no register.
pub(super) fn fold_memory(program: &mut VProgram, width: Width, repeats: bool) {
    let n = program.classes.len();
    let (mut n_defs, mut n_uses) = (vec![0u32; n], vec![0u32; n]);
    for inst in &program.insts {
        if let Some(v) = inst.def() {
            n_defs[v as usize] += 1;
        }
        for v in inst.reads() {
            n_uses[v as usize] += 1;
        }
    }
    let mut candidates: Vec<Option<Candidate>> = vec![None; n];
    // Positions before which nothing may move down to here.
    let (mut last_store, mut last_loop) = (0, 0);
    for at in 0..program.insts.len() {
        let take = |v: V| -> Option<Source> {
            let candidate = candidates[v as usize]?;
            let fits = match candidate.source {
                Source::Literal(_) | Source::WideLiteral(_) => true,
                _ => candidate.at >= last_store && candidate.at >= last_loop,
            };
            fits.then_some(candidate.source)
        };
        let inst = &mut program.insts[at];
        fold_into(inst, width, &take);
        match *inst {
            VInst::Load { to, from, mask: None } if is_single(&n_defs, &n_uses, to) => {
                candidates[to as usize] = Some(Candidate { source: Source::Vector(from), at });
            }
            VInst::Splat { to, from }
                if width == Width::Zmm
                    && n_defs[to as usize] == 1
                    && (repeats || n_uses[to as usize] == 1) =>
            {
                candidates[to as usize] = Some(Candidate { source: Source::Splat(from), at });
            }
            VInst::Literal { to, bits } if n_defs[to as usize] == 1 => {
                candidates[to as usize] = Some(Candidate { source: Source::Literal(bits), at });
            }
            VInst::WideLiteral { to, bits } if n_defs[to as usize] == 1 => {
                candidates[to as usize] = Some(Candidate { source: Source::WideLiteral(bits), at });
            }
            VInst::Store { .. } | VInst::StoreOne { .. } => last_store = at,
            VInst::LoopStart { .. } | VInst::LoopEnd { .. } | VInst::Rewind { .. } => {
                last_loop = at;
            }
            _ => {}
        }
    }
    remove_unused(program);
}

fn is_single(n_defs: &[u32], n_uses: &[u32], v: V) -> bool {
    n_defs[v as usize] == 1 && n_uses[v as usize] == 1
}

fn fold_into(inst: &mut VInst, width: Width, take: &impl Fn(V) -> Option<Source>) {
    let fold = |s: &mut Source| {
        if let Source::Register(v) = *s
            && let Some(source) = take(v)
        {
            *s = source;
        }
    };
    match inst {
        VInst::One { op, a, .. } => {
            let shifts =
                matches!(op, One::ShiftLeft(_) | One::ShiftRight(_) | One::ShiftRightSigned(_))
                    || matches!(op, One::ShiftLeftWide(_) | One::ShiftRightWide(_));
            if !(shifts && width == Width::Ymm) {
                fold(a);
            }
        }
        VInst::Two { op, a, b, .. } => {
            if op.commutes()
                && let Source::Register(v) = *b
                && take(v).is_none()
                && take(*a).is_some()
            {
                (*a, *b) = (v, Source::Register(*a));
            }
            fold(b);
        }
        VInst::Compare { b, .. } => fold(b),
        VInst::Choose { x, .. } => fold(x),
        VInst::Fma { x, y, z, .. } => {
            fold(z);
            if !matches!(z, Source::Register(_)) {
                return;
            }
            if let Source::Register(v) = *y
                && take(v).is_none()
                && take(*x).is_some()
            {
                (*x, *y) = (v, Source::Register(*x));
            }
            fold(y);
        }
        _ => {}
    }
}

/// The program with each literal that is left loaded once, at the start; `None` where none is
/// loaded twice.
pub(super) fn share_literals(program: &VProgram) -> Option<VProgram> {
    let mut n_defs = vec![0u32; program.classes.len()];
    program.insts.iter().filter_map(VInst::def).for_each(|v| n_defs[v as usize] += 1);
    let in_loops = program.insts.iter().any(|inst| matches!(inst, VInst::LoopStart { .. }));
    let mut shared: Vec<(u32, V)> = Vec::new();
    let mut stands_for: Vec<Option<V>> = vec![None; program.classes.len()];
    let mut n_loads = 0;
    for inst in &program.insts {
        if let VInst::Literal { to, bits } = *inst
            && n_defs[to as usize] == 1
        {
            n_loads += 1;
            let known = shared.iter().find(|(b, _)| *b == bits).map(|(_, v)| *v);
            if known.is_none() {
                shared.push((bits, to));
            }
            stands_for[to as usize] = Some(known.unwrap_or(to));
        }
    }
    if n_loads == shared.len() && !in_loops {
        return None;
    }
    let mut insts: Vec<VInst> =
        shared.iter().map(|&(bits, to)| VInst::Literal { to, bits }).collect();
    for inst in &program.insts {
        if inst.def().is_some_and(|v| stands_for[v as usize].is_some()) {
            continue;
        }
        let mut inst = inst.clone();
        inst.registers(&mut |v| *v = stands_for[*v as usize].unwrap_or(*v));
        insts.push(inst);
    }
    Some(VProgram { insts, classes: program.classes.clone() })
}

fn remove_unused(program: &mut VProgram) {
    let mut n_uses = vec![0u32; program.classes.len()];
    for inst in &program.insts {
        inst.reads().for_each(|v| n_uses[v as usize] += 1);
    }
    let mut kept = Vec::with_capacity(program.insts.len());
    for inst in program.insts.drain(..).rev() {
        if inst.def().is_some_and(|v| n_uses[v as usize] == 0) {
            inst.reads().for_each(|v| n_uses[v as usize] -= 1);
        } else {
            kept.push(inst);
        }
    }
    kept.reverse();
    program.insts = kept;
}
