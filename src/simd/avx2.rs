//! 256-bit vectors.
#![allow(unsafe_code)]

use std::arch::x86_64::*;

use half::{bf16, f16};

use super::{CACHE_LINE, Kernel, Out, Simd};

/// Proof that the processor has AVX2, FMA and F16C.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Avx2(());

impl Avx2 {
    pub(super) fn new() -> Option<Avx2> {
        let present = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") && is_x86_feature_detected!("f16c");
        present.then_some(Avx2(()))
    }

    #[inline]
    pub(super) fn enter<K: Kernel>(self, kernel: K) -> K::Output {
        // Never inlined: into code without these features it cannot be, and kernels call one another to be compiled apart.
        #[inline(never)]
        #[target_feature(enable = "avx2,fma,f16c")]
        fn with_features<K: Kernel>(tier: Avx2, kernel: K) -> K::Output {
            kernel.run(tier)
        }
        // SAFETY: `self` exists, so the processor has these features.
        unsafe { with_features(self, kernel) }
    }
}

impl Simd for Avx2 {
    type V = __m256;
    const LANES: usize = 8;

    #[inline(always)]
    fn call<K: Kernel>(self, kernel: K) -> K::Output {
        self.enter(kernel)
    }

    #[inline(always)]
    fn splat(self, x: f32) -> __m256 {
        // SAFETY: `self` proves AVX.
        unsafe { _mm256_set1_ps(x) }
    }

    #[inline(always)]
    fn add(self, a: __m256, b: __m256) -> __m256 {
        // SAFETY: `self` proves AVX.
        unsafe { _mm256_add_ps(a, b) }
    }

    #[inline(always)]
    fn mul(self, a: __m256, b: __m256) -> __m256 {
        // SAFETY: `self` proves AVX.
        unsafe { _mm256_mul_ps(a, b) }
    }

    #[inline(always)]
    fn sub(self, a: __m256, b: __m256) -> __m256 {
        // SAFETY: `self` proves AVX.
        unsafe { _mm256_sub_ps(a, b) }
    }

    #[inline(always)]
    fn div(self, a: __m256, b: __m256) -> __m256 {
        // SAFETY: `self` proves AVX.
        unsafe { _mm256_div_ps(a, b) }
    }

    #[inline(always)]
    fn sqrt(self, v: __m256) -> __m256 {
        // SAFETY: `self` proves AVX.
        unsafe { _mm256_sqrt_ps(v) }
    }

    #[inline(always)]
    fn abs(self, v: __m256) -> __m256 {
        // SAFETY: `self` proves AVX.
        unsafe { _mm256_andnot_ps(_mm256_set1_ps(-0.0), v) }
    }

    #[inline(always)]
    fn select_gt(self, a: __m256, b: __m256, x: __m256, y: __m256) -> __m256 {
        // SAFETY: `self` proves AVX.
        unsafe { _mm256_blendv_ps(y, x, _mm256_cmp_ps::<_CMP_GT_OQ>(a, b)) }
    }

    #[inline(always)]
    fn fold(self, parts: &[[f32; 16]; 16]) -> [f32; 16] {
        let mut sums = [0.0; 16];
        let mut at = 0;
        while at < 16 {
            // SAFETY: each load is of one half of an array of sixteen values, and the store of half of another, since `at` is 0 or 8; no
            // alignment asked; `self` proves AVX2.
            unsafe {
                // Macros: a closure would be a function without the tier's features.
                macro_rules! eight {
                    ($row:expr) => {{
                        let row = parts[at + $row].as_ptr();
                        _mm256_add_ps(_mm256_loadu_ps(row), _mm256_loadu_ps(row.add(8)))
                    }};
                }
                // Halves of two rows beside each other, and their sum: of four values, by blocks of four.
                macro_rules! four {
                    ($row:expr) => {{
                        let (a, b) = (eight!($row), eight!($row + 1));
                        _mm256_add_ps(_mm256_permute2f128_ps::<0x20>(a, b), _mm256_permute2f128_ps::<0x31>(a, b))
                    }};
                }
                // Block `b` of `four!(row)` is of row `row + b`. Within a block, halves of two values and of one.
                macro_rules! two {
                    ($row:expr) => {{
                        let (a, b) = (four!($row), four!($row + 2));
                        _mm256_add_ps(_mm256_shuffle_ps::<0x44>(a, b), _mm256_shuffle_ps::<0xee>(a, b))
                    }};
                }
                let (a, b) = (two!(0), two!(4));
                let one = _mm256_add_ps(_mm256_shuffle_ps::<0x88>(a, b), _mm256_shuffle_ps::<0xdd>(a, b));
                // Value `i` of block `b` is the sum of row `2 * i + b`.
                let order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
                _mm256_storeu_ps(sums.as_mut_ptr().add(at), _mm256_permutevar8x32_ps(one, order));
            }
            at += 8;
        }
        sums
    }

    #[inline(always)]
    fn load_f32(self, from: &[f32]) -> __m256 {
        assert!(from.len() >= 8);
        // SAFETY: eight values are there; the load asks for no alignment; `self` proves AVX.
        unsafe { _mm256_loadu_ps(from.as_ptr()) }
    }

    #[inline(always)]
    fn load_f16(self, from: &[f16]) -> __m256 {
        assert!(from.len() >= 8);
        // SAFETY: eight 16-bit values are there (`f16` is a transparent `u16`); no alignment asked; `self` proves F16C.
        unsafe { _mm256_cvtph_ps(_mm_loadu_si128(from.as_ptr().cast())) }
    }

