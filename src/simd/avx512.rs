//! 512-bit vectors.
#![allow(unsafe_code)]

use std::arch::x86_64::*;

use half::{bf16, f16};

use super::{CACHE_LINE, Kernel, Out, Simd};

/// Proof that the processor has AVX-512 F, BW and VL.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Avx512(());

impl Avx512 {
    pub(super) fn new() -> Option<Avx512> {
        let present =
            is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bw") && is_x86_feature_detected!("avx512vl");
        present.then_some(Avx512(()))
    }

    #[inline]
    pub(super) fn enter<K: Kernel>(self, kernel: K) -> K::Output {
        // Never inlined: into code without these features it cannot be, and kernels call one another to be compiled apart.
        #[inline(never)]
        #[target_feature(enable = "avx512f,avx512bw,avx512vl")]
        fn with_features<K: Kernel>(tier: Avx512, kernel: K) -> K::Output {
            kernel.run(tier)
        }
        // SAFETY: `self` exists, so the processor has these features.
        unsafe { with_features(self, kernel) }
    }
}

impl Simd for Avx512 {
    type V = __m512;
    const LANES: usize = 16;

    #[inline(always)]
    fn call<K: Kernel>(self, kernel: K) -> K::Output {
        self.enter(kernel)
    }

    #[inline(always)]
    fn splat(self, x: f32) -> __m512 {
        // SAFETY: `self` proves AVX-512 F.
        unsafe { _mm512_set1_ps(x) }
    }

    #[inline(always)]
    fn add(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: `self` proves AVX-512 F.
        unsafe { _mm512_add_ps(a, b) }
    }

    #[inline(always)]
    fn mul(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: `self` proves AVX-512 F.
        unsafe { _mm512_mul_ps(a, b) }
    }

    #[inline(always)]
    fn sub(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: `self` proves AVX-512 F.
        unsafe { _mm512_sub_ps(a, b) }
    }

    #[inline(always)]
    fn div(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: `self` proves AVX-512 F.
        unsafe { _mm512_div_ps(a, b) }
    }

    #[inline(always)]
    fn sqrt(self, v: __m512) -> __m512 {
        // SAFETY: `self` proves AVX-512 F.
        unsafe { _mm512_sqrt_ps(v) }
    }

    #[inline(always)]
    fn abs(self, v: __m512) -> __m512 {
        // SAFETY: `self` proves AVX-512 F.
        unsafe { _mm512_abs_ps(v) }
    }

    #[inline(always)]
    fn select_gt(self, a: __m512, b: __m512, x: __m512, y: __m512) -> __m512 {
        // SAFETY: `self` proves AVX-512 F.
        unsafe { _mm512_mask_blend_ps(_mm512_cmp_ps_mask::<_CMP_GT_OQ>(a, b), y, x) }
    }

    #[inline(always)]
    fn fold(self, parts: &[[f32; 16]; 16]) -> [f32; 16] {
        let mut sums = [0.0; 16];
        // SAFETY: each load and the store are of the sixteen values of an array; no alignment asked; `self` proves AVX-512 F.
        unsafe {
            // Macros: a closure would be a function without the tier's features.
            macro_rules! row {
                ($at:expr) => {
                    _mm512_loadu_ps(parts[$at].as_ptr())
                };
            }
            // Halves of two rows beside each other, and their sum: first of eight values, then of four, by blocks of four values.
            macro_rules! eight {
                ($at:expr) => {{
                    let (a, b) = (row!($at), row!($at + 1));
                    _mm512_add_ps(_mm512_shuffle_f32x4::<0x44>(a, b), _mm512_shuffle_f32x4::<0xee>(a, b))
                }};
            }
            macro_rules! four {
                ($at:expr) => {{
                    let (a, b) = (eight!($at), eight!($at + 2));
                    _mm512_add_ps(_mm512_shuffle_f32x4::<0x88>(a, b), _mm512_shuffle_f32x4::<0xdd>(a, b))
                }};
            }
            // Block `b` of `four!(at)` is of row `at + b`. Within a block, halves of two values and of one.
            macro_rules! two {
                ($at:expr) => {{
                    let (a, b) = (four!($at), four!($at + 4));
                    _mm512_add_ps(_mm512_shuffle_ps::<0x44>(a, b), _mm512_shuffle_ps::<0xee>(a, b))
                }};
            }
            let (a, b) = (two!(0), two!(8));
            let one = _mm512_add_ps(_mm512_shuffle_ps::<0x88>(a, b), _mm512_shuffle_ps::<0xdd>(a, b));
            // Value `i` of block `b` is the sum of row `4 * i + b`.
            let order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
            _mm512_storeu_ps(sums.as_mut_ptr(), _mm512_permutexvar_ps(order, one));
        }
        sums
    }

    #[inline(always)]
    fn load_f32(self, from: &[f32]) -> __m512 {
        assert!(from.len() >= 16);
        // SAFETY: sixteen values are there; the load asks for no alignment; `self` proves AVX-512 F.
        unsafe { _mm512_loadu_ps(from.as_ptr()) }
    }

