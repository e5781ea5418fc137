//! The machine that code is compiled for, as plain data.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// A set of instructions that a compiled program may use.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub enum IsaLevel {
    /// x86-64 with SSE4.2 and POPCNT.
    #[serde(rename = "x86-64-v2")]
    X86_64V2,
    /// x86-64 with AVX2, FMA and BMI2.
    #[serde(rename = "x86-64-v3")]
    X86_64V3,
    /// x86-64 with AVX-512 F, BW, CD, DQ and VL.
    #[serde(rename = "x86-64-v4")]
    X86_64V4,
    /// 64-bit Arm with NEON.
    #[serde(rename = "aarch64")]
    Aarch64,
}

/// What the compiler knows of a machine; never how many threads will run.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Target {
    /// The instructions that may be used.
    pub isa: IsaLevel,
    /// The widest vectors that kernels use, in bytes: 16, 32 or 64, and no more than the level has.
    pub vector_bytes: usize,
    /// The first-level data cache of a core, in bytes.
    pub l1d_bytes: usize,
    /// The second-level cache of a core, in bytes.
    pub l2_bytes: usize,
    /// The last-level cache, in bytes.
    pub l3_bytes: usize,
}

/// A target that cannot be compiled for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TargetError {
    /// A name that is none.
    #[error("TL0120: target '{0}' is not known (known: native, {known})", known = known_names())]
    Unknown(String),
    /// The processor of this machine lacks what the lowest level needs.
    #[error("TL0121: this processor is {0}, expected aarch64 or x86-64 with SSE4.2 and POPCNT")]
    UnsupportedHost(&'static str),
    /// A width of vectors that the level does not have.
    #[error(
        "TL0122: {level} has no vectors of {found} bits, expected {expected}\n  \
         hint: leave ':{found}' out for the widest"
    )]
    Width {
        /// The level.
        level: IsaLevel,
        /// What was asked for.
        found: String,
        /// The widths it has.
        expected: String,
    },
}

fn known_names() -> String {
    IsaLevel::ALL.map(IsaLevel::name).join(", ")
}

impl IsaLevel {
    /// Every level, in declaration order.
    pub const ALL: [IsaLevel; 4] =
        [IsaLevel::X86_64V2, IsaLevel::X86_64V3, IsaLevel::X86_64V4, IsaLevel::Aarch64];

    /// The name used in options and text, such as `x86-64-v3`.
    pub fn name(self) -> &'static str {
        match self {
            IsaLevel::X86_64V2 => "x86-64-v2",
            IsaLevel::X86_64V3 => "x86-64-v3",
            IsaLevel::X86_64V4 => "x86-64-v4",
            IsaLevel::Aarch64 => "aarch64",
        }
    }

    /// Bytes of a vector register.
    pub fn vector_bytes(self) -> usize {
        match self {
            IsaLevel::X86_64V2 | IsaLevel::Aarch64 => 16,
            IsaLevel::X86_64V3 => 32,
            IsaLevel::X86_64V4 => 64,
        }
    }

    /// The number of vector registers.
    pub fn n_vector_registers(self) -> usize {
        match self {
            IsaLevel::X86_64V2 | IsaLevel::X86_64V3 => 16,
            IsaLevel::X86_64V4 | IsaLevel::Aarch64 => 32,
        }
    }

    /// The highest level of this machine's processor, or `None` below the lowest.
    pub fn host() -> Option<IsaLevel> {
        host_level()
    }
}

#[cfg(target_arch = "x86_64")]
fn host_level() -> Option<IsaLevel> {
    macro_rules! has {
        ($($feature:tt)*) => { true $(&& is_x86_feature_detected!($feature))* };
    }
    if !has!("ssse3" "sse4.1" "sse4.2" "popcnt" "cmpxchg16b") {
        None
    } else if !has!("avx" "avx2" "fma" "f16c" "bmi1" "bmi2" "lzcnt" "movbe") {
        Some(IsaLevel::X86_64V2)
    } else if !has!("avx512f" "avx512bw" "avx512cd" "avx512dq" "avx512vl") {
        Some(IsaLevel::X86_64V3)
    } else {
        Some(IsaLevel::X86_64V4)
    }
}

#[cfg(target_arch = "aarch64")]
fn host_level() -> Option<IsaLevel> {
    Some(IsaLevel::Aarch64)
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn host_level() -> Option<IsaLevel> {
    None
}

impl fmt::Display for IsaLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for IsaLevel {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = IsaLevel::ALL.into_iter().find(|level| level.name() == text);
        found.ok_or_else(|| TargetError::Unknown(text.to_string()))
    }
}

impl Target {
    /// A typical machine of a level: caches of 32 KiB, 512 KiB and 8 MiB.
    pub fn typical(isa: IsaLevel) -> Target {
        let vector_bytes = isa.vector_bytes();
        Target { isa, vector_bytes, l1d_bytes: 32 << 10, l2_bytes: 512 << 10, l3_bytes: 8 << 20 }
    }

