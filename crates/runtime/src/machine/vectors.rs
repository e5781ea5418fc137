//! Loops that only multiply or only read, with the widest vectors this processor has.

use super::AlignedBytes;

/// The number of chains of dependent operations: more than latency times units of any core.
const N_CHAINS: usize = 12;

/// The unrolled reads of an iteration, in vectors.
const N_READS: usize = 8;

/// Runs `n_steps` fused multiply-adds on each of 12 chains of vectors; gives the number of
/// floating-point operations and something that depends on all of them.
pub(crate) fn multiply_add(n_steps: u64) -> (u64, f32) {
    #[cfg(target_arch = "x86_64")]
    {
        if is_x86_feature_detected!("avx512f") {
            // SAFETY: The processor has the feature.
            return unsafe { x86_64::multiply_add_512(n_steps) };
        }
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            // SAFETY: The processor has the features.
            return unsafe { x86_64::multiply_add_256(n_steps) };
        }
    }
    multiply_add_128(n_steps)
}

/// Reads all of some bytes, but for a rest shorter than 8 vectors; gives the number of bytes read
/// and something that depends on all of them.
pub(crate) fn read(bytes: &AlignedBytes) -> (u64, f32) {
    #[cfg(target_arch = "x86_64")]
    {
        if is_x86_feature_detected!("avx512f") {
            // SAFETY: The processor has the feature.
            return unsafe { x86_64::read_512(bytes) };
        }
        if is_x86_feature_detected!("avx") {
            // SAFETY: The processor has the feature.
            return unsafe { x86_64::read_256(bytes) };
        }
    }
    read_128(bytes)
}

/// Vectors of 128 bits by way of arrays, as every 64-bit processor has them.
fn multiply_add_128(n_steps: u64) -> (u64, f32) {
    let mut chains = [[0.5f32; 4]; N_CHAINS];
    for _ in 0..n_steps {
        for chain in &mut chains {
            // Without the instruction a fused operation would call a function.
            #[cfg(target_arch = "aarch64")]
            chain.iter_mut().for_each(|x| *x = x.mul_add(0.999, 0.001));
            #[cfg(not(target_arch = "aarch64"))]
            chain.iter_mut().for_each(|x| *x = *x * 0.999 + 0.001);
        }
    }
    (n_steps * (N_CHAINS * 4 * 2) as u64, chains.iter().flatten().sum())
}

fn read_128(bytes: &AlignedBytes) -> (u64, f32) {
    let mut sums = [[0u32; 4]; N_READS];
    let blocks = bytes.chunks_exact(N_READS * 16);
    let n_read = (blocks.len() * N_READS * 16) as u64;
    for block in blocks {
        for (sum, vector) in sums.iter_mut().zip(block.chunks_exact(16)) {
            for (sum, word) in sum.iter_mut().zip(vector.chunks_exact(4)) {
                let word = word.try_into().expect("a chunk has the size asked for");
                *sum ^= u32::from_ne_bytes(word);
            }
        }
    }
    (n_read, sums.iter().flatten().fold(0, |a, b| a ^ b) as f32)
}

#[cfg(target_arch = "x86_64")]
mod x86_64 {
    use std::arch::x86_64::*;

    use super::{AlignedBytes, N_CHAINS, N_READS};

    #[target_feature(enable = "avx512f")]
    pub(super) fn multiply_add_512(n_steps: u64) -> (u64, f32) {
        let (x, y) = (_mm512_set1_ps(0.999), _mm512_set1_ps(0.001));
        let mut chains = [_mm512_set1_ps(0.5); N_CHAINS];
        for _ in 0..n_steps {
            for chain in &mut chains {
                *chain = _mm512_fmadd_ps(*chain, x, y);
            }
        }
        let sum = chains.into_iter().fold(_mm512_setzero_ps(), |a, b| _mm512_add_ps(a, b));
        (n_steps * (N_CHAINS * 16 * 2) as u64, _mm512_reduce_add_ps(sum))
    }

