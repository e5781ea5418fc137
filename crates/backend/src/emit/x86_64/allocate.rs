//! Linear-scan register allocation over a tile's virtual registers.
//!
//! Source: Poletto & Sarkar, "Linear scan register allocation", TOPLAS 21(5), 1999. A spilled register
//! lives in memory throughout; instructions bring it in through scratch registers.

use super::{
    Width,
    program::{Class, VInst, VProgram},
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

/// The scratch registers of each class, kept free where anything is spilled.
pub(super) fn scratch(width: Width, class: Class) -> [u8; 3] {
    match (class, width) {
        (Class::Vector, Width::Zmm) => [29, 30, 31],
        (Class::Vector, Width::Ymm) => [13, 14, 15],
        (Class::Mask, _) => [5, 6, 7],
    }
}

/// The registers of a class in the order they are handed out; mask 0 means "no mask".
fn pool(width: Width, class: Class, spills: bool) -> Vec<u8> {
    let all = match class {
        Class::Vector => 0..width.n_registers() as u8,
        Class::Mask => 1..8,
    };
    let kept = scratch(width, class);
    all.filter(|r| !spills || !kept.contains(r)).collect()
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
                return Allocation { homes: homes.collect(), n_slots };
            }
            Err(victims) => victims.into_iter().for_each(|v| spilled[v] = true),
        }
    }
}

/// Tries to give every register that is not spilled one of the machine's; else names victims.
fn scan(
    program: &VProgram,
    intervals: &[Interval],
    width: Width,
    spilled: &[bool],
) -> Result<Vec<Home>, Vec<usize>> {
    let spills =
        |class: Class| spilled.iter().zip(&program.classes).any(|(s, c)| *s && *c == class);
    let mut free = [Class::Vector, Class::Mask].map(|class| {
        let mut pool = pool(width, class, spills(class));
        pool.reverse();
        pool
    });
    let list = |class: Class| usize::from(class == Class::Mask);
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
                    free[list(program.classes[other.v])].push(r);
                }
                is_live
            });
            first_end = active.iter().map(|other| other.end).min().unwrap_or(usize::MAX);
        }
        let hint = hint(program, interval, &homes);
        let pool = &mut free[list(class)];
        let at = hint.and_then(|r| pool.iter().position(|&f| f == r));
        let register = match at {
            Some(at) => Some(pool.remove(at)),
            None => pool.pop(),
        };
        match register {
            Some(r) => {
                homes[interval.v] = Home::Register(r);
                active.push(*interval);
                first_end = first_end.min(interval.end);
            }
            None => {
                let rivals = active.iter().filter(|o| program.classes[o.v] == class);
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
    let loops = loops(program);
    let mut out: Vec<Option<Interval>> = vec![None; program.classes.len()];
    let mut weight = 1.0;
    for (at, inst) in program.insts.iter().enumerate() {
        match inst {
            VInst::LoopStart { .. } => weight *= 10.0,
            VInst::LoopEnd { .. } => weight /= 10.0,
            _ => {}
        }
        let mut touch = |v: u32, is_written: bool| {
            let v = v as usize;
            let entry = out[v].get_or_insert(Interval { v, start: at, end: at, weight: 0.0 });
            entry.weight += weight;
            let mut end = at + usize::from(is_written);
            // A value that enters a loop is kept until the loop's last trip ends.
            for &(start, finish) in &loops {
                if entry.start < start && start < at && at < finish {
                    end = end.max(finish);
                }
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

/// The first and last position of each loop.
fn loops(program: &VProgram) -> Vec<(usize, usize)> {
    let (mut open, mut out) = (Vec::new(), Vec::new());
    for (at, inst) in program.insts.iter().enumerate() {
        match inst {
            VInst::LoopStart { .. } => open.push(at),
            VInst::LoopEnd { .. } => {
                let start = open.pop().expect("a loop ends after it starts");
                out.push((start, at));
            }
            _ => {}
        }
    }
    out
}
