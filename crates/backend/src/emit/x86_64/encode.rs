//! From virtual instructions with homes to machine code.

use iced_x86::{
    Code, Instruction, MemoryOperand, Register,
    code_asm::{CodeAssembler, CodeLabel, ptr, registers::*},
};
use rustc_hash::FxHashMap;
use tracelift_loops::AxisId;

use super::{
    Unsupported, Width,
    allocate::{Allocation, Home, scratch},
    program::{Address, Class, Source, V, VInst, VProgram},
    table::{self, FmaForm},
};

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

/// An operand as the machine takes it.
#[derive(Clone, Copy)]
enum Operand {
    Register(Register),
    Memory(MemoryOperand),
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

    /// Encodes the program of a tile.
    pub(super) fn program(
        &mut self,
        program: &VProgram,
        allocation: &Allocation,
    ) -> Result<(), Unsupported> {
        self.n_slots = self.n_slots.max(allocation.n_slots);
        for inst in &program.insts {
            Tile { e: self, program, allocation, n_scratch: [0, 0], after: None }.inst(inst)?;
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
        let failed = |_| Unsupported("an instruction that cannot be encoded");
        let mut a = CodeAssembler::new(64).map_err(failed)?;
        let used = self.used();
        let saved: Vec<Register> = SAVED.into_iter().filter(|r| used.contains(r)).collect();
        let frame = self.n_slots as i32 * self.width.bytes() as i32;
        let has_frame = frame > 0 || !self.counter_slots.is_empty();
        let mut pool = a.create_label();
        for &register in &saved {
            a.add_instruction(one_register(Code::Push_r64, register)).map_err(failed)?;
        }
        if has_frame {
            let counters = 8 * self.counter_slots.len() as i32;
            a.push(rbp).map_err(failed)?;
            a.mov(rbp, rsp).map_err(failed)?;
            a.sub(rsp, frame + counters).map_err(failed)?;
            a.and(rsp, -64).map_err(failed)?;
        }
        if !self.pool.is_empty() {
            a.lea(r11, ptr(pool)).map_err(failed)?;
        }
        for (stream, register) in self.general.pointers.iter().enumerate() {
            if let Some(register) = register {
                let home = MemoryOperand::with_base_displ(TABLE, 8 * stream as i64);
                let load =
                    build2(Code::Mov_r64_rm64, Operand::Register(*register), Operand::Memory(home));
                a.add_instruction(load).map_err(failed)?;
            }
        }
        let mut labels: Vec<CodeLabel> = (0..self.n_labels).map(|_| a.create_label()).collect();
        for item in &self.items {
            match item {
                Item::Instruction(instruction) => a.add_instruction(*instruction),
                Item::Label(label) => a.set_label(&mut labels[*label]),
                Item::JumpIfNotZero(label) => a.jne(labels[*label]),
            }
            .map_err(failed)?;
        }
        a.vzeroupper().map_err(failed)?;
        if has_frame {
            a.mov(rsp, rbp).map_err(failed)?;
            a.pop(rbp).map_err(failed)?;
        }
        for &register in saved.iter().rev() {
            a.add_instruction(one_register(Code::Pop_r64, register)).map_err(failed)?;
        }
        a.ret().map_err(failed)?;
        if self.pool.is_empty() {
            let code = a.assemble(0).map_err(failed)?;
            let n_code = code.len();
            return Ok((code, n_code));
        }
        a.set_label(&mut pool).map_err(failed)?;
        a.dd(&self.pool).map_err(failed)?;
        let code = a.assemble(0).map_err(failed)?;
        let n_code = code.len() - 4 * self.pool.len();
        Ok((code, n_code))
    }

    fn used(&self) -> Vec<Register> {
        let pointers = self.general.pointers.iter().flatten();
        pointers.chain(self.general.counters.values().flatten()).copied().collect()
    }
}

/// One instruction being encoded.
struct Tile<'e, 'p> {
    e: &'e mut Encoder,
    program: &'p VProgram,
    allocation: &'p Allocation,
    /// The scratch registers taken, of vectors and of masks.
    n_scratch: [usize; 2],
    /// The slot that the result goes to afterwards.
    after: Option<(Class, Register, u32)>,
}

impl Tile<'_, '_> {
    fn class(&self, v: V) -> Class {
        self.program.classes[v as usize]
    }

    fn take_scratch(&mut self, class: Class) -> Register {
        let list = usize::from(class == Class::Mask);
        let number = scratch(self.e.width, class)[self.n_scratch[list]];
        self.n_scratch[list] += 1;
        self.e.physical(class, number)
    }

