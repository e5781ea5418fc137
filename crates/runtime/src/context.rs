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
    Port, Slot,
    machine::{Address, AlignedBytes, Code, OperandTable, walk, walk_alone},
    team::{Barrier, share},
};

/// The memory and threads of one caller of a program; runs reuse it and allocate nothing.
pub struct Context {
    pub(crate) code: Arc<Code>,
    /// The number of threads asked for; a small program has none but the caller's.
    n_threads: usize,
    team: Arc<Team>,
    workers: Vec<JoinHandle<()>>,
    /// The operands as the caller's thread sees them.
    table: OperandTable,
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
    /// Whether the last run had it somewhere else.
    pub(crate) has_moved: bool,
    /// The bytes that a run must give.
    pub(crate) size_bytes: usize,
    /// The alignment that kernels count on, in bytes: a power of two.
    pub(crate) alignment: usize,
    /// An aligned copy, made when the caller's bytes are not aligned to their dtype.
    pub(crate) staged: AlignedBytes,
}

impl Operand {
    fn new(port: &Port) -> Operand {
        let address = Address(std::ptr::null_mut());
        let (size_bytes, alignment) = (port.size_bytes(), port.dtype.size_bytes());
        Operand {
            address,
            size_bytes,
            alignment,
            has_moved: false,
            staged: AlignedBytes::zeroed(0),
        }
    }
}

/// What the threads of a context share.
pub(crate) struct Team {
    pub(crate) code: Arc<Code>,
    /// The operands as each thread but the caller's sees them; they differ in the scratch memory.
    tables: Vec<Mutex<OperandTable>>,
    pub(crate) barrier: Barrier,
    is_over: AtomicBool,
}

impl Team {
    pub(crate) fn n_threads(&self) -> usize {
        self.tables.len() + 1
    }

    /// The table of a thread other than the caller's, which has number 0.
    fn table(&self, thread: usize) -> MutexGuard<'_, OperandTable> {
        self.tables[thread - 1].lock().expect("no thread panics with a table")
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
        let n_members = if plan.runs_alone { 1 } else { n_threads };
        let mut arena = AlignedBytes::zeroed(plan.arena_bytes);
        let tables: Vec<Mutex<OperandTable>> =
            (1..n_members).map(|_| Mutex::new(fixed_table(code, &mut arena))).collect();
        let barrier = Barrier::new(n_members);
        let is_over = AtomicBool::new(false);
        let team = Arc::new(Team { code: code.clone(), tables, barrier, is_over });
        let workers = (1..n_members).map(|thread| {
            let team = team.clone();
            std::thread::spawn(move || work(&team, thread))
        });
        Context {
            code: code.clone(),
            n_threads,
            workers: workers.collect(),
            team,
            table: fixed_table(code, &mut arena),
            patches: patches(code),
            inputs: plan.inputs.iter().map(Operand::new).collect(),
            outputs: plan.outputs.iter().map(Operand::new).collect(),
            _arena: arena,
        }
    }

    /// The number of threads, the caller's included.
    pub fn n_threads(&self) -> usize {
        self.n_threads
    }

    /// Tells every thread where this run's inputs and outputs lie, if any has moved.
    #[inline]
    pub(crate) fn patch(&mut self) {
        let has_moved = |operands: &[Operand]| operands.iter().any(|operand| operand.has_moved);
        if has_moved(&self.inputs) || has_moved(&self.outputs) {
            self.patch_all();
        }
    }

    #[cold]
    fn patch_all(&mut self) {
        let set_all = |table: &mut OperandTable| {
            for &(launch, operand, slot) in &self.patches {
                match slot {
                    Slot::Input(k) => {
                        table.set(&self.code, launch, operand, self.inputs[k].address)
                    }
                    Slot::Output(k) => {
                        table.set(&self.code, launch, operand, self.outputs[k].address)
                    }
                    Slot::Arena(_) | Slot::Constant(_) => {}
                }
            }
        };
        set_all(&mut self.table);
        for thread in 1..self.team.n_threads() {
            set_all(&mut self.team.table(thread));
        }
    }

    /// Runs every launch; `observe` learns the time of each in nanoseconds.
    #[inline]
    pub(crate) fn walk(&self, observe: Option<&mut [u64]>) {
        match (self.workers.is_empty(), observe) {
            (true, None) => walk_alone(&self.code, &self.table),
            (true, observe) => walk(&self.team, 0, &self.table, observe),
            (false, observe) => {
                self.team.barrier.wait();
                walk(&self.team, 0, &self.table, observe);
                self.team.barrier.wait();
            }
        }
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
        walk(team, thread, &team.table(thread), None);
        // By now the table is free again, so that the caller can set operands.
        team.barrier.wait();
    }
}

/// A table with the operands that never move.
fn fixed_table(code: &Code, arena: &mut AlignedBytes) -> OperandTable {
    let mut table = OperandTable::new(&code.plan);
    for (launch, operand, slot) in operands(code) {
        match slot {
            Slot::Arena(offset) => {
                let address = arena.address().wrapping_add(offset);
                table.set(code, launch, operand, Address(address));
            }
            Slot::Constant(k) => {
                let address = code.plan.constants[k].bytes().as_ptr();
                table.set(code, launch, operand, Address(address.cast_mut()));
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
