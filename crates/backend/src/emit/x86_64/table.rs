//! The encodings of virtual instructions.

use iced_x86::Code;

use super::{
    Width,
    program::{Compared, MaskTwo, Number, One, Relation, Shuffle, Two},
};

/// The code for the width, and the immediate where it has one.
pub(super) fn one(op: One, width: Width) -> (Code, Option<u8>) {
    use Code::*;
    let (zmm, ymm, immediate) = match op {
        One::Sqrt => (EVEX_Vsqrtps_zmm_k1z_zmmm512b32_er, VEX_Vsqrtps_ymm_ymmm256, None),
        One::Round(how) => (
            EVEX_Vrndscaleps_zmm_k1z_zmmm512b32_imm8_sae,
            VEX_Vroundps_ymm_ymmm256_imm8,
            // Bit 3 keeps the inexact flag as it is.
            Some(how | 8),
        ),
        One::AbsInt => (EVEX_Vpabsd_zmm_k1z_zmmm512b32, VEX_Vpabsd_ymm_ymmm256, None),
        One::ToInt => (EVEX_Vcvttps2dq_zmm_k1z_zmmm512b32_sae, VEX_Vcvttps2dq_ymm_ymmm256, None),
        One::FromInt => (EVEX_Vcvtdq2ps_zmm_k1z_zmmm512b32_er, VEX_Vcvtdq2ps_ymm_ymmm256, None),
        One::FromUnsigned => (EVEX_Vcvtudq2ps_zmm_k1z_zmmm512b32_er, INVALID, None),
        One::ShiftLeft(by) => {
            (EVEX_Vpslld_zmm_k1z_zmmm512b32_imm8, VEX_Vpslld_ymm_ymm_imm8, Some(by))
        }
        One::ShiftRight(by) => {
            (EVEX_Vpsrld_zmm_k1z_zmmm512b32_imm8, VEX_Vpsrld_ymm_ymm_imm8, Some(by))
        }
        One::ShiftRightSigned(by) => {
            (EVEX_Vpsrad_zmm_k1z_zmmm512b32_imm8, VEX_Vpsrad_ymm_ymm_imm8, Some(by))
        }
        One::SqrtWide => (EVEX_Vsqrtpd_zmm_k1z_zmmm512b64_er, VEX_Vsqrtpd_ymm_ymmm256, None),
        One::RoundWide(how) => (
            EVEX_Vrndscalepd_zmm_k1z_zmmm512b64_imm8_sae,
            VEX_Vroundpd_ymm_ymmm256_imm8,
            Some(how | 8),
        ),
        One::ShiftLeftWide(by) => {
            (EVEX_Vpsllq_zmm_k1z_zmmm512b64_imm8, VEX_Vpsllq_ymm_ymm_imm8, Some(by))
        }
        One::ShiftRightWide(by) => {
            (EVEX_Vpsrlq_zmm_k1z_zmmm512b64_imm8, VEX_Vpsrlq_ymm_ymm_imm8, Some(by))
        }
    };
    (pick(width, zmm, ymm), immediate)
}