    /// The register of a value that is read.
    fn read(&mut self, v: V) -> Register {
        let class = self.class(v);
        match self.allocation.homes[v as usize] {
            Home::Register(number) => self.e.physical(class, number),
            Home::Slot(slot) => {
                let register = self.take_scratch(class);
                let code = match class {
                    Class::Vector => self.e.stage.load,
                    Class::Mask => Code::VEX_Kmovw_kr_km16,
                };
                let from = self.e.slot(slot);
                self.e.emit(build2(code, Operand::Register(register), Operand::Memory(from)));
                register
            }
        }
    }

    /// The register that a result is written to.
    fn write(&mut self, v: V) -> Register {
        let class = self.class(v);
        match self.allocation.homes[v as usize] {
            Home::Register(number) => self.e.physical(class, number),
            Home::Slot(slot) => {
                // An operand's scratch register may be overwritten: operands are read first.
                let numbers = scratch(self.e.width, class);
                let register = self.e.physical(class, numbers[2]);
                self.after = Some((class, register, slot));
                register
            }
        }
    }

    fn source(&mut self, source: Source) -> Operand {
        match source {
            Source::Register(v) => match self.allocation.homes[v as usize] {
                Home::Slot(slot) if self.class(v) == Class::Vector => {
                    Operand::Memory(self.e.slot(slot))
                }
                _ => Operand::Register(self.read(v)),
            },
            Source::Vector(address) => Operand::Memory(self.e.address(address, false)),
            Source::Splat(address) => Operand::Memory(self.e.address(address, true)),
            Source::Literal(bits) => Operand::Memory(self.e.literal(bits)),
        }
    }

