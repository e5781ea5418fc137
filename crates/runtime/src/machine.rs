//! Memory of fixed alignment and calls into compiled kernels: the one place of this crate that is
//! not safe Rust.
#![allow(unsafe_code)]

pub(crate) mod vectors;

use std::{any::Any, ops, sync::Arc};

use tracelift_tensor::{Bytes, Pages};

use crate::{
    Entry, Plan, Program,
    context::{Stopwatch, Team},
};

/// The alignment of arenas, scratch and packed constants, in bytes: a cache line.
pub const ALIGNMENT: usize = 64;

#[derive(Clone, Copy)]
#[repr(align(64))]
struct Line {
    _bytes: [u8; ALIGNMENT],
}

/// Bytes that begin at a multiple of [`ALIGNMENT`], zero at first.
#[derive(Clone)]
pub struct AlignedBytes {
    memory: Memory,
    len: usize,
}

#[derive(Clone)]
enum Memory {
    Lines(Vec<Line>),
    /// Pages of their own, taken from the system at once.
    Pages(Pages),
}

/// From this size on, bytes get pages of their own.
const LARGE_BYTES: usize = 1 << 18;

impl AlignedBytes {
    /// `len` bytes of zero.
    pub fn zeroed(len: usize) -> AlignedBytes {
        let memory = if len < LARGE_BYTES {
            Memory::Lines(vec![Line { _bytes: [0; ALIGNMENT] }; len.div_ceil(ALIGNMENT)])
        } else {
            let mut pages = Pages::zeroed(len);
            let (populator, bytes) = pages.unwritten();
            populator.populate(bytes);
            Memory::Pages(pages)
        };
        AlignedBytes { memory, len }
    }

    /// The bytes as a shared buffer, without a copy.
    pub fn into_bytes(self) -> Bytes {
        Bytes::from_owner(self)
    }

    pub(crate) fn address(&mut self) -> *mut u8 {
        match &mut self.memory {
            Memory::Lines(lines) => lines.as_mut_ptr().cast(),
            Memory::Pages(pages) => pages.as_mut_ptr(),
        }
    }
}

impl ops::Deref for AlignedBytes {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        match &self.memory {
            // SAFETY: The lines hold at least `len` initialised bytes without padding.
            Memory::Lines(lines) => unsafe {
                std::slice::from_raw_parts(lines.as_ptr().cast(), self.len)
            },
            Memory::Pages(pages) => pages,
        }
    }
}

impl ops::DerefMut for AlignedBytes {
    #[inline]
    fn deref_mut(&mut self) -> &mut [u8] {
        match &mut self.memory {
            // SAFETY: The lines hold at least `len` initialised bytes without padding.
            Memory::Lines(lines) => unsafe {
                std::slice::from_raw_parts_mut(lines.as_mut_ptr().cast(), self.len)
            },
            Memory::Pages(pages) => pages,
        }
    }
}

