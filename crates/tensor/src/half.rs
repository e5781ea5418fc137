//! Exact widening of 16-bit floats to `f32`.

/// The value of an IEEE 754 binary16 given by its bits; a NaN keeps its payload.
pub fn f16_to_f32(bits: u16) -> f32 {
    let sign = u32::from(bits & 0x8000) << 16;
    let exponent = u32::from(bits >> 10) & 0x1f;
    let mantissa = u32::from(bits & 0x3ff);
    match exponent {
        // Zeros and subnormals are whole multiples of 2⁻²⁴, which `f32` holds exactly.
        0 => {
            let magnitude = mantissa as f32 / (1 << 24) as f32;
            f32::from_bits(magnitude.to_bits() | sign)
        }
        0x1f => f32::from_bits(sign | 0x7f80_0000 | mantissa << 13),
        _ => f32::from_bits(sign | (exponent + 127 - 15) << 23 | mantissa << 13),
    }
}

/// The value of a bfloat16 given by its bits; a NaN keeps its payload.
pub fn bf16_to_f32(bits: u16) -> f32 {
    f32::from_bits(u32::from(bits) << 16)
}

/// Widens little-endian 16-bit floats with `widen` to little-endian `f32` bytes.
pub fn widen_bytes(bytes: &[u8], widen: fn(u16) -> f32) -> Vec<u8> {
    let halves = bytes.chunks_exact(2).map(|b| u16::from_le_bytes([b[0], b[1]]));
    halves.flat_map(|h| widen(h).to_le_bytes()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn binary16_landmarks_widen_exactly() {
        let cases = [
            (0x0000, 0.0),
            (0x3c00, 1.0),
            (0xc000, -2.0),
            (0x7bff, 65504.0),
            (0x0400, 2f32.powi(-14)),
            (0x0001, 2f32.powi(-24)),
            (0x03ff, 1023.0 * 2f32.powi(-24)),
            (0x3555, 0.333_251_95),
            (0x7c00, f32::INFINITY),
            (0xfc00, f32::NEG_INFINITY),
        ];
        for (bits, value) in cases {
            assert_eq!(f16_to_f32(bits).to_bits(), f32::to_bits(value), "{bits:#06x}");
        }
        assert_eq!(f16_to_f32(0x8000).to_bits(), (-0.0f32).to_bits());
        assert_eq!(f16_to_f32(0x7e01).to_bits(), 0x7fc0_2000);
    }

    #[test]
    fn binary16_order_is_kept() {
        let values: Vec<f32> = (0..=0x7c00).map(f16_to_f32).collect();
        assert!(values.is_sorted_by(|a, b| a < b));
    }

    #[test]
    fn bfloat16_is_the_high_half() {
        assert_eq!(bf16_to_f32(0x3f80), 1.0);
        assert_eq!(bf16_to_f32(0xff80), f32::NEG_INFINITY);
        assert_eq!(widen_bytes(&[0x80, 0x3f], bf16_to_f32), 1f32.to_le_bytes());
    }
}
