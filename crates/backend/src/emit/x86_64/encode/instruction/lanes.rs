//! Lanes that count, and lanes of other widths.

use iced_x86::{Code, Register};

use super::{
    super::{
        super::{
            Width,
            program::{Address, Half, Number, V},
            table,
        },
        build::{Operand, build2, build2_imm, two_registers},
    },
    Tile,
};

impl Tile<'_, '_> {
    pub(super) fn coordinate(&mut self, to: V, of: Address) {
        let of = self.e.address(of, false);
        let to = self.write(to);
        let number = Register::EAX;
        self.e.emit(build2(Code::Lea_r32_m, Operand::Register(number), Operand::Memory(of)));
        match self.e.width {
            Width::Zmm => {
                self.e.emit(two_registers(Code::EVEX_Vpbroadcastd_zmm_k1z_r32, to, number));
            }
            Width::Ymm => {
                let low = self.part(to, Register::XMM0);
                self.e.emit(two_registers(Code::VEX_Vmovd_xmm_rm32, low, number));
                self.e.emit(two_registers(Code::VEX_Vpbroadcastd_ymm_xmmm32, to, low));
            }
        }
    }

    pub(super) fn ramp(&mut self, to: V, first: i32, step: i32) {
        let lanes = 0..self.e.width.lanes() as i32;
        let words = lanes.map(|k| first.wrapping_add(k.wrapping_mul(step)) as u32);
        let from = Operand::Memory(self.e.constant(words.collect()));
        let to = self.write(to);
        self.e.emit(build2(self.e.stage.load, Operand::Register(to), from));
    }

    pub(super) fn wide_literal(&mut self, to: V, bits: u64) {
        let to = self.write(to);
        let from = Operand::Memory(self.e.wide_literal(bits, false));
        self.e.emit(build2(self.e.stage.splat_wide, Operand::Register(to), from));
    }

    pub(super) fn widen(&mut self, to: V, a: V, half: Half, number: Number) {
        let width = self.e.width;
        let a = self.read(a);
        let to = self.write(to);
        let mut from = self.part(a, self.half_file());
        if half == Half::High {
            from = self.part(to, self.half_file());
            let code = table::upper_half(width);
            self.e.emit(build2_imm(code, from, Operand::Register(a), 1));
        }
        self.e.emit(two_registers(table::widen(number, width), to, from));
    }

    pub(super) fn narrow(&mut self, to: V, a: V) {
        let a = self.read(a);
        let to = self.write(to);
        let to = self.part(to, self.half_file());
        self.e.emit(two_registers(table::narrow(self.e.width), to, a));
    }
}
