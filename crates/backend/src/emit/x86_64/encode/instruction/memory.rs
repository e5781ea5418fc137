//! Loads and stores.

use iced_x86::{Code, Instruction, Register};

use super::{
    super::{
        super::{
            Width,
            program::{Address, V},
            table,
        },
        build::{Operand, build2, build3, build3_imm},
    },
    Tile,
};

impl Tile<'_, '_> {
    pub(super) fn load(&mut self, to: V, from: Address, mask: Option<V>) {
        let width = self.e.width;
        let mask = mask.map(|m| self.read(m));
        let from = self.e.address(from, false);
        let to = self.write(to);
        self.e.emit(match (mask, width) {
            (None, _) => build2(self.e.stage.load, Operand::Register(to), Operand::Memory(from)),
            (Some(mask), Width::Zmm) => where_set(
                build2(self.e.stage.load, Operand::Register(to), Operand::Memory(from)),
                mask,
            ),
            (Some(mask), Width::Ymm) => {
                build3(Code::VEX_Vmaskmovps_ymm_ymm_m256, to, mask, Operand::Memory(from))
            }
        });
    }

    /// AVX2 has no masks for bytes: those of a narrower vector are read one by one.
    pub(super) fn load_bytes(&mut self, to: V, from: Address, lanes: usize, mask: Option<V>) {
        let mask = mask.map(|m| self.read(m));
        let to = self.write(to);
        let source = match (self.e.width, mask) {
            (Width::Ymm, Some(_)) => {
                let low = self.part(to, Register::XMM0);
                let zero =
                    build3(Code::VEX_Vpxor_xmm_xmm_xmmm128, low, low, Operand::Register(low));
                self.e.emit(zero);
                for lane in 0..lanes {
                    let offset = from.offset + lane as i32;
                    let byte = self.e.address(Address { offset, ..from }, false);
                    let code = Code::VEX_Vpinsrb_xmm_xmm_r32m8_imm8;
                    self.e.emit(build3_imm(code, low, low, Operand::Memory(byte), lane as u8));
                }
                Operand::Register(low)
            }
            _ => Operand::Memory(self.e.address(from, false)),
        };
        let load = build2(table::load_bytes(self.e.width), Operand::Register(to), source);
        self.e.emit(match (self.e.width, mask) {
            (Width::Zmm, Some(mask)) => where_set(load, mask),
            _ => load,
        });
    }

    pub(super) fn store(&mut self, to: Address, from: V, mask: Option<V>) {
        let width = self.e.width;
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

    /// One element for all lanes, by the code for its size.
    pub(super) fn splat(&mut self, code: Code, to: V, from: Address) {
        let from = self.e.address(from, false);
        let to = self.write(to);
        self.e.emit(build2(code, Operand::Register(to), Operand::Memory(from)));
    }
}

/// The load of the lanes that a mask of AVX-512 has set; others are 0, and their memory is not read.
fn where_set(mut load: Instruction, mask: Register) -> Instruction {
    load.set_op_mask(mask);
    load.set_zeroing_masking(true);
    load
}
