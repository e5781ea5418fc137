//! The values that accumulators carry into the next iteration.

use super::Selector;
use crate::emit::x86_64::program::{Source, V, VInst};

impl Selector<'_, '_, '_> {
    /// Gives accumulators their next values: in place where the old value is not read after the
    /// new one exists, else by moves at the end.
    pub(super) fn update(&mut self, begin: usize, moves: &[(V, V)]) {
        const NEVER: usize = usize::MAX;
        let n = self.program.classes.len();
        let mut is_held = vec![false; n];
        let mut n_moves = vec![0u32; n];
        for &(held, next) in moves {
            is_held[held as usize] = true;
            n_moves[next as usize] += 1;
        }
        let (mut last_read, mut defined) = (vec![NEVER; n], vec![NEVER; n]);
        let mut n_defs = vec![0u32; n];
        for (at, inst) in self.program.insts[begin..].iter().enumerate() {
            inst.reads().for_each(|v| last_read[v as usize] = at);
            if let Some(v) = inst.def() {
                defined[v as usize] = defined[v as usize].min(at);
                n_defs[v as usize] += 1;
            }
        }
        let mut late: Vec<(V, V)> = Vec::new();
        let mut stands_for: Vec<V> = (0..n as V).collect();
        for &(to, next) in moves {
            let (def, read) = (defined[next as usize], last_read[to as usize]);
            let in_place =
                def != NEVER && n_moves[next as usize] == 1 && (read == NEVER || read <= def);
            // An accumulator of another slot is read by a move after it may have changed.
            if in_place && !is_held[next as usize] {
                stands_for[next as usize] = to;
                // So are the sums before it, each of which only the next one reads.
                let mut at = def;
                while let Some(before) = addend(&self.program.insts[begin + at]) {
                    let v = before as usize;
                    let is_last = last_read[v] == at && !is_held[v] && n_moves[v] == 0;
                    let in_place = defined[v] != NEVER && (read == NEVER || read <= defined[v]);
                    if !is_last || !in_place || n_defs[v] != 1 {
                        break;
                    }
                    stands_for[v] = to;
                    at = defined[v];
                }
            } else {
                late.push((to, next));
            }
        }
        for inst in &mut self.program.insts[begin..] {
            inst.registers(&mut |v| *v = stands_for[*v as usize]);
        }
        let swaps = late.iter().any(|(_, next)| is_held[*next as usize]);
        let mut copies = late.clone();
        if swaps {
            for (_, next) in &mut copies {
                let to = self.register(self.program.classes[*next as usize]);
                self.push(VInst::Move { to, from: *next });
                *next = to;
            }
        }
        for (to, from) in copies {
            self.push(VInst::Move { to, from });
        }
    }
}

/// The operand that an instruction adds to, where it adds.
fn addend(inst: &VInst) -> Option<V> {
    match inst {
        VInst::Fma { z: Source::Register(z), .. } => Some(*z),
        _ => None,
    }
}
