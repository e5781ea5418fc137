//! From virtual instructions with homes to machine code.

mod build;
mod instruction;
mod writer;

use iced_x86::{Code, Instruction, MemoryOperand, Register};
use rustc_hash::FxHashMap;
use tracelift_loops::AxisId;

use super::{
    Unsupported, Width,
    allocate::Allocation,
    program::{Address, Class, VProgram},
    table,
};
use build::{Operand, build2, memory, one_register, two_registers, with_immediate};
use instruction::Tile;
use writer::Writer;

/// A piece of code before labels are resolved.
enum Item {
    Instruction(Instruction),
    Label(usize),
    /// Jumps to a label while the last decrement did not give 0.
    JumpIfNotZero(usize),
}

/// The registers for pointers and counters; the caller's come first.
pub(super) const GENERAL: [Register; 11] = [
    Register::RCX,
    Register::RDX,
    Register::RSI,
    Register::R8,
    Register::R9,
    Register::R10,
    Register::RBX,
    Register::R12,
    Register::R13,
    Register::R14,
    Register::R15,
];
/// Those a callee must give back as they were.
const SAVED: [Register; 5] =
    [Register::RBX, Register::R12, Register::R13, Register::R14, Register::R15];
/// Holds the table of pointers.
const TABLE: Register = Register::RDI;
/// Holds the address of the constants.
const POOL: Register = Register::R11;
/// Holds what has no register of its own, for one instruction.
const TEMPORARY: Register = Register::RAX;
/// Holds the caller's stack pointer where there is a frame.
const FRAME: Register = Register::RBP;

/// Where pointers and counters live.
#[derive(Default)]
pub(super) struct GeneralHomes {
    /// By stream; the others stay in the table.
    pub(super) pointers: Vec<Option<Register>>,
    /// By axis; the others live in the frame.
    pub(super) counters: FxHashMap<AxisId, Option<Register>>,
}

/// Code being written.
pub(super) struct Encoder {
    width: Width,
    general: GeneralHomes,
    /// By how many bytes streams move along an axis.
    moving: FxHashMap<AxisId, Vec<(usize, i64)>>,
    items: Vec<Item>,
    n_labels: usize,
    open: Vec<usize>,
    /// The constants, as words.
    pool: Vec<u32>,
    known: FxHashMap<Vec<u32>, usize>,
    n_slots: u32,
    /// The slots of counters without a register, behind those of vectors.
    counter_slots: FxHashMap<AxisId, usize>,
    stage: table::Moves,
}

impl Encoder {
    pub(super) fn new(
        width: Width,
        general: GeneralHomes,
        moving: FxHashMap<AxisId, Vec<(usize, i64)>>,
    ) -> Encoder {
        let mut counter_slots = FxHashMap::default();
        let mut axes: Vec<AxisId> = general.counters.keys().copied().collect();
        axes.sort_unstable();
        for axis in axes {
            if general.counters[&axis].is_none() {
                counter_slots.insert(axis, counter_slots.len());
            }
        }
        Encoder {
            width,
            general,
            moving,
            items: Vec::new(),
            n_labels: 0,
            open: Vec::new(),
            pool: Vec::new(),
            known: FxHashMap::default(),
            n_slots: 0,
            counter_slots,
            stage: table::moves(width),
        }
    }

    fn emit(&mut self, instruction: Instruction) {
        self.items.push(Item::Instruction(instruction));
    }

    fn vector(&self, number: u8) -> Register {
        let first = match self.width {
            Width::Ymm => Register::YMM0,
            Width::Zmm => Register::ZMM0,
        };
        first + u32::from(number)
    }

    fn physical(&self, class: Class, number: u8) -> Register {
        match class {
            Class::Vector => self.vector(number),
            Class::Mask => Register::K0 + u32::from(number),
        }
    }

    fn slot(&self, slot: u32) -> MemoryOperand {
        let at = slot as i64 * self.width.bytes() as i64;
        MemoryOperand::with_base_displ(Register::RSP, at)
    }

    fn counter_slot(&self, axis: AxisId) -> MemoryOperand {
        // Counters lie below the caller's frame pointer, vectors from the stack pointer up.
        MemoryOperand::with_base_displ(FRAME, -8 * (self.counter_slots[&axis] as i64 + 1))
    }

    /// The memory operand of an address; brings its pointer into a register where it has none.
    fn address(&mut self, address: Address, splat: bool) -> MemoryOperand {
        let base = match self.general.pointers[address.stream] {
            Some(register) => register,
            None => {
                let home = MemoryOperand::with_base_displ(TABLE, 8 * address.stream as i64);
                self.emit(build2(
                    Code::Mov_r64_rm64,
                    Operand::Register(TEMPORARY),
                    Operand::Memory(home),
                ));
                TEMPORARY
            }
        };
        memory(base, address.offset.into(), splat)
    }

    /// The operand of words in the pool.
    fn constant(&mut self, words: Vec<u32>) -> MemoryOperand {
        let splat = words.len() == 1;
        let next = self.pool.len();
        let at = *self.known.entry(words).or_insert_with_key(|words| {
            self.pool.extend(words);
            next
        });
        memory(POOL, 4 * at as i64, splat)
    }

    fn literal(&mut self, bits: u32) -> MemoryOperand {
        match self.width {
            Width::Zmm => self.constant(vec![bits]),
            Width::Ymm => self.constant(vec![bits; 8]),
        }
    }

