//! Linear-scan register allocation over a tile's virtual registers.
//!
//! Source: Poletto & Sarkar, "Linear scan register allocation", TOPLAS 21(5), 1999. A spilled register
//! lives in memory throughout; instructions bring it in through scratch registers, which hold other
//! values only where no instruction does so.

use std::ops::Range;

use super::{
    Width,
    program::{Class, V, VInst, VProgram},
};

/// Where a virtual register lives.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Home {
    /// A register of its class.
    Register(u8),
    /// A slot of the frame, the size of a vector.
    Slot(u32),
}

/// The homes of all virtual registers.
pub(super) struct Allocation {
    pub(super) homes: Vec<Home>,
    pub(super) n_slots: u32,
    /// The accesses of slots where loops are deepest, which is all of a program without loops.
    pub(super) n_hot: usize,
}

/// The positions at which a virtual register holds a value.
#[derive(Clone, Copy, Debug)]
struct Interval {
    v: usize,
    start: usize,
    end: usize,
    /// Accesses, those in loops counting more, by position covered.
    weight: f32,
}

/// The scratch registers of each class, kept free where spilled registers are accessed.
pub(super) fn scratch(width: Width, class: Class) -> [u8; 3] {
    match (class, width) {
        (Class::Vector, Width::Zmm) => [29, 30, 31],
        (Class::Vector, Width::Ymm) => [13, 14, 15],
        (Class::Mask, _) => [5, 6, 7],
    }
}

/// The registers of a class; mask 0 means "no mask".
fn pool(width: Width, class: Class) -> Range<u8> {
    match class {
        Class::Vector => 0..width.n_registers() as u8,
        Class::Mask => 1..8,
    }
}

/// Assigns a register of the machine to every virtual one, if there are enough.
pub(super) fn without_spills(program: &VProgram, width: Width) -> Option<Allocation> {
    let intervals = intervals(program);
    if !fits(program, &intervals, width) {
        return None;
    }
    let spilled = vec![false; program.classes.len()];
    let homes = scan(program, &intervals, width, &spilled).ok()?;
    Some(Allocation { homes, n_slots: 0, n_hot: 0 })
}

/// Whether there are enough registers for the values that are live at once.
fn fits(program: &VProgram, intervals: &[Interval], width: Width) -> bool {
    let mut changes = vec![[0i32; 2]; program.insts.len() + 2];
    for interval in intervals {
        let class = class_index(program.classes[interval.v]);
        changes[interval.start][class] += 1;
        changes[interval.end.max(interval.start + 1)][class] -= 1;
    }
    let most = [Class::Vector, Class::Mask].map(|class| pool(width, class).len() as i32);
    let mut live = [0, 0];
    changes.iter().all(|change| {
        live[0] += change[0];
        live[1] += change[1];
        live[0] <= most[0] && live[1] <= most[1]
    })
}

fn class_index(class: Class) -> usize {
    usize::from(class == Class::Mask)
}

/// Assigns a home to every virtual register.
pub(super) fn allocate(program: &VProgram, width: Width) -> Allocation {
    let intervals = intervals(program);
    let mut spilled = vec![false; program.classes.len()];
    loop {
        match scan(program, &intervals, width, &spilled) {
            Ok(homes) => {
                let mut n_slots = 0;
                let homes = homes.into_iter().zip(&spilled).map(|(home, spilled)| {
                    if !spilled {
                        return home;
                    }
                    n_slots += 1;
                    Home::Slot(n_slots - 1)
                });
                let homes = homes.collect();
                return Allocation { homes, n_slots, n_hot: n_hot(program, &spilled) };
            }
            Err(victims) => victims.into_iter().for_each(|v| spilled[v] = true),
        }
    }
}

/// The accesses of spilled registers where loops are deepest.
fn n_hot(program: &VProgram, spilled: &[bool]) -> usize {
    let (mut depth, mut deepest, mut n) = (0, 0, 0);
    for inst in &program.insts {
        match inst {
            VInst::LoopStart { .. } => depth += 1,
            VInst::LoopEnd { .. } => depth -= 1,
            _ => {}
        }
        if depth > deepest {
            (deepest, n) = (depth, 0);
        }
        if depth == deepest {
            n += inst.reads().chain(inst.def()).filter(|v| spilled[*v as usize]).count();
        }
    }
    n
}

/// The positions at which spilled registers of a class go through scratch registers.
fn scratch_uses(program: &VProgram, spilled: &[bool], class: Class) -> Vec<usize> {
    if !spilled.contains(&true) {
        return Vec::new();
    }
    let is_spilled = |v: &V| spilled[*v as usize] && program.classes[*v as usize] == class;
    let goes_through = |inst: &VInst| match inst {
        VInst::Move { to, from } => is_spilled(to) && is_spilled(from),
        _ => inst.reads().chain(inst.def()).any(|v| is_spilled(&v)),
    };
    let positions = program.insts.iter().enumerate();
    positions.filter(|(_, inst)| goes_through(inst)).map(|(at, _)| at).collect()
}

/// The registers of a class that hold no value.
struct Free {
    registers: Vec<u8>,
    scratch: [u8; 3],
    /// Where scratch registers are overwritten, in order.
    scratch_uses: Vec<usize>,
}

impl Free {
    fn new(program: &VProgram, width: Width, spilled: &[bool], class: Class) -> Free {
        Free {
            registers: pool(width, class).rev().collect(),
            scratch: scratch(width, class),
            scratch_uses: scratch_uses(program, spilled, class),
        }
    }

