//! Instructions from a code and operands that fit it.

use iced_x86::{Code, Instruction, MemoryOperand, Register};

/// An operand as the machine takes it.
#[derive(Clone, Copy)]
pub(super) enum Operand {
    Register(Register),
    Memory(MemoryOperand),
}

pub(super) fn memory(base: Register, offset: i64, splat: bool) -> MemoryOperand {
    MemoryOperand::new(base, Register::None, 1, offset, 1, splat, Register::None)
}

pub(super) fn one_register(code: Code, register: Register) -> Instruction {
    Instruction::with1(code, register).expect("the operands fit the code")
}

pub(super) fn two_registers(code: Code, to: Register, from: Register) -> Instruction {
    Instruction::with2(code, to, from).expect("the operands fit the code")
}

pub(super) fn with_immediate(code: Code, to: Register, immediate: i32) -> Instruction {
    Instruction::with2(code, to, immediate).expect("the operands fit the code")
}

pub(super) fn build2(code: Code, to: Operand, from: Operand) -> Instruction {
    let built = match (to, from) {
        (Operand::Register(to), Operand::Register(from)) => Instruction::with2(code, to, from),
        (Operand::Register(to), Operand::Memory(from)) => Instruction::with2(code, to, from),
        (Operand::Memory(to), Operand::Register(from)) => Instruction::with2(code, to, from),
        (Operand::Memory(_), Operand::Memory(_)) => unreachable!("no code moves memory to memory"),
    };
    built.expect("the operands fit the code")
}

pub(super) fn build2_imm(code: Code, to: Register, from: Operand, immediate: u8) -> Instruction {
    let immediate = u32::from(immediate);
    match from {
        Operand::Register(from) => Instruction::with3(code, to, from, immediate),
        Operand::Memory(from) => Instruction::with3(code, to, from, immediate),
    }
    .expect("the operands fit the code")
}

pub(super) fn build3(code: Code, to: Register, a: Register, b: Operand) -> Instruction {
    match b {
        Operand::Register(b) => Instruction::with3(code, to, a, b),
        Operand::Memory(b) => Instruction::with3(code, to, a, b),
    }
    .expect("the operands fit the code")
}

pub(super) fn build3_imm(
    code: Code,
    to: Register,
    a: Register,
    b: Operand,
    immediate: u8,
) -> Instruction {
    let immediate = u32::from(immediate);
    match b {
        Operand::Register(b) => Instruction::with4(code, to, a, b, immediate),
        Operand::Memory(b) => Instruction::with4(code, to, a, b, immediate),
    }
    .expect("the operands fit the code")
}
