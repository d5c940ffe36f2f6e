//! Messages as bytes: a header of eight, then numbers in little-endian order. Whatever is read is checked; a damaged message is an error.

use crate::error::{Error, Result};

use super::room;

/// What a message holds. The numbers are part of the format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The ids of bags.
    Bags = 1,
    /// Ids that are not pooled.
    Ids = 2,
    /// Vectors for the ids.
    Vectors = 3,
    /// Gradients of the vectors.
    Gradients = 4,
    /// Why there is nothing of these.
    Refusal = 255,
}

impl Kind {
    const ALL: [Kind; 5] = [Kind::Bags, Kind::Ids, Kind::Vectors, Kind::Gradients, Kind::Refusal];

    fn name(self) -> &'static str {
        match self {
            Kind::Bags => "ids of bags",
            Kind::Ids => "ids that are not pooled",
            Kind::Vectors => "vectors",
            Kind::Gradients => "gradients",
            Kind::Refusal => "a refusal",
        }
    }
}

/// The first bytes of every message, and the version of the format.
const MAGIC: [u8; 3] = [b'h', b'x', 1];
const HEADER: usize = 8;

/// A message that says, instead of what the others expect, why it does not come.
///
/// ```
/// use hotrow::exchange::{refusal, refused};
///
/// assert_eq!(refused(&refusal("id 12 is out of range")), Some("id 12 is out of range".to_owned()));
/// assert_eq!(refused(&[]), None);
/// ```
pub fn refusal(reason: &str) -> Vec<u8> {
    let mut message = [&MAGIC[..], &[Kind::Refusal as u8], &[0; 4]].concat();
    message.extend_from_slice(reason.as_bytes());
    message
}

/// The reason that a [`refusal`] gives; `None` if the message is none.
pub fn refused(message: &[u8]) -> Option<String> {
    let (header, text) = message.split_at_checked(HEADER)?;
    let is_refusal = header[..3] == MAGIC && header[3] == Kind::Refusal as u8;
    is_refusal.then(|| String::from_utf8_lossy(text).into_owned())
}

/// A message that is being written.
#[derive(Debug)]
pub(super) struct Writer(Vec<u8>);

impl Writer {
    /// A message of a kind, with one number: how many examples it is about.
    pub(super) fn new(kind: Kind, count: u32, bytes: usize) -> Result<Writer> {
        let mut message = room(HEADER + bytes)?;
        message.extend_from_slice(&MAGIC);
        message.push(kind as u8);
        message.extend_from_slice(&count.to_le_bytes());
        Ok(Writer(message))
    }

    pub(super) fn u8(&mut self, value: u8) {
        self.0.push(value);
    }

    pub(super) fn u32(&mut self, value: u32) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    /// Values of `N` bytes each, as `put` has them.
    pub(super) fn values<const N: usize, T: Copy>(&mut self, values: &[T], put: impl Fn(T) -> [u8; N]) {
        let start = self.0.len();
        self.0.resize(start + values.len() * N, 0);
        let (to, _) = self.0[start..].as_chunks_mut::<N>();
        for (to, &value) in to.iter_mut().zip(values) {
            *to = put(value);
        }
    }

    pub(super) fn u16s(&mut self, values: &[u16]) {
        if cfg!(target_endian = "little") {
            self.0.extend_from_slice(bytemuck::cast_slice(values));
        } else {
            self.values(values, u16::to_le_bytes);
        }
    }

    pub(super) fn u32s(&mut self, values: &[u32]) {
        if cfg!(target_endian = "little") {
            self.0.extend_from_slice(bytemuck::cast_slice(values));
        } else {
            self.values(values, u32::to_le_bytes);
        }
    }

    pub(super) fn f32s(&mut self, values: &[f32]) {
        if cfg!(target_endian = "little") {
            self.0.extend_from_slice(bytemuck::cast_slice(values));
        } else {
            self.values(values, f32::to_le_bytes);
        }
    }

    /// Numbers in as few bytes each as the greatest needs, or as one where all are equal.
    pub(super) fn numbers(&mut self, numbers: &[u32]) {
        let greatest = numbers.iter().copied().max().unwrap_or(0);
        if numbers.iter().all(|&number| number == greatest) {
            self.u8(0);
            self.u32(greatest);
            // Nothing else in the message would say how many these are.
            self.u32(numbers.len() as u32);
        } else if greatest <= u32::from(u8::MAX) {
            self.u8(1);
            self.values(numbers, |number| [number as u8]);
        } else if greatest <= u32::from(u16::MAX) {
            self.u8(2);
            self.values(numbers, |number| (number as u16).to_le_bytes());
        } else {
            self.u8(4);
            self.u32s(numbers);
        }
    }

