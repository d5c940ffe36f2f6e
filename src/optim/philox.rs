//! Philox4x32-10, the counter-based generator of Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3"
//! (2011): random numbers that depend on a key and a counter alone, so it does not matter who draws them, or when.

const MULTIPLIERS: [u32; 2] = [0xd251_1f53, 0xcd9e_8d57];
const KEY_STEPS: [u32; 2] = [0x9e37_79b9, 0xbb67_ae85];
const ROUNDS: usize = 10;

/// The four random words of one counter.
pub(crate) fn philox(counter: [u32; 4], key: [u32; 2]) -> [u32; 4] {
    let ([mut a, mut b, mut c, mut d], [mut k, mut l]) = (counter, key);
    for _ in 0..ROUNDS {
        let left = u64::from(MULTIPLIERS[0]) * u64::from(a);
        let right = u64::from(MULTIPLIERS[1]) * u64::from(c);
        (a, b, c, d) = ((right >> 32) as u32 ^ b ^ k, right as u32, (left >> 32) as u32 ^ d ^ l, left as u32);
        k = k.wrapping_add(KEY_STEPS[0]);
        l = l.wrapping_add(KEY_STEPS[1]);
    }
    [a, b, c, d]
}

/// How many counters [`philox_run`] takes at once.
const COUNTERS: usize = 16;

/// The words of [`philox_run`].
pub(crate) const RUN: usize = 4 * COUNTERS;

/// The words of sixteen counters that differ in their second word, which counts up from `counter[1]`. The same arithmetic in
/// arrays, which compilers turn into vectors.
#[inline(always)]
pub(crate) fn philox_run(counter: [u32; 4], key: [u32; 2]) -> [u32; RUN] {
    let (mut a, mut b, mut c, mut d) = ([counter[0]; COUNTERS], [0; COUNTERS], [counter[2]; COUNTERS], [counter[3]; COUNTERS]);
    for (i, word) in b.iter_mut().enumerate() {
        *word = counter[1].wrapping_add(i as u32);
    }
    let [mut k, mut l] = key;
    for _ in 0..ROUNDS {
        for i in 0..COUNTERS {
            let left = u64::from(MULTIPLIERS[0]) * u64::from(a[i]);
            let right = u64::from(MULTIPLIERS[1]) * u64::from(c[i]);
            a[i] = (right >> 32) as u32 ^ b[i] ^ k;
            b[i] = right as u32;
            c[i] = (left >> 32) as u32 ^ d[i] ^ l;
            d[i] = left as u32;
        }
        k = k.wrapping_add(KEY_STEPS[0]);
        l = l.wrapping_add(KEY_STEPS[1]);
    }
    let mut words = [0; RUN];
    for i in 0..COUNTERS {
        words[4 * i] = a[i];
        words[4 * i + 1] = b[i];
        words[4 * i + 2] = c[i];
        words[4 * i + 3] = d[i];
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The known answers of the Random123 distribution (`kat_vectors`, philox4x32 with 10 rounds).
    #[test]
    fn known_answers() {
        assert_eq!(philox([0; 4], [0; 2]), [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
        assert_eq!(philox([u32::MAX; 4], [u32::MAX; 2]), [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]);
        let counter = [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344];
        assert_eq!(philox(counter, [0xa409_3822, 0x299f_31d0]), [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]);
    }

    #[test]
    fn a_run_is_its_counters_one_by_one() {
        for counter in [[0; 4], [7, 1000, 3, 9], [u32::MAX, u32::MAX - 3, 5, u32::MAX]] {
            let run = philox_run(counter, [11, 13]);
            for (i, words) in run.chunks(4).enumerate() {
                let [a, b, c, d] = counter;
                assert_eq!(words, philox([a, b.wrapping_add(i as u32), c, d], [11, 13]));
            }
        }
    }
}