pub(super) fn two(op: Two, width: Width) -> Code {
    use Code::*;
    let (zmm, ymm) = match op {
        Two::Add => (EVEX_Vaddps_zmm_k1z_zmm_zmmm512b32_er, VEX_Vaddps_ymm_ymm_ymmm256),
        Two::Sub => (EVEX_Vsubps_zmm_k1z_zmm_zmmm512b32_er, VEX_Vsubps_ymm_ymm_ymmm256),
        Two::Mul => (EVEX_Vmulps_zmm_k1z_zmm_zmmm512b32_er, VEX_Vmulps_ymm_ymm_ymmm256),
        Two::Div => (EVEX_Vdivps_zmm_k1z_zmm_zmmm512b32_er, VEX_Vdivps_ymm_ymm_ymmm256),
        Two::Min => (EVEX_Vminps_zmm_k1z_zmm_zmmm512b32_sae, VEX_Vminps_ymm_ymm_ymmm256),
        Two::Max => (EVEX_Vmaxps_zmm_k1z_zmm_zmmm512b32_sae, VEX_Vmaxps_ymm_ymm_ymmm256),
        Two::And => (EVEX_Vpandd_zmm_k1z_zmm_zmmm512b32, VEX_Vpand_ymm_ymm_ymmm256),
        Two::Or => (EVEX_Vpord_zmm_k1z_zmm_zmmm512b32, VEX_Vpor_ymm_ymm_ymmm256),
        Two::Xor => (EVEX_Vpxord_zmm_k1z_zmm_zmmm512b32, VEX_Vpxor_ymm_ymm_ymmm256),
        Two::AddInt => (EVEX_Vpaddd_zmm_k1z_zmm_zmmm512b32, VEX_Vpaddd_ymm_ymm_ymmm256),
        Two::SubInt => (EVEX_Vpsubd_zmm_k1z_zmm_zmmm512b32, VEX_Vpsubd_ymm_ymm_ymmm256),
        Two::MulInt => (EVEX_Vpmulld_zmm_k1z_zmm_zmmm512b32, VEX_Vpmulld_ymm_ymm_ymmm256),
        Two::MinInt => (EVEX_Vpminsd_zmm_k1z_zmm_zmmm512b32, VEX_Vpminsd_ymm_ymm_ymmm256),
        Two::MaxInt => (EVEX_Vpmaxsd_zmm_k1z_zmm_zmmm512b32, VEX_Vpmaxsd_ymm_ymm_ymmm256),
        Two::MinUnsigned => (EVEX_Vpminud_zmm_k1z_zmm_zmmm512b32, VEX_Vpminud_ymm_ymm_ymmm256),
        Two::MaxUnsigned => (EVEX_Vpmaxud_zmm_k1z_zmm_zmmm512b32, VEX_Vpmaxud_ymm_ymm_ymmm256),
        Two::AddWide => (EVEX_Vaddpd_zmm_k1z_zmm_zmmm512b64_er, VEX_Vaddpd_ymm_ymm_ymmm256),
        Two::SubWide => (EVEX_Vsubpd_zmm_k1z_zmm_zmmm512b64_er, VEX_Vsubpd_ymm_ymm_ymmm256),
        Two::MulWide => (EVEX_Vmulpd_zmm_k1z_zmm_zmmm512b64_er, VEX_Vmulpd_ymm_ymm_ymmm256),
        Two::DivWide => (EVEX_Vdivpd_zmm_k1z_zmm_zmmm512b64_er, VEX_Vdivpd_ymm_ymm_ymmm256),
        Two::MinWide => (EVEX_Vminpd_zmm_k1z_zmm_zmmm512b64_sae, VEX_Vminpd_ymm_ymm_ymmm256),
        Two::MaxWide => (EVEX_Vmaxpd_zmm_k1z_zmm_zmmm512b64_sae, VEX_Vmaxpd_ymm_ymm_ymmm256),
        Two::AndWide => (EVEX_Vpandq_zmm_k1z_zmm_zmmm512b64, VEX_Vpand_ymm_ymm_ymmm256),
        Two::OrWide => (EVEX_Vporq_zmm_k1z_zmm_zmmm512b64, VEX_Vpor_ymm_ymm_ymmm256),
        Two::XorWide => (EVEX_Vpxorq_zmm_k1z_zmm_zmmm512b64, VEX_Vpxor_ymm_ymm_ymmm256),
        Two::AddLong => (EVEX_Vpaddq_zmm_k1z_zmm_zmmm512b64, VEX_Vpaddq_ymm_ymm_ymmm256),
        Two::SubLong => (EVEX_Vpsubq_zmm_k1z_zmm_zmmm512b64, VEX_Vpsubq_ymm_ymm_ymmm256),
    };
    pick(width, zmm, ymm)
}

