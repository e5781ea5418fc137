//! What each caller of a program owns: arena, operand tables, scratch and threads.

use std::{
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Instant,
};

use crate::{
    Slot,
    machine::{Address, AlignedBytes, Code, OperandTable, walk},
    team::{Barrier, share},
};

/// The memory and threads of one caller of a program; runs reuse it and allocate nothing.
pub struct Context {
    pub(crate) code: Arc<Code>,
    team: Arc<Team>,
    workers: Vec<JoinHandle<()>>,
    /// The operands that lie in inputs or outputs: launch, operand, slot.
    patches: Vec<(usize, usize, Slot)>,
    /// The inputs and outputs of the current run.
    pub(crate) inputs: Vec<Operand>,
    pub(crate) outputs: Vec<Operand>,
    _arena: AlignedBytes,
}

/// Where an input or output of the current run lies.
pub(crate) struct Operand {
    pub(crate) address: Address,
    /// An aligned copy, made when the caller's bytes are not aligned to their dtype.
    pub(crate) staged: AlignedBytes,
}

impl Operand {
    fn new() -> Operand {
        let address = Address(std::ptr::null_mut());
        Operand { address, staged: AlignedBytes::zeroed(0) }
    }
}

/// What the threads of a context share.
pub(crate) struct Team {
    pub(crate) code: Arc<Code>,
    /// The operands as each thread sees them; they differ in the scratch memory.
    tables: Vec<Mutex<OperandTable>>,
    pub(crate) barrier: Barrier,
    is_over: AtomicBool,
}

impl Team {
    pub(crate) fn n_threads(&self) -> usize {
        self.tables.len()
    }

    pub(crate) fn table(&self, thread: usize) -> MutexGuard<'_, OperandTable> {
        self.tables[thread].lock().expect("no thread panics with a table")
    }

    /// The tasks of a launch that a thread runs; a single task is the caller's.
    pub(crate) fn tasks(&self, launch: usize, thread: usize) -> (u64, u64) {
        let n_tasks = self.code.plan.launches[launch].n_tasks;
        match self.is_shared(launch) {
            true => share(n_tasks, thread, self.n_threads()),
            false if thread == 0 => (0, n_tasks),
            false => (0, 0),
        }
    }

    /// Whether more than one thread runs tasks of a launch.
    pub(crate) fn is_shared(&self, launch: usize) -> bool {
        self.n_threads() > 1 && self.code.plan.launches[launch].n_tasks > 1
    }
}

impl Context {
    pub(crate) fn new(code: &Arc<Code>, n_threads: usize) -> Context {
        let n_threads = n_threads.max(1);
        let plan = &code.plan;
        let mut arena = AlignedBytes::zeroed(plan.arena_bytes);
        let tables: Vec<Mutex<OperandTable>> =
            (0..n_threads).map(|_| Mutex::new(fixed_table(code, &mut arena))).collect();
        let barrier = Barrier::new(n_threads);
        let is_over = AtomicBool::new(false);
        let team = Arc::new(Team { code: code.clone(), tables, barrier, is_over });
        let workers = (1..n_threads).map(|thread| {
            let team = team.clone();
            std::thread::spawn(move || work(&team, thread))
        });
        Context {
            code: code.clone(),
            workers: workers.collect(),
            team,
            patches: patches(code),
            inputs: plan.inputs.iter().map(|_| Operand::new()).collect(),
            outputs: plan.outputs.iter().map(|_| Operand::new()).collect(),
            _arena: arena,
        }
    }

    /// The number of threads, the caller's included.
    pub fn n_threads(&self) -> usize {
        self.team.n_threads()
    }

    /// Tells every thread where this run's inputs and outputs lie.
    pub(crate) fn patch(&self) {
        for thread in 0..self.n_threads() {
            let mut table = self.team.table(thread);
            for &(launch, operand, slot) in &self.patches {
                match slot {
                    Slot::Input(k) => table.set(launch, operand, self.inputs[k].address),
                    Slot::Output(k) => table.set(launch, operand, self.outputs[k].address),
                    Slot::Arena(_) | Slot::Constant(_) => {}
                }
            }
        }
    }

    /// Runs every launch; `observe` learns the time of each in nanoseconds.
    pub(crate) fn walk(&self, observe: Option<&mut [u64]>) {
        if self.n_threads() > 1 {
            self.team.barrier.wait();
        }
        walk(&self.team, 0, observe);
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        if self.workers.is_empty() {
            return;
        }
        self.team.is_over.store(true, Ordering::SeqCst);
        self.team.barrier.wait();
        for worker in self.workers.drain(..) {
            worker.join().expect("a worker only runs kernels, which do not panic");
        }
    }
}

/// Walks the launches each time the caller does, until the context is dropped.
fn work(team: &Team, thread: usize) {
    loop {
        team.barrier.wait();
        if team.is_over.load(Ordering::SeqCst) {
            return;
        }
        walk(team, thread, None);
    }
}

/// A table with the operands that never move.
fn fixed_table(code: &Code, arena: &mut AlignedBytes) -> OperandTable {
    let mut table = OperandTable::new(&code.plan);
    for (launch, operand, slot) in operands(code) {
        match slot {
            Slot::Arena(offset) => {
                let address = arena.address().wrapping_add(offset);
                table.set(launch, operand, Address(address));
            }
            Slot::Constant(k) => {
                let address = code.plan.constants[k].bytes().as_ptr();
                table.set(launch, operand, Address(address.cast_mut()));
            }
            Slot::Input(_) | Slot::Output(_) => {}
        }
    }
    table
}

fn operands(code: &Code) -> impl Iterator<Item = (usize, usize, Slot)> + '_ {
    code.plan.launches.iter().enumerate().flat_map(|(launch, l)| {
        l.operands.iter().enumerate().map(move |(operand, &slot)| (launch, operand, slot))
    })
}

fn patches(code: &Code) -> Vec<(usize, usize, Slot)> {
    operands(code).filter(|o| matches!(o.2, Slot::Input(_) | Slot::Output(_))).collect()
}

/// Times one launch.
pub(crate) struct Stopwatch(Instant);

impl Stopwatch {
    pub(crate) fn start() -> Stopwatch {
        Stopwatch(Instant::now())
    }

    pub(crate) fn nanos(&self) -> u64 {
        u64::try_from(self.0.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}
