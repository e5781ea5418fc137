//! From one virtual instruction to those of the machine.

mod lanes;
mod memory;

use iced_x86::{Code, Instruction, Register};

use super::{
    super::{
        Unsupported, Width,
        allocate::{Allocation, Home, scratch},
        program::{Class, Compared, Fetch, One, Relation, Shuffle, Source, V, VInst, VProgram},
        table::{self, FmaForm},
    },
    Encoder,
    build::{Operand, build2, build2_imm, build3, build3_imm},
};

/// One instruction being encoded.
pub(super) struct Tile<'e, 'p> {
    e: &'e mut Encoder,
    program: &'p VProgram,
    allocation: &'p Allocation,
    /// The scratch registers taken, of vectors and of masks.
    n_scratch: [usize; 2],
    /// The slot that the result goes to afterwards.
    after: Option<(Class, Register, u32)>,
}

impl<'e, 'p> Tile<'e, 'p> {
    pub(super) fn new(
        e: &'e mut Encoder,
        program: &'p VProgram,
        allocation: &'p Allocation,
    ) -> Tile<'e, 'p> {
        Tile { e, program, allocation, n_scratch: [0, 0], after: None }
    }

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
            Source::WideLiteral(bits) => Operand::Memory(self.e.wide_literal(bits, true)),
        }
    }

    /// Encodes the instruction.
    pub(super) fn inst(&mut self, inst: &VInst) -> Result<(), Unsupported> {
        let width = self.e.width;
        match *inst {
            VInst::One { op, to, a } => self.one(op, to, a),
            VInst::Two { op, to, a, b } => {
                let (a, b) = (self.read(a), self.source(b));
                let to = self.write(to);
                self.e.emit(build3(table::two(op, width), to, a, b));
            }
            VInst::Fma { to, x, y, z, is_wide } => self.fma(to, x, y, z, is_wide),
            VInst::Compare { what, relation, to, a, b } => self.compare(what, relation, to, a, b),
            VInst::Choose { to, mask, x, y, is_wide } => self.choose(to, mask, x, y, is_wide),
            VInst::MaskTwo { op, to, a, b } => {
                let (a, b) = (self.read(a), self.read(b));
                let to = self.write(to);
                self.e.emit(build3(table::mask_two(op, width), to, a, Operand::Register(b)));
            }
            VInst::MaskNot { to, a } => self.mask_not(to, a),
            VInst::Move { to, from } => self.copy(to, from),
            VInst::Exchange { to, a, distance } => self.exchange(to, a, distance),
            VInst::Shuffle { how, to, a, b } => self.shuffle(how, to, a, b),
            VInst::Load { to, from, mask } => self.load(to, from, mask),
            VInst::Splat { to, from } => self.splat(self.e.stage.splat, to, from),
            VInst::LoadBytes { to, from, lanes, mask } => self.load_bytes(to, from, lanes, mask),
            VInst::SplatByte { to, from } => self.splat(table::splat_byte(width), to, from),
            VInst::Coordinate { to, of } => self.coordinate(to, of),
            VInst::Ramp { to, first, step } => self.ramp(to, first, step),
            VInst::WideLiteral { to, bits } => self.wide_literal(to, bits),
            VInst::Widen { to, a, half, number } => self.widen(to, a, half, number),
            VInst::Narrow { to, a } => self.narrow(to, a),
            VInst::Literal { to, bits } => {
                let to = self.write(to);
                self.literal(to, bits);
            }
            VInst::Tail { to, lanes } => self.tail(to, lanes),
            VInst::Store { to, from, mask } => self.store(to, from, mask),
            VInst::Prefetch { at, kind } => {
                let code = match kind {
                    Fetch::Read => Code::Prefetcht0_m8,
                    Fetch::Write => Code::Prefetchw_m8,
                    Fetch::Ahead => Code::Prefetcht1_m8,
                };
                let at = self.e.address(at, false);
                let fetch = Instruction::with1(code, at).expect("the operand fits the code");
                self.e.emit(fetch);
            }
            VInst::StoreOne { to, from, is_wide } => {
                let from = self.read(from);
                let to = self.e.address(to, false);
                let low = self.part(from, Register::XMM0);
                let code = match is_wide {
                    true => self.e.stage.store_two,
                    false => self.e.stage.store_one,
                };
                let store = Instruction::with2(code, to, low);
                self.e.emit(store.expect("the operands fit the code"));
            }
            VInst::LoopStart { axis, trips } => self.e.loop_start(axis, trips),
            VInst::LoopEnd { axis, step } => self.e.loop_end(axis, step)?,
            VInst::Rewind { axis, steps } => self.e.advance(axis, -(steps as i64))?,
        }
        self.write_back();
        Ok(())
    }

    /// The lowest part of a vector, as the register of that number in the file of `first`.
    fn part(&self, vector: Register, first: Register) -> Register {
        first + (vector as u32 - self.e.vector(0) as u32)
    }

    /// The first register of half a vector.
    fn half_file(&self) -> Register {
        match self.e.width {
            Width::Ymm => Register::XMM0,
            Width::Zmm => Register::YMM0,
        }
    }

    fn one(&mut self, op: One, to: V, a: Source) {
        let width = self.e.width;
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

    fn compare(&mut self, what: Compared, relation: Relation, to: V, a: V, b: Source) {
        let width = self.e.width;
        let (a, b) = (self.read(a), self.source(b));
        let to = self.write(to);
        let (code, predicate) = table::compare(what, relation, width);
        self.e.emit(match predicate {
            None => build3(code, to, a, b),
            Some(p) => build3_imm(code, to, a, b, p),
        });
    }

    fn choose(&mut self, to: V, mask: V, x: Source, y: V, is_wide: bool) {
        let width = self.e.width;
        let mask = self.read(mask);
        let (x, y) = (self.source(x), self.read(y));
        let to = self.write(to);
        let code = table::choose(is_wide, width);
        self.e.emit(match width {
            Width::Zmm => {
                let mut blend = build3(code, to, y, x);
                blend.set_op_mask(mask);
                blend
            }
            Width::Ymm => match x {
                Operand::Register(x) => Instruction::with4(code, to, y, x, mask),
                Operand::Memory(x) => Instruction::with4(code, to, y, x, mask),
            }
            .expect("the operands fit the code"),
        });
    }

    fn mask_not(&mut self, to: V, a: V) {
        let width = self.e.width;
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
                self.e.emit(build3(Code::VEX_Vpxor_ymm_ymm_ymmm256, to, a, Operand::Memory(ones)));
            }
        }
    }

    /// Between a register and a slot, no scratch register is needed.
    fn copy(&mut self, to: V, from: V) {
        let class = self.class(to);
        let (register, load, store) = match class {
            Class::Vector => (self.e.stage.copy, self.e.stage.load, self.e.stage.store),
            Class::Mask => {
                (Code::VEX_Kmovw_kr_km16, Code::VEX_Kmovw_kr_km16, Code::VEX_Kmovw_m16_kr)
            }
        };
        let homes = [to, from].map(|v| self.allocation.homes[v as usize]);
        let (code, to, from) = match homes {
            [Home::Slot(to), _] => {
                let from = self.read(from);
                (store, Operand::Memory(self.e.slot(to)), Operand::Register(from))
            }
            [Home::Register(to), Home::Slot(from)] => {
                let to = self.e.physical(class, to);
                (load, Operand::Register(to), Operand::Memory(self.e.slot(from)))
            }
            [Home::Register(to), Home::Register(from)] if to == from => return,
            [Home::Register(to), Home::Register(from)] => {
                let [to, from] = [to, from].map(|r| Operand::Register(self.e.physical(class, r)));
                (register, to, from)
            }
        };
        self.e.emit(build2(code, to, from));
    }

    fn exchange(&mut self, to: V, a: V, distance: usize) {
        let width = self.e.width;
        let a = self.read(a);
        let to = self.write(to);
        let (code, immediate) = table::exchange(distance, width);
        let two = matches!((width, distance), (Width::Zmm, 8 | 4) | (Width::Ymm, 4));
        self.e.emit(match two {
            true => build3_imm(code, to, a, Operand::Register(a), immediate),
            false => build2_imm(code, to, Operand::Register(a), immediate),
        });
    }

    fn shuffle(&mut self, how: Shuffle, to: V, a: V, b: V) {
        let (code, immediate) = table::shuffle(how, self.e.width);
        let (a, mut b) = (self.read(a), self.read(b));
        if how == Shuffle::Halves {
            b = self.part(b, self.half_file());
        }
        let to = self.write(to);
        self.e.emit(match immediate {
            None => build3(code, to, a, Operand::Register(b)),
            Some(immediate) => build3_imm(code, to, a, Operand::Register(b), immediate),
        });
    }

    fn tail(&mut self, to: V, lanes: usize) {
        let width = self.e.width;
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

    /// Stores the result where it lives in a slot.
    fn write_back(&mut self) {
        if let Some((class, register, slot)) = self.after {
            let to = self.e.slot(slot);
            let code = match class {
                Class::Vector => self.e.stage.store,
                Class::Mask => Code::VEX_Kmovw_m16_kr,
            };
            let store = Instruction::with2(code, to, register);
            self.e.emit(store.expect("the operands fit the code"));
        }
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
    fn fma(&mut self, to: V, x: V, y: Source, z: Source, is_wide: bool) {
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
        let form = |form| table::fma(form, is_wide, width);
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