    /// A literal of 64 bits; as an operand of AVX-512 it is repeated as it is read.
    fn wide_literal(&mut self, bits: u64, repeats: bool) -> MemoryOperand {
        let words = [bits as u32, (bits >> 32) as u32];
        match (self.width, repeats) {
            (Width::Ymm, true) => self.constant([words; 4].concat()),
            (_, repeats) => {
                let mut at = self.constant(words.to_vec());
                at.is_broadcast = repeats;
                at
            }
        }
    }

    /// Encodes the program of a tile.
    pub(super) fn program(
        &mut self,
        program: &VProgram,
        allocation: &Allocation,
    ) -> Result<(), Unsupported> {
        self.n_slots = self.n_slots.max(allocation.n_slots);
        for inst in &program.insts {
            Tile::new(self, program, allocation).inst(inst)?;
        }
        Ok(())
    }

    /// Starts a loop.
    pub(super) fn loop_start(&mut self, axis: AxisId, trips: usize) {
        let trips = trips as i32;
        let instruction = match self.general.counters[&axis] {
            Some(register) => Instruction::with2(Code::Mov_rm64_imm32, register, trips),
            None => Instruction::with2(Code::Mov_rm64_imm32, self.counter_slot(axis), trips),
        };
        self.emit(instruction.expect("a counter takes an immediate"));
        self.items.push(Item::Label(self.n_labels));
        self.open.push(self.n_labels);
        self.n_labels += 1;
    }

    /// Ends the innermost loop; each trip moves its axis by `step`.
    pub(super) fn loop_end(&mut self, axis: AxisId, step: usize) -> Result<(), Unsupported> {
        self.advance(axis, step as i64)?;
        let instruction = match self.general.counters[&axis] {
            Some(register) => Instruction::with1(Code::Dec_rm64, register),
            None => Instruction::with1(Code::Dec_rm64, self.counter_slot(axis)),
        };
        self.emit(instruction.expect("a counter can be decremented"));
        let label = self.open.pop().expect("a loop ends after it starts");
        self.items.push(Item::JumpIfNotZero(label));
        Ok(())
    }

    /// Moves the streams along an axis by so many steps.
    pub(super) fn advance(&mut self, axis: AxisId, steps: i64) -> Result<(), Unsupported> {
        for (stream, stride) in self.moving.get(&axis).cloned().unwrap_or_default() {
            let by = stride.checked_mul(steps).and_then(|by| i32::try_from(by).ok());
            let by = by.ok_or(Unsupported("a step beyond 2 GiB"))?;
            let instruction = match self.general.pointers[stream] {
                Some(register) => Instruction::with2(Code::Add_rm64_imm32, register, by),
                None => {
                    let home = MemoryOperand::with_base_displ(TABLE, 8 * stream as i64);
                    Instruction::with2(Code::Add_rm64_imm32, home, by)
                }
            };
            self.emit(instruction.expect("a pointer takes an immediate"));
        }
        Ok(())
    }

    /// The whole function: code, then constants; and the number of bytes of code.
    pub(super) fn finish(self) -> Result<(Vec<u8>, usize), Unsupported> {
        let used = self.used();
        let saved: Vec<Register> = SAVED.into_iter().filter(|r| used.contains(r)).collect();
        let frame = self.n_slots as i32 * self.width.bytes() as i32;
        let has_frame = frame > 0 || !self.counter_slots.is_empty();
        let mut code = Writer::new();
        for &register in &saved {
            code.push(&one_register(Code::Push_r64, register))?;
        }
        if has_frame {
            let size = frame + 8 * self.counter_slots.len() as i32;
            code.push(&one_register(Code::Push_r64, FRAME))?;
            code.push(&two_registers(Code::Mov_r64_rm64, FRAME, Register::RSP))?;
            code.push(&with_immediate(Code::Sub_rm64_imm32, Register::RSP, size))?;
            code.push(&with_immediate(Code::And_rm64_imm8, Register::RSP, -64))?;
        }
        if !self.pool.is_empty() {
            code.load_pool_address(POOL)?;
        }
        for (stream, register) in self.general.pointers.iter().enumerate() {
            if let Some(register) = register {
                let home = MemoryOperand::with_base_displ(TABLE, 8 * stream as i64);
                let (to, from) = (Operand::Register(*register), Operand::Memory(home));
                code.push(&build2(Code::Mov_r64_rm64, to, from))?;
            }
        }
        let mut labels = vec![0; self.n_labels];
        for item in &self.items {
            match item {
                Item::Instruction(instruction) => code.push(instruction)?,
                Item::Label(label) => labels[*label] = code.len(),
                Item::JumpIfNotZero(label) => code.jump_back_if_not_zero(labels[*label])?,
            }
        }
        code.push(&Instruction::with(Code::VEX_Vzeroupper))?;
        if has_frame {
            code.push(&two_registers(Code::Mov_r64_rm64, Register::RSP, FRAME))?;
            code.push(&one_register(Code::Pop_r64, FRAME))?;
        }
        for &register in saved.iter().rev() {
            code.push(&one_register(Code::Pop_r64, register))?;
        }
        code.push(&Instruction::with(Code::Retnq))?;
        Ok(code.finish(&self.pool))
    }

    fn used(&self) -> Vec<Register> {
        let pointers = self.general.pointers.iter().flatten();
        pointers.chain(self.general.counters.values().flatten()).copied().collect()
    }
}