/// The forms of fused multiply-add, by what the destination holds before.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum FmaForm {
    /// A factor; the last operand is the other, the middle one the addend.
    F132,
    /// A factor; the last operand is the addend.
    F213,
    /// The addend.
    F231,
}

pub(super) fn fma(form: FmaForm, is_wide: bool, width: Width) -> Code {
    use Code::*;
    let (zmm, ymm) = match form {
        FmaForm::F132 if is_wide => {
            (EVEX_Vfmadd132pd_zmm_k1z_zmm_zmmm512b64_er, VEX_Vfmadd132pd_ymm_ymm_ymmm256)
        }
        FmaForm::F213 if is_wide => {
            (EVEX_Vfmadd213pd_zmm_k1z_zmm_zmmm512b64_er, VEX_Vfmadd213pd_ymm_ymm_ymmm256)
        }
        FmaForm::F231 if is_wide => {
            (EVEX_Vfmadd231pd_zmm_k1z_zmm_zmmm512b64_er, VEX_Vfmadd231pd_ymm_ymm_ymmm256)
        }
        FmaForm::F132 => {
            (EVEX_Vfmadd132ps_zmm_k1z_zmm_zmmm512b32_er, VEX_Vfmadd132ps_ymm_ymm_ymmm256)
        }
        FmaForm::F213 => {
            (EVEX_Vfmadd213ps_zmm_k1z_zmm_zmmm512b32_er, VEX_Vfmadd213ps_ymm_ymm_ymmm256)
        }
        FmaForm::F231 => {
            (EVEX_Vfmadd231ps_zmm_k1z_zmm_zmmm512b32_er, VEX_Vfmadd231ps_ymm_ymm_ymmm256)
        }
    };
    pick(width, zmm, ymm)
}

/// The code of a comparison and its predicate; AVX2's of integers have none.
pub(super) fn compare(what: Compared, relation: Relation, width: Width) -> (Code, Option<u8>) {
    use Code::*;
    let float = match relation {
        Relation::Eq => 0x00,
        Relation::Ne => 0x04,
        Relation::Lt => 0x11,
        Relation::Le => 0x12,
        Relation::Gt => 0x1e,
        Relation::Ge => 0x1d,
        Relation::Unordered => 0x03,
    };
    let integer = match relation {
        Relation::Eq => 0,
        Relation::Lt => 1,
        Relation::Le => 2,
        Relation::Ne => 4,
        Relation::Ge => 5,
        Relation::Gt | Relation::Unordered => 6,
    };
    match (what, width) {
        (Compared::Float, Width::Zmm) => (EVEX_Vcmpps_kr_k1_zmm_zmmm512b32_imm8_sae, Some(float)),
        (Compared::Float, Width::Ymm) => (VEX_Vcmpps_ymm_ymm_ymmm256_imm8, Some(float)),
        (Compared::Signed, Width::Zmm) => (EVEX_Vpcmpd_kr_k1_zmm_zmmm512b32_imm8, Some(integer)),
        (Compared::Unsigned, Width::Zmm) => (EVEX_Vpcmpud_kr_k1_zmm_zmmm512b32_imm8, Some(integer)),
        (Compared::WideFloat, Width::Zmm) => {
            (EVEX_Vcmppd_kr_k1_zmm_zmmm512b64_imm8_sae, Some(float))
        }
        (Compared::WideFloat, Width::Ymm) => (VEX_Vcmppd_ymm_ymm_ymmm256_imm8, Some(float)),
        (Compared::WideInteger, Width::Zmm) => {
            (EVEX_Vpcmpuq_kr_k1_zmm_zmmm512b64_imm8, Some(integer))
        }
        (Compared::WideInteger, Width::Ymm) => (VEX_Vpcmpeqq_ymm_ymm_ymmm256, None),
        (_, Width::Ymm) if relation == Relation::Eq => (VEX_Vpcmpeqd_ymm_ymm_ymmm256, None),
        (_, Width::Ymm) => (VEX_Vpcmpgtd_ymm_ymm_ymmm256, None),
    }
}

