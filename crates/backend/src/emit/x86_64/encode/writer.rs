//! The bytes of a function: instructions one after another, then constants.

use iced_x86::{Code, Encoder, Instruction, MemoryOperand, Register};

use super::super::Unsupported;

/// A function being written; it may run at any address.
pub(super) struct Writer {
    encoder: Encoder,
    /// The bytes so far, which is the address of the next instruction.
    len: usize,
    /// Where the instruction ends that loads the address of the constants.
    pool_load: Option<usize>,
}

impl Writer {
    pub(super) fn new() -> Writer {
        Writer { encoder: Encoder::new(64), len: 0, pool_load: None }
    }

    /// The number of bytes so far.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Appends an instruction.
    ///
    /// # Errors
    /// When the processor has no such instruction.
    pub(super) fn push(&mut self, instruction: &Instruction) -> Result<(), Unsupported> {
        let n = self.encoder.encode(instruction, self.len as u64);
        self.len += n.map_err(|_| Unsupported("an instruction that cannot be encoded"))?;
        Ok(())
    }

    /// Appends a jump to an earlier place that is taken unless the last result was 0.
    ///
    /// # Errors
    /// When the place is too far away.
    pub(super) fn jump_back_if_not_zero(&mut self, to: usize) -> Result<(), Unsupported> {
        /// The bytes of the short form.
        const SHORT: usize = 2;
        let distance = self.len + SHORT - to;
        let code = match distance <= -i32::from(i8::MIN) as usize {
            true => Code::Jne_rel8_64,
            false => Code::Jne_rel32_64,
        };
        let jump = Instruction::with_branch(code, to as u64);
        self.push(&jump.expect("a jump takes a target"))
    }

    /// Appends the load of the address of the constants, which are not yet placed.
    ///
    /// # Errors
    /// When it cannot be encoded.
    pub(super) fn load_pool_address(&mut self, to: Register) -> Result<(), Unsupported> {
        let here = MemoryOperand::with_base_displ(Register::RIP, self.len as i64);
        let load = Instruction::with2(Code::Lea_r64_m, to, here);
        self.push(&load.expect("the operands fit the code"))?;
        self.pool_load = Some(self.len);
        Ok(())
    }

    /// All bytes, constants last, and the number of those that are code.
    pub(super) fn finish(mut self, pool: &[u32]) -> (Vec<u8>, usize) {
        let mut bytes = self.encoder.take_buffer();
        if let Some(end) = self.pool_load {
            // The displacement is the last operand, and counts from the next instruction.
            let distance = (self.len - end) as u32;
            bytes[end - 4..end].copy_from_slice(&distance.to_le_bytes());
        }
        bytes.extend(pool.iter().flat_map(|word| word.to_le_bytes()));
        (bytes, self.len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jumps_are_as_short_as_they_can_be() {
        for (n_before, code) in [(0, 0x75), (126, 0x75), (127, 0x0f)] {
            let mut writer = Writer::new();
            for _ in 0..n_before {
                writer.push(&Instruction::with(Code::Nopd)).unwrap();
            }
            let at = writer.len();
            writer.jump_back_if_not_zero(0).unwrap();
            let (bytes, n_code) = writer.finish(&[]);
            assert_eq!((bytes[at], bytes.len()), (code, n_code));
        }
    }

    #[test]
    fn the_pool_lies_behind_the_code() {
        let mut writer = Writer::new();
        writer.load_pool_address(Register::R11).unwrap();
        writer.push(&Instruction::with(Code::Retnq)).unwrap();
        let (bytes, n_code) = writer.finish(&[7]);
        // lea r11, [rip + 1]; ret; 7
        assert_eq!(bytes, [0x4c, 0x8d, 0x1d, 1, 0, 0, 0, 0xc3, 7, 0, 0, 0]);
        assert_eq!(n_code, 8);
    }
}