    #[inline(always)]
    fn load_f16(self, from: &[f16]) -> __m512 {
        assert!(from.len() >= 16);
        // SAFETY: sixteen 16-bit values are there (`f16` is a transparent `u16`); no alignment asked; `self` proves AVX-512 F.
        unsafe { _mm512_cvtph_ps(_mm256_loadu_si256(from.as_ptr().cast())) }
    }

    #[inline(always)]
    fn load_bf16(self, from: &[bf16]) -> __m512 {
        assert!(from.len() >= 16);
        // SAFETY: sixteen 16-bit values are there (`bf16` is a transparent `u16`); no alignment asked; `self` proves AVX-512.
        unsafe {
            let wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256(from.as_ptr().cast()));
            _mm512_castsi512_ps(_mm512_slli_epi32::<16>(wide))
        }
    }

    #[inline(always)]
    fn store_f32(self, v: __m512, to: &mut [f32]) {
        assert!(to.len() >= 16);
        // SAFETY: there is room for sixteen values; no alignment asked; `self` proves AVX-512 F.
        unsafe { _mm512_storeu_ps(to.as_mut_ptr(), v) }
    }

    #[inline(always)]
    fn store_f16(self, v: __m512, to: &mut [f16]) {
        assert!(to.len() >= 16);
        // SAFETY: there is room for sixteen 16-bit values; no alignment asked; `self` proves AVX-512 F.
        unsafe { _mm256_storeu_si256(to.as_mut_ptr().cast(), _mm512_cvtps_ph::<ROUND>(v)) }
    }

    #[inline(always)]
    fn store_bf16(self, v: __m512, to: &mut [bf16]) {
        assert!(to.len() >= 16);
        // SAFETY: there is room for sixteen 16-bit values; no alignment asked; `self` proves AVX-512.
        unsafe {
            let bits = _mm512_castps_si512(v);
            let high = _mm512_srli_epi32::<16>(bits);
            let even = _mm512_and_si512(high, _mm512_set1_epi32(1));
            let biased = _mm512_add_epi32(bits, _mm512_add_epi32(even, _mm512_set1_epi32(0x7fff)));
            let rounded = _mm512_srli_epi32::<16>(biased);
            let nan = _mm512_or_si512(high, _mm512_set1_epi32(0x0040));
            let is_nan = _mm512_cmp_ps_mask::<_CMP_UNORD_Q>(v, v);
            let chosen = _mm512_mask_blend_epi32(is_nan, rounded, nan);
            let packed = _mm512_cvtepi32_epi16(chosen);
            _mm256_storeu_si256(to.as_mut_ptr().cast(), packed);
        }
    }

    #[inline(always)]
    fn write_f32(self, v: __m512, to: &mut Out<'_, f32>) {
        let target = to.advance(16);
        // SAFETY: there is room for sixteen values; no alignment asked; `self` proves AVX-512 F.
        unsafe { _mm512_storeu_ps(target, v) }
    }

    #[inline(always)]
    fn copy<T: Copy>(self, from: &[T], to: &mut Out<'_, T>) {
        let bytes = size_of_val(from);
        if bytes < 64 {
            return to.push_slice(from);
        }
        let (source, target) = (from.as_ptr().cast::<u8>(), to.advance(from.len()).cast::<u8>());
        let mut at = 0;
        while at + 64 <= bytes {
            // SAFETY: bytes `at..at + 64` are inside both slices; no alignment asked; `self` proves AVX-512 F.
            unsafe { _mm512_storeu_si512(target.add(at).cast(), _mm512_loadu_si512(source.add(at).cast())) };
            at += 64;
        }
        if at < bytes {
            // The tail overlaps what was just copied: the same bytes are written again.
            let last = bytes - 64;
            // SAFETY: `bytes >= 64`, so the last 64 bytes are inside both slices; as above.
            unsafe { _mm512_storeu_si512(target.add(last).cast(), _mm512_loadu_si512(source.add(last).cast())) };
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
            // SAFETY: `bytes` is a multiple of 64, so bytes `at..at + 64` are inside both slices; the target is aligned to a cache
            // line, as streaming stores ask; `self` proves AVX-512 F.
            unsafe { _mm512_stream_si512(target.add(at).cast(), _mm512_loadu_si512(source.add(at).cast())) };
            at += 64;
        }
    }

    #[inline(always)]
    fn stream_f32(self, v: __m512, to: &mut Out<'_, f32>) {
        let target = to.advance(16);
        if !target.addr().is_multiple_of(64) {
            // SAFETY: there is room for sixteen values; no alignment asked; `self` proves AVX-512 F.
            return unsafe { _mm512_storeu_ps(target, v) };
        }
        // SAFETY: there is room for sixteen values; the target is aligned as asked; `self` proves AVX-512 F.
        unsafe { _mm512_stream_ps(target, v) }
    }

    #[inline(always)]
    fn fence(self) {
        // SAFETY: the instruction (SSE) belongs to every x86-64 processor.
        unsafe { _mm_sfence() }
    }
}

const ROUND: i32 = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