impl AsRef<[u8]> for AlignedBytes {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

/// A launch as a run needs it.
struct Call {
    entry: Entry,
    n_tasks: u64,
    /// The position of its first operand's address in the table.
    first: usize,
}

/// What all callers of a program share.
pub(crate) struct Code {
    pub(crate) plan: Plan,
    /// What each launch calls; called by [`OperandTable::call`] only.
    calls: Vec<Call>,
    /// Owns the memory the entries lie in.
    _keep: Arc<dyn Any + Send + Sync>,
}

impl Program {
    /// Puts a plan and its code together; `keep` owns the memory that the entries lie in.
    ///
    /// # Safety
    /// - There is one entry for each kernel of the plan, and it may be called while `keep` lives.
    /// - Run on any tasks of a launch, an entry accesses its operands and scratch within the
    ///   sizes that the plan has for them, and tasks of one launch do not write what others access.
    /// - Every operand of a launch names an input, output, constant or arena range of the plan, and
    ///   no launch writes to an input or a constant.
    pub unsafe fn new(
        plan: Plan,
        entries: Vec<Entry>,
        keep: Arc<dyn Any + Send + Sync>,
    ) -> Program {
        let mut n_addresses = 0;
        let calls = plan.launches.iter().map(|launch| {
            let first = n_addresses;
            n_addresses += launch.operands.len() + 1;
            Call { entry: entries[launch.kernel], n_tasks: launch.n_tasks, first }
        });
        let calls = calls.collect();
        Program { code: Arc::new(Code { plan, calls, _keep: keep }) }
    }
}

/// An address that a run's caller vouches for.
#[derive(Clone, Copy)]
pub(crate) struct Address(pub(crate) *mut u8);

// SAFETY: An address is only followed by kernels while a run borrows what it points to.
unsafe impl Send for Address {}

/// The addresses of all operands of all launches, and of one thread's scratch memory.
///
/// For each launch in order: its operands, then the scratch.
pub(crate) struct OperandTable {
    addresses: Vec<*mut u8>,
    _scratch: AlignedBytes,
}

// SAFETY: The addresses are only used by `call`, whose caller vouches for what they point to; the
// scratch memory is owned.
unsafe impl Send for OperandTable {}

impl OperandTable {
    /// A table whose operands are still to be set.
    pub(crate) fn new(plan: &Plan) -> OperandTable {
        let mut scratch = AlignedBytes::zeroed(plan.scratch_bytes);
        let mut addresses = Vec::new();
        for launch in &plan.launches {
            addresses.extend(launch.operands.iter().map(|_| std::ptr::null_mut()));
            addresses.push(scratch.address());
        }
        OperandTable { addresses, _scratch: scratch }
    }

    /// Sets an operand of a launch.
    pub(crate) fn set(&mut self, code: &Code, launch: usize, operand: usize, address: Address) {
        self.addresses[code.calls[launch].first + operand] = address.0;
    }

    /// Runs tasks of a launch.
    ///
    /// # Safety
    /// Every operand of the launch is set to memory of the operand's size that lives and that no
    /// one else accesses meanwhile, but for other tasks of the same launch.
    #[inline]
    unsafe fn call(&self, call: &Call, begin: u64, end: u64) {
        let operands = &self.addresses[call.first..];
        // SAFETY: `Program::new` had the entry and the plan fit together, and this function's
        // caller vouches for the operands.
        unsafe { (call.entry)(operands.as_ptr(), begin, end) }
    }
}

/// Runs all tasks of every launch on the calling thread.
///
/// The caller of the run has set all operands of the table, and borrows the context, the inputs and
/// the outputs.
#[inline]
pub(crate) fn walk_alone(code: &Code, table: &OperandTable) {
    for call in &code.calls {
        if call.n_tasks > 0 {
            // SAFETY: All operands are set to memory borrowed for the run; no other thread runs.
            unsafe { table.call(call, 0, call.n_tasks) }
        }
    }
}

/// Runs one thread's tasks of every launch.
///
/// All threads of the team walk at the same time, after the caller of the run has set all operands
/// and while it borrows the context, the inputs and the outputs. `observe` learns the time of each
/// launch in nanoseconds.
pub(crate) fn walk(
    team: &Team,
    thread: usize,
    table: &OperandTable,
    mut observe: Option<&mut [u64]>,
) {
    let n_launches = team.code.plan.launches.len();
    for launch in 0..n_launches {
        let watch = observe.is_some().then(Stopwatch::start);
        let (begin, end) = team.tasks(launch, thread);
        if begin < end {
            // SAFETY: All operands are set to memory borrowed for the run, and barriers separate
            // launches of which several threads run tasks.
            unsafe { table.call(&team.code.calls[launch], begin, end) }
        }
        let is_last = launch + 1 == n_launches;
        if !is_last && (team.is_shared(launch) || team.is_shared(launch + 1)) {
            team.barrier.wait();
        }
        if let (Some(times), Some(watch)) = (&mut observe, watch) {
            times[launch] = watch.nanos();
        }
    }
}
