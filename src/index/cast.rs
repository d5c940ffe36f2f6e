//! One id of any numeric type to an integer. Two casts: the checked one, and C's to int32.

use half::{bf16, f16};

use super::ids::IdData;
use super::value::{IdType, IdValue};

/// A type that ids may have: i8 to i64, u8 to u64, usize, bool, f16, bf16, f32, f64. Sealed.
pub trait Id: sealed::Cast {}

pub(crate) mod sealed {
    use super::*;

    /// The casts, written without branches so that the check pass vectorizes.
    pub trait Cast: Copy + Send + Sync + 'static {
        const TYPE: IdType;

        /// The integer part, and whether it is finite and fits an i64.
        fn checked(self) -> (i64, bool);
        /// C's cast to int32, as x86 compilers do it.
        fn wrapped(self) -> i32;
        fn value(self) -> IdValue;
        fn data(slice: &[Self]) -> IdData<'_>;
    }
}

macro_rules! integer_ids {
    ($($t:ty: $name:ident $value:ident $wide:ty;)*) => { $(
        impl Id for $t {}
        impl sealed::Cast for $t {
            const TYPE: IdType = IdType::$name;

            #[inline(always)]
            fn checked(self) -> (i64, bool) {
                // Only values above i64::MAX come out negative without having been so.
                let wide = self as i64;
                #[allow(unused_comparisons)]
                (wide, (wide < 0) == (self < 0))
            }
            #[inline(always)]
            fn wrapped(self) -> i32 {
                self as i32
            }
            fn value(self) -> IdValue {
                IdValue::$value(self as $wide)
            }
            fn data(slice: &[$t]) -> IdData<'_> {
                IdData::$name(slice)
            }
        }
    )* };
}

integer_ids! {
    i8: I8 Int i64;
    i16: I16 Int i64;
    i32: I32 Int i64;
    i64: I64 Int i64;
    u8: U8 UInt u64;
    u16: U16 UInt u64;
    u32: U32 UInt u64;
    u64: U64 UInt u64;
    usize: Usize UInt u64;
}

impl Id for bool {}
impl sealed::Cast for bool {
    const TYPE: IdType = IdType::Bool;

    #[inline(always)]
    fn checked(self) -> (i64, bool) {
        (i64::from(self), true)
    }
    #[inline(always)]
    fn wrapped(self) -> i32 {
        i32::from(self)
    }
    fn value(self) -> IdValue {
        IdValue::Bool(self)
    }
    fn data(slice: &[bool]) -> IdData<'_> {
        IdData::Bool(slice)
    }
}

/// Floats cast through f64, into which all of them widen exactly.
macro_rules! float_ids {
    ($($t:ty: $name:ident $widen:expr;)*) => { $(
        impl Id for $t {}
        impl sealed::Cast for $t {
            const TYPE: IdType = IdType::$name;

            #[inline(always)]
            fn checked(self) -> (i64, bool) {
                let x: f64 = $widen(self);
                // -2^63 and 2^63 are exact, and NaN is in no range.
                (x as i64, (-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&x))
            }
            #[inline(always)]
            fn wrapped(self) -> i32 {
                let x: f64 = $widen(self);
                // What truncates into int32 lies strictly between these; x86 gives the rest -2^31.
                if x > -2_147_483_649.0 && x < 2_147_483_648.0 { x as i32 } else { i32::MIN }
            }
            fn value(self) -> IdValue {
                IdValue::Float($widen(self))
            }
            fn data(slice: &[$t]) -> IdData<'_> {
                IdData::$name(slice)
            }
        }
    )* };
}

float_ids! {
    f16: F16 f16::to_f64_const;
    bf16: BF16 bf16::to_f64_const;
    f32: F32 f64::from;
    f64: F64 std::convert::identity;
}
