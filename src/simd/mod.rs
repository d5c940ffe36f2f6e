//! The only place that knows an instruction set.
//!
//! A *tier* is a zero-size token: [`Portable`](portable::Portable), [`Avx2`](avx2::Avx2), [`Avx512`](avx512::Avx512). Its
//! private field means that only its `new` makes one, and `new` asks the processor. So a function that takes a token
//! may use the tier's instructions without asking again.
//!
//! A kernel is written once over [`Simd`] and entered through [`Tier::run`], which holds the only `#[target_feature]`
//! functions. Everything between that function and the intrinsics is `#[inline(always)]` and no closures: that is what
//! lets the compiler use the wide registers in all of it.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod level;
mod out;
mod portable;

use half::{bf16, f16};

pub use level::Level;
pub(crate) use level::Tier;
pub(crate) use out::Out;

/// The widest vector of any tier, in f32 lanes.
pub(crate) const MAX_LANES: usize = 16;

/// The bytes of a cache line, which is what memory moves.
pub(crate) const CACHE_LINE: usize = 64;

/// Vectors of f32 lanes, and rows of bytes. Slices must hold at least `LANES` values where a whole vector is meant.
pub trait Simd: Copy + Send + Sync + 'static {
    /// A vector of f32.
    type V: Copy;
    /// How many lanes it has.
    const LANES: usize;

    fn splat(self, x: f32) -> Self::V;
    fn add(self, a: Self::V, b: Self::V) -> Self::V;
    fn sub(self, a: Self::V, b: Self::V) -> Self::V;
    fn mul(self, a: Self::V, b: Self::V) -> Self::V;
    fn div(self, a: Self::V, b: Self::V) -> Self::V;
    /// The correctly rounded root.
    fn sqrt(self, v: Self::V) -> Self::V;
    /// Clears the sign bit.
    fn abs(self, v: Self::V) -> Self::V;
    /// Lane by lane: `a > b ? x : y`, with the bits of the one chosen. No NaN is greater or less than anything.
    fn select_gt(self, a: Self::V, b: Self::V, x: Self::V, y: Self::V) -> Self::V;

    /// Sixteen sums, each of sixteen partial sums that are added by halves: `0 + 8` to `7 + 15`, of those `0 + 4` to `3 + 7`, and so on.
    #[inline(always)]
    fn fold(self, parts: &[[f32; 16]; 16]) -> [f32; 16] {
        let mut sums = [0.0; 16];
        for (sum, parts) in sums.iter_mut().zip(parts) {
            let mut parts = *parts;
            let mut width = 8;
            while width > 0 {
                for k in 0..width {
                    parts[k] += parts[k + width];
                }
                width /= 2;
            }
            *sum = parts[0];
        }
        sums
    }

    fn load_f32(self, from: &[f32]) -> Self::V;
    fn load_f16(self, from: &[f16]) -> Self::V;
    fn load_bf16(self, from: &[bf16]) -> Self::V;

    fn store_f32(self, v: Self::V, to: &mut [f32]);
    /// Rounds to nearest even.
    fn store_f16(self, v: Self::V, to: &mut [f16]);
    /// Rounds to nearest even; a NaN stays a NaN.
    fn store_bf16(self, v: Self::V, to: &mut [bf16]);

    /// Writes a whole vector to an output.
    fn write_f32(self, v: Self::V, to: &mut Out<'_, f32>);
    /// Copies a row to an output.
    fn copy<T: Copy>(self, from: &[T], to: &mut Out<'_, T>);
    /// [`copy`](Simd::copy) past the caches. Both the place and the length must be whole cache lines, else it is an ordinary copy.
    fn stream<T: Copy>(self, from: &[T], to: &mut Out<'_, T>);
    /// [`write_f32`](Simd::write_f32) past the caches. The place must be [aligned](Out::is_aligned), else it is an ordinary write.
    fn stream_f32(self, v: Self::V, to: &mut Out<'_, f32>);
    /// Makes what was streamed visible to other threads. Streaming stores are ordered with nothing else.
    fn fence(self);

    /// Runs a part of a kernel as a function of its own. What several kernels need and is large is compiled once then, not into each of them;
    /// a call takes a nanosecond or two.
    fn call<K: Kernel>(self, kernel: K) -> K::Output;

    /// Asks for every cache line of `row`, and returns at once.
    #[inline(always)]
    fn prefetch<T>(self, row: &[T]) {
        prefetch_lines(row);
    }
}

/// A loop that can run on any tier.
pub trait Kernel {
    type Output;
    /// Must be marked `#[inline(always)]`, and must not pass closures on.
    fn run<S: Simd>(self, simd: S) -> Self::Output;
}

#[cfg(target_arch = "x86_64")]
#[inline(always)]
#[allow(unsafe_code)]
pub(crate) fn prefetch_lines<T>(row: &[T]) {
    use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
    // From the start of the line that the row starts in: a row that is not aligned to lines touches one more.
    let start = row.as_ptr().cast::<i8>();
    let inside = start.addr() % CACHE_LINE;
    let (line, bytes) = (start.wrapping_sub(inside), inside + size_of_val(row));
    let mut at = 0;
    while at < bytes {
        // SAFETY: a prefetch reads nothing that the program can see and never faults, whatever the address; the instruction (SSE)
        // belongs to every x86-64 processor.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(line.wrapping_add(at)) };
        at += CACHE_LINE;
    }
}

#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
pub(crate) fn prefetch_lines<T>(_row: &[T]) {
    // Stable Rust has no prefetch for other processors; their own prefetchers and out-of-order windows remain.
}