    #[inline(always)]
    fn load_bf16(self, from: &[bf16]) -> __m256 {
        assert!(from.len() >= 8);
        // SAFETY: eight 16-bit values are there (`bf16` is a transparent `u16`); no alignment asked; `self` proves AVX2.
        unsafe {
            let wide = _mm256_cvtepu16_epi32(_mm_loadu_si128(from.as_ptr().cast()));
            _mm256_castsi256_ps(_mm256_slli_epi32::<16>(wide))
        }
    }

    #[inline(always)]
    fn store_f32(self, v: __m256, to: &mut [f32]) {
        assert!(to.len() >= 8);
        // SAFETY: there is room for eight values; no alignment asked; `self` proves AVX.
        unsafe { _mm256_storeu_ps(to.as_mut_ptr(), v) }
    }

    #[inline(always)]
    fn store_f16(self, v: __m256, to: &mut [f16]) {
        assert!(to.len() >= 8);
        // SAFETY: there is room for eight 16-bit values; no alignment asked; `self` proves F16C.
        unsafe { _mm_storeu_si128(to.as_mut_ptr().cast(), _mm256_cvtps_ph::<ROUND>(v)) }
    }

    #[inline(always)]
    fn store_bf16(self, v: __m256, to: &mut [bf16]) {
        assert!(to.len() >= 8);
        // SAFETY: there is room for eight 16-bit values; no alignment asked; `self` proves AVX2.
        unsafe {
            let bits = _mm256_castps_si256(v);
            let high = _mm256_srli_epi32::<16>(bits);
            let even = _mm256_and_si256(high, _mm256_set1_epi32(1));
            let biased = _mm256_add_epi32(bits, _mm256_add_epi32(even, _mm256_set1_epi32(0x7fff)));
            let rounded = _mm256_srli_epi32::<16>(biased);
            let nan = _mm256_or_si256(high, _mm256_set1_epi32(0x0040));
            let is_nan = _mm256_castps_si256(_mm256_cmp_ps::<_CMP_UNORD_Q>(v, v));
            let chosen = _mm256_blendv_epi8(rounded, nan, is_nan);
            let packed = _mm_packus_epi32(_mm256_castsi256_si128(chosen), _mm256_extracti128_si256::<1>(chosen));
            _mm_storeu_si128(to.as_mut_ptr().cast(), packed);
        }
    }

    #[inline(always)]
    fn write_f32(self, v: __m256, to: &mut Out<'_, f32>) {
        let target = to.advance(8);
        // SAFETY: there is room for eight values; no alignment asked; `self` proves AVX.
        unsafe { _mm256_storeu_ps(target, v) }
    }

    #[inline(always)]
    fn copy<T: Copy>(self, from: &[T], to: &mut Out<'_, T>) {
        let bytes = size_of_val(from);
        if bytes < 32 {
            return to.push_slice(from);
        }
        let (source, target) = (from.as_ptr().cast::<u8>(), to.advance(from.len()).cast::<u8>());
        let mut at = 0;
        while at + 32 <= bytes {
            // SAFETY: bytes `at..at + 32` are inside both slices; no alignment asked; `self` proves AVX.
            unsafe { _mm256_storeu_si256(target.add(at).cast(), _mm256_loadu_si256(source.add(at).cast())) };
            at += 32;
        }
        if at < bytes {
            // The tail overlaps what was just copied: the same bytes are written again.
            let last = bytes - 32;
            // SAFETY: `bytes >= 32`, so the last 32 bytes are inside both slices; as above.
            unsafe { _mm256_storeu_si256(target.add(last).cast(), _mm256_loadu_si256(source.add(last).cast())) };
        }
    }

    #[inline(always)]
    fn stream<T: Copy>(self, from: &[T], to: &mut Out<'_, T>) {
        let bytes = size_of_val(from);
        if !(to.is_aligned() && bytes.is_multiple_of(CACHE_LINE)) {
            return self.copy(from, to);
        }
        let (source, target) = (from.as_ptr().cast::<u8>(), to.advance(from.len()).cast::<u8>());
        let mut at = 0;
        while at < bytes {
            // SAFETY: `bytes` is a multiple of 32, so bytes `at..at + 32` are inside both slices; the target is aligned to a cache
            // line, as streaming stores ask; `self` proves AVX.
            unsafe { _mm256_stream_si256(target.add(at).cast(), _mm256_loadu_si256(source.add(at).cast())) };
            at += 32;
        }
    }

    #[inline(always)]
    fn stream_f32(self, v: __m256, to: &mut Out<'_, f32>) {
        let target = to.advance(8);
        if !target.addr().is_multiple_of(32) {
            // SAFETY: there is room for eight values; no alignment asked; `self` proves AVX.
            return unsafe { _mm256_storeu_ps(target, v) };
        }
        // SAFETY: there is room for eight values; the target is aligned as asked; `self` proves AVX.
        unsafe { _mm256_stream_ps(target, v) }
    }

    #[inline(always)]
    fn fence(self) {
        // SAFETY: the instruction (SSE) belongs to every x86-64 processor.
        unsafe { _mm_sfence() }
    }
}

const ROUND: i32 = _MM_FROUND_TO_NEAREST_INT;