    fn inst(&mut self, inst: &VInst) -> Result<(), Unsupported> {
        let width = self.e.width;
        match *inst {
            VInst::One { op, to, a } => {
                let a = match (op, width) {
                    // AVX2 shifts no memory.
                    (_, Width::Ymm) => match a {
                        Source::Register(v) => Operand::Register(self.read(v)),
                        other => self.source(other),
                    },
                    _ => self.source(a),
                };
                let to = self.write(to);
                let (code, immediate) = table::one(op, width);
                self.e.emit(match immediate {
                    None => build2(code, Operand::Register(to), a),
                    Some(i) => build2_imm(code, to, a, i),
                });
            }
            VInst::Two { op, to, a, b } => {
                let (a, b) = (self.read(a), self.source(b));
                let to = self.write(to);
                self.e.emit(build3(table::two(op, width), to, a, b));
            }
            VInst::Fma { to, x, y, z } => self.fma(to, x, y, z),
            VInst::Compare { what, relation, to, a, b } => {
                let (a, b) = (self.read(a), self.source(b));
                let to = self.write(to);
                let (code, predicate) = table::compare(what, relation, width);
                self.e.emit(match predicate {
                    None => build3(code, to, a, b),
                    Some(p) => build3_imm(code, to, a, b, p),
                });
            }
            VInst::Choose { to, mask, x, y } => {
                let mask = self.read(mask);
                let (x, y) = (self.source(x), self.read(y));
                let to = self.write(to);
                self.e.emit(match width {
                    Width::Zmm => {
                        let mut blend =
                            build3(Code::EVEX_Vblendmps_zmm_k1z_zmm_zmmm512b32, to, y, x);
                        blend.set_op_mask(mask);
                        blend
                    }
                    Width::Ymm => {
                        let code = Code::VEX_Vblendvps_ymm_ymm_ymmm256_ymm;
                        match x {
                            Operand::Register(x) => Instruction::with4(code, to, y, x, mask),
                            Operand::Memory(x) => Instruction::with4(code, to, y, x, mask),
                        }
                        .expect("the operands fit the code")
                    }
                });
            }
            VInst::MaskTwo { op, to, a, b } => {
                let (a, b) = (self.read(a), self.read(b));
                let to = self.write(to);
                self.e.emit(build3(table::mask_two(op, width), to, a, Operand::Register(b)));
            }
            VInst::MaskNot { to, a } => {
                let a = self.read(a);
                let to = self.write(to);
                match width {
                    Width::Zmm => {
                        self.e.emit(build2(
                            Code::VEX_Knotw_kr_kr,
                            Operand::Register(to),
                            Operand::Register(a),
                        ));
                    }
                    Width::Ymm => {
                        let ones = self.e.literal(u32::MAX);
                        self.e.emit(build3(
                            Code::VEX_Vpxor_ymm_ymm_ymmm256,
                            to,
                            a,
                            Operand::Memory(ones),
                        ));
                    }
                }
            }
            VInst::Move { to, from } => {
                let class = self.class(to);
                let from = self.read(from);
                let to = self.write(to);
                let code = match class {
                    Class::Vector => self.e.stage.copy,
                    Class::Mask => Code::VEX_Kmovw_kr_km16,
                };
                if to != from {
                    self.e.emit(build2(code, Operand::Register(to), Operand::Register(from)));
                }
            }
            VInst::Exchange { to, a, distance } => {
                let a = self.read(a);
                let to = self.write(to);
                let (code, immediate) = table::exchange(distance, width);
                let two = matches!((width, distance), (Width::Zmm, 8 | 4) | (Width::Ymm, 4));
                self.e.emit(match two {
                    true => build3_imm(code, to, a, Operand::Register(a), immediate),
                    false => build2_imm(code, to, Operand::Register(a), immediate),
                });
            }
            VInst::Load { to, from, mask } => {
                let mask = mask.map(|m| self.read(m));
                let from = self.e.address(from, false);
                let to = self.write(to);
                self.e.emit(match (mask, width) {
                    (None, _) => {
                        build2(self.e.stage.load, Operand::Register(to), Operand::Memory(from))
                    }
                    (Some(mask), Width::Zmm) => {
                        let mut load =
                            build2(self.e.stage.load, Operand::Register(to), Operand::Memory(from));
                        load.set_op_mask(mask);
                        load.set_zeroing_masking(true);
                        load
                    }
                    (Some(mask), Width::Ymm) => {
                        build3(Code::VEX_Vmaskmovps_ymm_ymm_m256, to, mask, Operand::Memory(from))
                    }
                });
            }
            VInst::Splat { to, from } => {
                let from = self.e.address(from, false);
                let to = self.write(to);
                self.e.emit(build2(
                    self.e.stage.splat,
                    Operand::Register(to),
                    Operand::Memory(from),
                ));
            }
            VInst::Literal { to, bits } => {
                let to = self.write(to);
                self.literal(to, bits);
            }
            VInst::Tail { to, lanes } => {
                let to = self.write(to);
                match width {
                    Width::Zmm => {
                        let bits = (1i32 << lanes) - 1;
                        let mov = Instruction::with2(Code::Mov_r32_imm32, Register::EAX, bits);
                        self.e.emit(mov.expect("a register takes an immediate"));
                        self.e.emit(build2(
                            Code::VEX_Kmovw_kr_r32,
                            Operand::Register(to),
                            Operand::Register(Register::EAX),
                        ));
                    }
                    Width::Ymm => {
                        let words = (0..8).map(|k| if k < lanes { u32::MAX } else { 0 });
                        let mask = self.e.constant(words.collect());
                        self.e.emit(build2(
                            self.e.stage.load,
                            Operand::Register(to),
                            Operand::Memory(mask),
                        ));
                    }
                }
            }
            VInst::Store { to, from, mask } => {
                let mask = mask.map(|m| self.read(m));
                let from = self.read(from);
                let to = self.e.address(to, false);
                self.e.emit(match (mask, width) {
                    (Some(mask), Width::Ymm) => {
                        let code = Code::VEX_Vmaskmovps_m256_ymm_ymm;
                        Instruction::with3(code, to, mask, from).expect("the operands fit the code")
                    }
                    (mask, _) => {
                        let code = self.e.stage.store;
                        let mut store =
                            Instruction::with2(code, to, from).expect("the operands fit the code");
                        if let Some(mask) = mask {
                            store.set_op_mask(mask);
                        }
                        store
                    }
                });
            }
            VInst::Prefetch { at, write } => {
                let code = if write { Code::Prefetchw_m8 } else { Code::Prefetcht0_m8 };
                let at = self.e.address(at, false);
                let fetch = Instruction::with1(code, at).expect("the operand fits the code");
                self.e.emit(fetch);
            }
            VInst::StoreOne { to, from } => {
                let from = self.read(from);
                let to = self.e.address(to, false);
                let number = from as u32 - self.e.vector(0) as u32;
                let low = Register::XMM0 + number;
                let store = Instruction::with2(self.e.stage.store_one, to, low);
                self.e.emit(store.expect("the operands fit the code"));
            }
            VInst::LoopStart { axis, trips } => self.e.loop_start(axis, trips),
            VInst::LoopEnd { axis, step } => self.e.loop_end(axis, step)?,
            VInst::Rewind { axis, steps } => self.e.advance(axis, -(steps as i64))?,
        }
        if let Some((class, register, slot)) = self.after {
            let to = self.e.slot(slot);
            let code = match class {
                Class::Vector => self.e.stage.store,
                Class::Mask => Code::VEX_Kmovw_m16_kr,
            };
            let store = Instruction::with2(code, to, register);
            self.e.emit(store.expect("the operands fit the code"));
        }
        Ok(())
    }