    /// The registers that keep no value throughout an interval.
    fn overwritten(&self, interval: &Interval) -> &[u8] {
        let first = self.scratch_uses.partition_point(|&at| at < interval.start);
        let is_used = self.scratch_uses.get(first).is_some_and(|&at| at <= interval.end);
        if is_used { &self.scratch } else { &[] }
    }

    /// Takes a register that keeps a value throughout an interval, the hinted one if it does.
    fn take(&mut self, interval: &Interval, hint: Option<u8>) -> Option<u8> {
        let overwritten = self.overwritten(interval);
        let keeps = |r: &u8| !overwritten.contains(r);
        let at = hint.and_then(|h| self.registers.iter().position(|r| *r == h && keeps(r)));
        let at = at.or_else(|| self.registers.iter().rposition(keeps))?;
        Some(self.registers.remove(at))
    }
}

/// Tries to give every register that is not spilled one of the machine's; else names victims.
fn scan(
    program: &VProgram,
    intervals: &[Interval],
    width: Width,
    spilled: &[bool],
) -> Result<Vec<Home>, Vec<usize>> {
    let mut free =
        [Class::Vector, Class::Mask].map(|class| Free::new(program, width, spilled, class));
    let mut homes = vec![Home::Slot(u32::MAX); program.classes.len()];
    let mut active: Vec<Interval> = Vec::new();
    // No active interval ends before this.
    let mut first_end = usize::MAX;
    let mut victims = Vec::new();
    for interval in intervals.iter().filter(|i| !spilled[i.v]) {
        let class = program.classes[interval.v];
        if first_end <= interval.start {
            active.retain(|other| {
                let is_live = other.end > interval.start;
                if !is_live && let Home::Register(r) = homes[other.v] {
                    free[class_index(program.classes[other.v])].registers.push(r);
                }
                is_live
            });
            first_end = active.iter().map(|other| other.end).min().unwrap_or(usize::MAX);
        }
        let hint = hint(program, interval, &homes);
        let free = &mut free[class_index(class)];
        match free.take(interval, hint) {
            Some(r) => {
                homes[interval.v] = Home::Register(r);
                active.push(*interval);
                first_end = first_end.min(interval.end);
            }
            None => {
                let overwritten = free.overwritten(interval);
                let rivals = active.iter().filter(|o| {
                    program.classes[o.v] == class
                        && matches!(homes[o.v], Home::Register(r) if !overwritten.contains(&r))
                });
                let cheapest = rivals
                    .chain([interval])
                    .min_by(|a, b| a.weight.total_cmp(&b.weight))
                    .copied()
                    .unwrap_or(*interval);
                victims.push(cheapest.v);
                if cheapest.v != interval.v {
                    homes[interval.v] = homes[cheapest.v];
                    active.retain(|o| o.v != cheapest.v);
                    active.push(*interval);
                    first_end = first_end.min(interval.end);
                }
            }
        }
    }
    if victims.is_empty() { Ok(homes) } else { Err(victims) }
}

/// The register of an operand that the result best shares: the addend of an `Fma`, the source of a
/// move.
fn hint(program: &VProgram, interval: &Interval, homes: &[Home]) -> Option<u8> {
    use super::program::Source;
    let register = |v: u32| match homes[v as usize] {
        Home::Register(r) => Some(r),
        Home::Slot(_) => None,
    };
    match &program.insts[interval.start] {
        VInst::Fma { z: Source::Register(z), .. } => register(*z),
        VInst::Fma { x, .. } => register(*x),
        VInst::Move { from, .. } => register(*from),
        _ => None,
    }
}

fn intervals(program: &VProgram) -> Vec<Interval> {
    let ends = loop_ends(program);
    let mut out: Vec<Option<Interval>> = vec![None; program.classes.len()];
    // The loops around an instruction, outermost first: where they start and end.
    let mut around: Vec<(usize, usize)> = Vec::new();
    let mut n_loops = 0;
    let mut weight = 1.0;
    for (at, inst) in program.insts.iter().enumerate() {
        match inst {
            VInst::LoopStart { .. } => {
                around.push((at, ends[n_loops]));
                n_loops += 1;
                weight *= 10.0;
            }
            VInst::LoopEnd { .. } => {
                around.pop();
                weight /= 10.0;
            }
            _ => {}
        }
        let mut touch = |v: u32, is_written: bool| {
            let v = v as usize;
            let entry = out[v].get_or_insert(Interval { v, start: at, end: at, weight: 0.0 });
            entry.weight += weight;
            let mut end = at + usize::from(is_written);
            // A value that enters a loop is kept until the loop's last trip ends.
            if let Some(&(_, finish)) = around.iter().find(|(start, _)| entry.start < *start) {
                end = end.max(finish);
            }
            entry.end = entry.end.max(end);
        };
        inst.reads().for_each(|v| touch(v, false));
        inst.def().into_iter().for_each(|v| touch(v, true));
    }
    let mut list: Vec<Interval> = out.into_iter().flatten().collect();
    for interval in &mut list {
        interval.weight /= (interval.end - interval.start + 1) as f32;
    }
    list.sort_by_key(|i| (i.start, i.v));
    list
}

/// Where each loop ends, in the order in which they start.
fn loop_ends(program: &VProgram) -> Vec<usize> {
    let (mut open, mut ends) = (Vec::new(), Vec::new());
    for (at, inst) in program.insts.iter().enumerate() {
        match inst {
            VInst::LoopStart { .. } => {
                open.push(ends.len());
                ends.push(at);
            }
            VInst::LoopEnd { .. } => {
                let k = open.pop().expect("a loop ends after it starts");
                ends[k] = at;
            }
            _ => {}
        }
    }
    ends
}