    pub(super) fn finish(self) -> Vec<u8> {
        self.0
    }
}

/// What is left of a message that is being read.
#[derive(Clone, Debug)]
pub(super) struct Reader<'a> {
    rest: &'a [u8],
    /// Whose message it is.
    rank: usize,
}

impl<'a> Reader<'a> {
    /// Reads the header of a message that must be of this kind, and its number.
    pub(super) fn open(message: &'a [u8], rank: usize, kind: Kind) -> Result<(Reader<'a>, u32)> {
        let mut reader = Reader { rest: message, rank };
        let header = reader.take(HEADER)?;
        if header[..3] != MAGIC {
            return Err(reader.damaged("it is no message of this version of hotrow"));
        }
        if header[3] != kind as u8 {
            let found = Kind::ALL.iter().find(|known| **known as u8 == header[3]).map_or("something else", |kind| kind.name());
            let expected = kind.name();
            return Err(
                reader.damaged(format!("it holds {found} where {expected} were expected: every rank must make the same calls"))
            );
        }
        let count = u32::from_le_bytes([header[4], header[5], header[6], header[7]]);
        Ok((reader, count))
    }

    pub(super) fn damaged(&self, problem: impl Into<String>) -> Error {
        Error::DamagedMessage { rank: self.rank, problem: problem.into() }
    }

    pub(super) fn take(&mut self, bytes: usize) -> Result<&'a [u8]> {
        match self.rest.split_at_checked(bytes) {
            Some((taken, rest)) => {
                self.rest = rest;
                Ok(taken)
            }
            None => Err(self.damaged(format!("it ends {} bytes too early", bytes - self.rest.len()))),
        }
    }

    pub(super) fn u8(&mut self) -> Result<u8> {
        Ok(self.take(1)?[0])
    }

    pub(super) fn u32(&mut self) -> Result<u32> {
        let bytes = self.take(4)?;
        Ok(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    }

    /// The bytes of `count` values of `size` bytes each.
    pub(super) fn values(&mut self, count: usize, size: usize) -> Result<&'a [u8]> {
        self.take(count.checked_mul(size).ok_or_else(|| self.damaged(format!("{count} values cannot be in it")))?)
    }

    /// `count` numbers, as [`Writer::numbers`] wrote them.
    pub(super) fn numbers(&mut self, count: usize) -> Result<Numbers<'a>> {
        let width = self.u8()?;
        match width {
            0 => {
                let (value, written) = (self.u32()?, self.u32()?);
                if written as usize != count {
                    return Err(self.damaged(format!("it has {written} numbers where {count} were expected")));
                }
                Ok(Numbers { bytes: &[], width, value, count })
            }
            1 | 2 | 4 => Ok(Numbers { bytes: self.values(count, usize::from(width))?, width, value: 0, count }),
            _ => Err(self.damaged(format!("it has numbers of {width} bytes"))),
        }
    }

    /// Refuses what is left.
    pub(super) fn end(self) -> Result<()> {
        if self.rest.is_empty() { Ok(()) } else { Err(self.damaged(format!("it has {} bytes too many", self.rest.len()))) }
    }
}

/// Numbers in a message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Numbers<'a> {
    bytes: &'a [u8],
    /// Bytes a number; 0 where all are `value`.
    width: u8,
    value: u32,
    count: usize,
}

impl Numbers<'_> {
    /// The sum, which 64 bits always hold.
    pub(super) fn sum(&self) -> u64 {
        if self.width == 0 {
            return u64::from(self.value) * self.count as u64;
        }
        let mut sum = 0;
        self.each(|number| sum += u64::from(number));
        sum
    }

    /// Calls `take` with each number in order.
    pub(super) fn each(&self, mut take: impl FnMut(u32)) {
        match self.width {
            0 => (0..self.count).for_each(|_| take(self.value)),
            1 => self.bytes.iter().for_each(|&byte| take(u32::from(byte))),
            2 => self.bytes.as_chunks::<2>().0.iter().for_each(|bytes| take(u32::from(u16::from_le_bytes(*bytes)))),
            _ => u32s(self.bytes).for_each(take),
        }
    }
}

/// Bytes as numbers of four.
pub(super) fn u32s(bytes: &[u8]) -> impl Iterator<Item = u32> + '_ {
    bytes.as_chunks::<4>().0.iter().map(|bytes| u32::from_le_bytes(*bytes))
}

/// Bytes as numbers of four.
pub(super) fn f32s(bytes: &[u8]) -> impl Iterator<Item = f32> + '_ {
    bytes.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes))
}