    fn literal(&mut self, to: Register, bits: u32) {
        if bits == 0 {
            self.e.emit(build3(self.e.stage.xor, to, to, Operand::Register(to)));
            return;
        }
        match self.e.width {
            Width::Zmm => {
                let mut from = self.e.constant(vec![bits]);
                from.is_broadcast = false;
                self.e.emit(build2(
                    self.e.stage.splat,
                    Operand::Register(to),
                    Operand::Memory(from),
                ));
            }
            Width::Ymm => {
                let from = self.e.literal(bits);
                self.e.emit(build2(
                    self.e.stage.load,
                    Operand::Register(to),
                    Operand::Memory(from),
                ));
            }
        }
    }

    /// Chooses the form whose destination already holds what the form wants there.
    fn fma(&mut self, to: V, x: V, y: Source, z: Source) {
        let width = self.e.width;
        let x = self.read(x);
        let is_memory = |s: &Source, homes: &[Home]| match s {
            Source::Register(v) => matches!(homes[*v as usize], Home::Slot(_)),
            _ => true,
        };
        let homes = &self.allocation.homes;
        // At most one operand comes from memory.
        let (y, z) = match (is_memory(&y, homes), is_memory(&z, homes)) {
            (true, true) => match (y, z) {
                (Source::Register(v), z) => (Operand::Register(self.read(v)), self.source(z)),
                (y, Source::Register(v)) => {
                    let z = Operand::Register(self.read(v));
                    (self.source(y), z)
                }
                (y, z) => (self.source(y), self.source(z)),
            },
            _ => (self.source(y), self.source(z)),
        };
        let to = self.write(to);
        let copy = |from: Operand, e: &mut Encoder| {
            let code = match from {
                Operand::Register(_) => e.stage.copy,
                Operand::Memory(_) => e.stage.load,
            };
            e.emit(build2(code, Operand::Register(to), from));
        };
        let form = |form| table::fma(form, width);
        let inst = match (y, z) {
            (y, Operand::Register(z)) if z == to => build3(form(FmaForm::F231), to, x, y),
            (Operand::Register(y), z) if y == to => build3(form(FmaForm::F213), to, x, z),
            (Operand::Register(y), z) if x == to => build3(form(FmaForm::F213), to, y, z),
            (y, Operand::Register(z)) if x == to => build3(form(FmaForm::F132), to, z, y),
            (y, Operand::Register(z)) => {
                copy(Operand::Register(z), self.e);
                build3(form(FmaForm::F231), to, x, y)
            }
            (Operand::Register(y), z) => {
                copy(Operand::Register(y), self.e);
                build3(form(FmaForm::F213), to, x, z)
            }
            (Operand::Memory(_), Operand::Memory(_)) => {
                unreachable!("one of the operands was brought into a register")
            }
        };
        self.e.emit(inst);
    }
}

fn memory(base: Register, offset: i64, splat: bool) -> MemoryOperand {
    MemoryOperand::new(base, Register::None, 1, offset, 1, splat, Register::None)
}

fn one_register(code: Code, register: Register) -> Instruction {
    Instruction::with1(code, register).expect("the operands fit the code")
}

fn build2(code: Code, to: Operand, from: Operand) -> Instruction {
    let built = match (to, from) {
        (Operand::Register(to), Operand::Register(from)) => Instruction::with2(code, to, from),
        (Operand::Register(to), Operand::Memory(from)) => Instruction::with2(code, to, from),
        (Operand::Memory(to), Operand::Register(from)) => Instruction::with2(code, to, from),
        (Operand::Memory(_), Operand::Memory(_)) => unreachable!("no code moves memory to memory"),
    };
    built.expect("the operands fit the code")
}

fn build2_imm(code: Code, to: Register, from: Operand, immediate: u8) -> Instruction {
    let immediate = u32::from(immediate);
    match from {
        Operand::Register(from) => Instruction::with3(code, to, from, immediate),
        Operand::Memory(from) => Instruction::with3(code, to, from, immediate),
    }
    .expect("the operands fit the code")
}

fn build3(code: Code, to: Register, a: Register, b: Operand) -> Instruction {
    match b {
        Operand::Register(b) => Instruction::with3(code, to, a, b),
        Operand::Memory(b) => Instruction::with3(code, to, a, b),
    }
    .expect("the operands fit the code")
}

fn build3_imm(code: Code, to: Register, a: Register, b: Operand, immediate: u8) -> Instruction {
    let immediate = u32::from(immediate);
    match b {
        Operand::Register(b) => Instruction::with4(code, to, a, b, immediate),
        Operand::Memory(b) => Instruction::with4(code, to, a, b, immediate),
    }
    .expect("the operands fit the code")
}