/// Bytes from memory, each as a number of 32 bits.
pub(super) fn load_bytes(width: Width) -> Code {
    pick(width, Code::EVEX_Vpmovzxbd_zmm_k1z_xmmm128, Code::VEX_Vpmovzxbd_ymm_xmmm64)
}

/// A byte from memory in all bytes.
pub(super) fn splat_byte(width: Width) -> Code {
    pick(width, Code::EVEX_Vpbroadcastb_zmm_k1z_xmmm8, Code::VEX_Vpbroadcastb_ymm_xmmm8)
}

/// The operations of AVX-512's mask registers; AVX2 uses those of vectors.
pub(super) fn mask_two(op: MaskTwo, width: Width) -> Code {
    use Code::*;
    let (zmm, ymm) = match op {
        MaskTwo::And => (VEX_Kandw_kr_kr_kr, VEX_Vpand_ymm_ymm_ymmm256),
        MaskTwo::Or => (VEX_Korw_kr_kr_kr, VEX_Vpor_ymm_ymm_ymmm256),
        MaskTwo::Xor => (VEX_Kxorw_kr_kr_kr, VEX_Vpxor_ymm_ymm_ymmm256),
    };
    pick(width, zmm, ymm)
}

/// The shuffle that exchanges lanes a distance apart, and its immediate.
pub(super) fn exchange(distance: usize, width: Width) -> (Code, u8) {
    use Code::*;
    match (width, distance) {
        (Width::Zmm, 8) => (EVEX_Vshuff32x4_zmm_k1z_zmm_zmmm512b32_imm8, 0x4e),
        (Width::Zmm, 4) => (EVEX_Vshuff32x4_zmm_k1z_zmm_zmmm512b32_imm8, 0xb1),
        (Width::Ymm, 4) => (VEX_Vperm2f128_ymm_ymm_ymmm256_imm8, 0x01),
        (Width::Zmm, 2) => (EVEX_Vpermilps_zmm_k1z_zmmm512b32_imm8, 0x4e),
        (Width::Ymm, 2) => (VEX_Vpermilps_ymm_ymmm256_imm8, 0x4e),
        (Width::Zmm, _) => (EVEX_Vpermilps_zmm_k1z_zmmm512b32_imm8, 0xb1),
        (Width::Ymm, _) => (VEX_Vpermilps_ymm_ymmm256_imm8, 0xb1),
    }
}

/// The code of a shuffle, and its immediate where it has one.
pub(super) fn shuffle(how: Shuffle, width: Width) -> (Code, Option<u8>) {
    use Code::*;
    let (zmm, ymm) = match how {
        Shuffle::UnpackLow => {
            (EVEX_Vunpcklps_zmm_k1z_zmm_zmmm512b32, VEX_Vunpcklps_ymm_ymm_ymmm256)
        }
        Shuffle::UnpackHigh => {
            (EVEX_Vunpckhps_zmm_k1z_zmm_zmmm512b32, VEX_Vunpckhps_ymm_ymm_ymmm256)
        }
        Shuffle::UnpackLowPairs => {
            (EVEX_Vunpcklpd_zmm_k1z_zmm_zmmm512b64, VEX_Vunpcklpd_ymm_ymm_ymmm256)
        }
        Shuffle::UnpackHighPairs => {
            (EVEX_Vunpckhpd_zmm_k1z_zmm_zmmm512b64, VEX_Vunpckhpd_ymm_ymm_ymmm256)
        }
        Shuffle::Halves => {
            let codes =
                (EVEX_Vinsertf64x4_zmm_k1z_zmm_ymmm256_imm8, VEX_Vinsertf128_ymm_ymm_xmmm128_imm8);
            return (pick(width, codes.0, codes.1), Some(1));
        }
        Shuffle::EvenParts | Shuffle::OddParts => {
            let odd = how == Shuffle::OddParts;
            let [zmm, ymm] = if odd { [0xdd, 0x31] } else { [0x88, 0x20] };
            return match width {
                Width::Zmm => (EVEX_Vshuff32x4_zmm_k1z_zmm_zmmm512b32_imm8, Some(zmm)),
                Width::Ymm => (VEX_Vperm2f128_ymm_ymm_ymmm256_imm8, Some(ymm)),
            };
        }
    };
    (pick(width, zmm, ymm), None)
}