    #[target_feature(enable = "avx2,fma")]
    pub(super) fn multiply_add_256(n_steps: u64) -> (u64, f32) {
        let (x, y) = (_mm256_set1_ps(0.999), _mm256_set1_ps(0.001));
        let mut chains = [_mm256_set1_ps(0.5); N_CHAINS];
        for _ in 0..n_steps {
            for chain in &mut chains {
                *chain = _mm256_fmadd_ps(*chain, x, y);
            }
        }
        let sum = chains.into_iter().fold(_mm256_setzero_ps(), |a, b| _mm256_add_ps(a, b));
        (n_steps * (N_CHAINS * 8 * 2) as u64, _mm256_cvtss_f32(sum))
    }

    #[target_feature(enable = "avx512f")]
    pub(super) fn read_512(bytes: &AlignedBytes) -> (u64, f32) {
        let mut sums = [_mm512_setzero_ps(); N_READS];
        let blocks = bytes.chunks_exact(N_READS * 64);
        let n_read = (blocks.len() * N_READS * 64) as u64;
        for block in blocks {
            for (k, sum) in sums.iter_mut().enumerate() {
                // SAFETY: The block holds 8 vectors, and the load asks for no alignment.
                let vector = unsafe { _mm512_loadu_ps(block.as_ptr().add(64 * k).cast()) };
                *sum = _mm512_add_ps(*sum, vector);
            }
        }
        let sum = sums.into_iter().fold(_mm512_setzero_ps(), |a, b| _mm512_add_ps(a, b));
        (n_read, _mm512_reduce_add_ps(sum))
    }

    #[target_feature(enable = "avx")]
    pub(super) fn read_256(bytes: &AlignedBytes) -> (u64, f32) {
        let mut sums = [_mm256_setzero_ps(); N_READS];
        let blocks = bytes.chunks_exact(N_READS * 32);
        let n_read = (blocks.len() * N_READS * 32) as u64;
        for block in blocks {
            for (k, sum) in sums.iter_mut().enumerate() {
                // SAFETY: The block holds 8 vectors, and the load asks for no alignment.
                let vector = unsafe { _mm256_loadu_ps(block.as_ptr().add(32 * k).cast()) };
                *sum = _mm256_add_ps(*sum, vector);
            }
        }
        let sum = sums.into_iter().fold(_mm256_setzero_ps(), |a, b| _mm256_add_ps(a, b));
        (n_read, _mm256_cvtss_f32(sum))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_width_computes_the_fixed_point() {
        // x ← 0.999·x + 0.001 tends to 1 in every lane: the sum is the number of lanes looked at.
        let settled = |(n_flops, sum): (u64, f32), lanes: f32, width: u64| {
            assert_eq!(n_flops, 20_000 * 12 * width * 2);
            assert!((sum / (12.0 * lanes) - 1.0).abs() < 1e-2, "{sum}");
        };
        settled(multiply_add_128(20_000), 4.0, 4);
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                // SAFETY: The processor has the features.
                settled(unsafe { x86_64::multiply_add_256(20_000) }, 1.0, 8);
            }
            if is_x86_feature_detected!("avx512f") {
                // SAFETY: The processor has the feature.
                settled(unsafe { x86_64::multiply_add_512(20_000) }, 16.0, 16);
            }
        }
    }

    #[test]
    fn every_width_reads_every_whole_block() {
        let mut bytes = AlignedBytes::zeroed(3 * 512 + 100);
        for word in bytes[..3 * 512].chunks_exact_mut(4) {
            word.copy_from_slice(&1.0f32.to_ne_bytes());
        }
        assert_eq!(read_128(&bytes).0, 3 * 512);
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx") {
                // SAFETY: The processor has the feature.
                assert_eq!(unsafe { x86_64::read_256(&bytes) }, (3 * 512, 48.0));
            }
            if is_x86_feature_detected!("avx512f") {
                // SAFETY: The processor has the feature.
                assert_eq!(unsafe { x86_64::read_512(&bytes) }, (3 * 512, 384.0));
            }
        }
    }
}