    /// Reads `native` or the name of a level, which means its typical machine; `:BITS` behind it
    /// narrows the vectors, as in `x86-64-v4:256`.
    ///
    /// # Errors
    /// When the name is none, the level has no such vectors, or `native` is asked for on a processor
    /// below the lowest level.
    pub fn parse(text: &str) -> Result<Target, TargetError> {
        let (name, bits) = text.split_once(':').map_or((text, None), |(n, b)| (n, Some(b)));
        let target = match name {
            "native" => Target::host()?,
            _ => Target::typical(name.parse()?),
        };
        let Some(bits) = bits else { return Ok(target) };
        let widths: Vec<usize> =
            [16, 32, 64].into_iter().filter(|&w| w <= target.isa.vector_bytes()).collect();
        match widths.iter().find(|w| (*w * 8).to_string() == bits) {
            Some(&vector_bytes) => Ok(Target { vector_bytes, ..target }),
            None => Err(TargetError::Width {
                level: target.isa,
                found: bits.to_string(),
                expected: widths.iter().map(|w| (w * 8).to_string()).collect::<Vec<_>>().join(", "),
            }),
        }
    }

    /// The name that [`Target::parse`] reads, without the caches: `x86-64-v4`, `x86-64-v4:256`.
    pub fn name(&self) -> String {
        match self.vector_bytes == self.isa.vector_bytes() {
            true => self.isa.to_string(),
            false => format!("{}:{}", self.isa, 8 * self.vector_bytes),
        }
    }

    /// This machine: its highest level, and its caches where Linux tells them.
    ///
    /// # Errors
    /// When the processor is below the lowest level.
    pub fn host() -> Result<Target, TargetError> {
        let unsupported = TargetError::UnsupportedHost(std::env::consts::ARCH);
        let typical = Target::typical(IsaLevel::host().ok_or(unsupported)?);
        Ok(Target {
            l1d_bytes: host_cache_bytes(1).unwrap_or(typical.l1d_bytes),
            l2_bytes: host_cache_bytes(2).unwrap_or(typical.l2_bytes),
            l3_bytes: host_cache_bytes(3).unwrap_or(typical.l3_bytes),
            ..typical
        })
    }

    /// Whether this machine runs code for the target.
    pub fn runs_here(&self) -> bool {
        let place = |level| IsaLevel::ALL.iter().position(|l| *l == level);
        IsaLevel::host().is_some_and(|host| match self.isa {
            IsaLevel::Aarch64 => host == IsaLevel::Aarch64,
            level => host != IsaLevel::Aarch64 && place(level) <= place(host),
        })
    }

    /// The number of vector registers of the width in use.
    pub fn n_vector_registers(&self) -> usize {
        if self.vector_bytes == 64 { 32 } else { 16 }
    }
}

/// The size of the first processor's cache of a level that holds data.
fn host_cache_bytes(level: u8) -> Option<usize> {
    (0..8).find_map(|index| {
        let folder = format!("/sys/devices/system/cpu/cpu0/cache/index{index}");
        let read = |name| std::fs::read_to_string(format!("{folder}/{name}")).ok();
        let is_wanted =
            read("level")?.trim() == level.to_string() && read("type")?.trim() != "Instruction";
        if is_wanted { parse_size(read("size")?.trim()) } else { None }
    })
}

/// Reads `32K` or `16M`; zero means unknown.
fn parse_size(text: &str) -> Option<usize> {
    let (digits, unit) = match text.as_bytes().last()? {
        b'K' => (&text[..text.len() - 1], 1 << 10),
        b'M' => (&text[..text.len() - 1], 1 << 20),
        b'G' => (&text[..text.len() - 1], 1 << 30),
        _ => (text, 1),
    };
    digits.parse::<usize>().ok()?.checked_mul(unit).filter(|&bytes| bytes > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back() {
        for level in IsaLevel::ALL {
            assert_eq!(level.to_string().parse(), Ok(level));
            assert_eq!(Target::parse(level.name()), Ok(Target::typical(level)));
        }
        let error = Target::parse("x86-64-v9").unwrap_err().to_string();
        assert_eq!(
            error,
            "TL0120: target 'x86-64-v9' is not known \
             (known: native, x86-64-v2, x86-64-v3, x86-64-v4, aarch64)"
        );
    }

    #[test]
    fn narrower_vectors_are_named() {
        let target = Target::parse("x86-64-v4:256").unwrap();
        assert_eq!((target.vector_bytes, target.name().as_str()), (32, "x86-64-v4:256"));
        let error = Target::parse("x86-64-v3:512").unwrap_err().to_string();
        assert!(error.contains("no vectors of 512 bits, expected 128, 256"), "{error}");
    }

    #[test]
    fn the_host_has_caches_in_order() {
        let host = Target::parse("native").unwrap();
        assert!(0 < host.l1d_bytes && host.l1d_bytes <= host.l2_bytes, "{host:?}");
    }

    #[test]
    fn sizes_read_with_their_units() {
        assert_eq!(parse_size("48K"), Some(48 << 10));
        assert_eq!(parse_size("2M"), Some(2 << 20));
        for text in ["", "K", "0K", "-1", "99999999999999999999", "99999999999999999G"] {
            assert_eq!(parse_size(text), None, "{text}");
        }
    }
}