/// From numbers of 32 bits in half a vector to such of 64.
pub(super) fn widen(number: Number, width: Width) -> Code {
    use Code::*;
    let (zmm, ymm) = match number {
        Number::Signed => (EVEX_Vpmovsxdq_zmm_k1z_ymmm256, VEX_Vpmovsxdq_ymm_xmmm128),
        Number::Float => (EVEX_Vcvtps2pd_zmm_k1z_ymmm256b32_sae, VEX_Vcvtps2pd_ymm_xmmm128),
    };
    pick(width, zmm, ymm)
}

/// From floats of 64 bits to such of 32 in half a vector.
pub(super) fn narrow(width: Width) -> Code {
    pick(width, Code::EVEX_Vcvtpd2ps_ymm_k1z_zmmm512b64_er, Code::VEX_Vcvtpd2ps_xmm_ymmm256)
}

/// The code that chooses lanes by a mask.
pub(super) fn choose(is_wide: bool, width: Width) -> Code {
    use Code::*;
    let (zmm, ymm) = match is_wide {
        true => (EVEX_Vblendmpd_zmm_k1z_zmm_zmmm512b64, VEX_Vblendvpd_ymm_ymm_ymmm256_ymm),
        false => (EVEX_Vblendmps_zmm_k1z_zmm_zmmm512b32, VEX_Vblendvps_ymm_ymm_ymmm256_ymm),
    };
    pick(width, zmm, ymm)
}

/// The upper half of a vector, with the immediate 1.
pub(super) fn upper_half(width: Width) -> Code {
    use Code::*;
    pick(width, EVEX_Vextracti64x4_ymmm256_k1z_zmm_imm8, VEX_Vextracti128_xmmm128_ymm_imm8)
}

/// Moves of whole vectors.
pub(super) struct Moves {
    pub(super) load: Code,
    pub(super) store: Code,
    pub(super) copy: Code,
    pub(super) splat: Code,
    pub(super) splat_wide: Code,
    pub(super) store_one: Code,
    pub(super) store_two: Code,
    pub(super) xor: Code,
}

pub(super) fn moves(width: Width) -> Moves {
    use Code::*;
    match width {
        Width::Zmm => Moves {
            load: EVEX_Vmovups_zmm_k1z_zmmm512,
            store: EVEX_Vmovups_zmmm512_k1z_zmm,
            copy: EVEX_Vmovaps_zmm_k1z_zmmm512,
            splat: EVEX_Vbroadcastss_zmm_k1z_xmmm32,
            splat_wide: EVEX_Vbroadcastsd_zmm_k1z_xmmm64,
            store_one: EVEX_Vmovss_m32_k1_xmm,
            store_two: EVEX_Vmovq_xmmm64_xmm,
            xor: EVEX_Vpxord_zmm_k1z_zmm_zmmm512b32,
        },
        Width::Ymm => Moves {
            load: VEX_Vmovups_ymm_ymmm256,
            store: VEX_Vmovups_ymmm256_ymm,
            copy: VEX_Vmovaps_ymm_ymmm256,
            splat: VEX_Vbroadcastss_ymm_m32,
            splat_wide: VEX_Vbroadcastsd_ymm_m64,
            store_one: VEX_Vmovss_m32_xmm,
            store_two: VEX_Vmovq_xmmm64_xmm,
            xor: VEX_Vpxor_ymm_ymm_ymmm256,
        },
    }
}

fn pick(width: Width, zmm: Code, ymm: Code) -> Code {
    match width {
        Width::Zmm => zmm,
        Width::Ymm => ymm,
    }
}
