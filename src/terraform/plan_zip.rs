//! The outer shape of a plan file. Both tools write the plainest zip archive there is: one entry after the other, then
//! the list of them, then the end. Only that is accepted, because an archive with anything more to it (two entries of
//! one name, other names in the list than at the entries, bytes between them, an end that is not the end) can be read
//! as two different archives by two readers, and then what was verified is not what is applied.

use std::collections::HashSet;

/// An archive that is not shaped as the tools' own are, and how.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("it is an odd zip archive: {0}")]
pub struct OddZip(String);

/// An entry as the list has it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) name: String,
    /// Bytes when unpacked, as declared.
    pub(super) size: u64,
}

const LOCAL: u32 = 0x0403_4b50;
const LISTED: u32 = 0x0201_4b50;
const DESCRIPTOR: u32 = 0x0807_4b50;
const END: u32 = 0x0605_4b50;

/// The bytes of each kind of header before its name.
const LOCAL_LEN: usize = 30;
const LISTED_LEN: usize = 46;
const DESCRIPTOR_LEN: usize = 16;
const END_LEN: usize = 22;

/// Size and checksum come after the data, in a descriptor.
const SIZES_AFTER: u16 = 1 << 3;
/// How hard the compressor tried, and that the name is UTF-8. Every other flag changes how the data is read.
const HARMLESS: u16 = SIZES_AFTER | 0b110 | 1 << 11;

const STORED: u16 = 0;
const DEFLATED: u16 = 8;

/// The one kind of extra field that is accepted: the time. Others give an entry another name or size.
const TIME: u16 = 0x5455;

/// In the place of a number it means that the number is elsewhere, in a field for archives over 4 GiB.
const ELSEWHERE: u32 = u32::MAX;

/// The archive's entries, whose data then is where any reader looks for it.
pub(super) fn entries(zip: &[u8]) -> Result<Vec<Entry>, OddZip> {
    let zip = Bytes(zip);
    let end = zip.0.len().checked_sub(END_LEN).ok_or_else(|| odd("it is too short"))?;
    if zip.u32(end)? != END {
        return Err(odd("there is something after its end"));
    }
    let (count, list) = (zip.u16(end + 10)?, zip.u32(end + 16)?);
    let whole = zip.u32(end + 4)? == 0 && zip.u16(end + 8)? == count && zip.u16(end + 20)? == 0 && count < u16::MAX;
    let list = usize::try_from(list).map_err(|_| odd("it is too large"))?;
    if !whole || list.checked_add(zip.u32(end + 12)? as usize) != Some(end) {
        return Err(odd("its end does not say where its entries are"));
    }
    let (mut next_listed, mut next_local) = (list, 0);
    let mut entries = Vec::new();
    let mut names = HashSet::new();
    for _ in 0..count {
        let listed = Header::listed(&zip, next_listed)?;
        if zip.u32(next_listed + 42)? as usize != next_local {
            return Err(odd("its entries do not follow each other"));
        }
        next_listed = listed.after;
        next_local = after_data(&zip, next_local, &listed)?;
        let name = String::from_utf8(listed.name.to_vec()).map_err(|_| odd("a name is not UTF-8"))?;
        if !names.insert(listed.name) {
            return Err(odd(&format!("two entries are called {name:?}")));
        }
        entries.push(Entry { name, size: listed.size.into() });
    }
    if (next_local, next_listed) == (list, end) {
        Ok(entries)
    } else {
        Err(odd("there is something between its entries"))
    }
}

/// Compares what stands at an entry with what the list says of it; returns where its data and descriptor end.
fn after_data(zip: &Bytes<'_>, at: usize, listed: &Header<'_>) -> Result<usize, OddZip> {
    let local = Header::local(zip, at)?;
    let differs = || odd("an entry is not what the list says of it");
    if (local.flags, local.method, local.name) != (listed.flags, listed.method, listed.name) {
        return Err(differs());
    }
    let after = listed.flags & SIZES_AFTER != 0;
    let marks = (listed.crc, listed.packed, listed.size);
    let here = (local.crc, local.packed, local.size);
    if here != marks && !(after && here == (0, 0, 0)) {
        return Err(differs());
    }
    let end = local.after.checked_add(listed.packed as usize).ok_or_else(differs)?;
    if !after {
        return Ok(end);
    }
    if zip.u32(end)? != DESCRIPTOR || (zip.u32(end + 4)?, zip.u32(end + 8)?, zip.u32(end + 12)?) != marks {
        return Err(differs());
    }
    Ok(end + DESCRIPTOR_LEN)
}

/// What the two headers of an entry have in common.
struct Header<'a> {
    flags: u16,
    method: u16,
    crc: u32,
    packed: u32,
    size: u32,
    name: &'a [u8],
    /// Where the header ends, with its name and extra fields.
    after: usize,
}

impl<'a> Header<'a> {
    fn local(zip: &Bytes<'a>, at: usize) -> Result<Self, OddZip> {
        if zip.u32(at)? != LOCAL {
            return Err(odd("an entry is not where the list says"));
        }
        Self::read(zip, at + 6, at + LOCAL_LEN)
    }

    fn listed(zip: &Bytes<'a>, at: usize) -> Result<Self, OddZip> {
        let (comment, disk) = (zip.u16(at + 32)?, zip.u16(at + 34)?);
        if zip.u32(at)? != LISTED || comment != 0 || disk != 0 {
            return Err(odd("its list of entries is broken"));
        }
        Self::read(zip, at + 8, at + LISTED_LEN)
    }

    /// The fields from the flags to the lengths stand in the same order in both.
    fn read(zip: &Bytes<'a>, at: usize, name_at: usize) -> Result<Self, OddZip> {
        let (name_len, extra_len) = (usize::from(zip.u16(at + 20)?), usize::from(zip.u16(at + 22)?));
        let header = Self {
            flags: zip.u16(at)?,
            method: zip.u16(at + 2)?,
            crc: zip.u32(at + 8)?,
            packed: zip.u32(at + 12)?,
            size: zip.u32(at + 16)?,
            name: zip.slice(name_at, name_len)?,
            after: name_at + name_len + extra_len,
        };
        if header.flags & !HARMLESS != 0 {
            return Err(odd("an entry is encrypted or patched"));
        }
        if !matches!(header.method, STORED | DEFLATED) {
            return Err(odd("an entry is packed in an unknown way"));
        }
        if header.packed == ELSEWHERE || header.size == ELSEWHERE {
            return Err(odd("an entry is too large"));
        }
        let mut extra = Bytes(zip.slice(name_at + name_len, extra_len)?);
        while !extra.0.is_empty() {
            let (kind, len) = (extra.u16(0)?, usize::from(extra.u16(2)?));
            if kind != TIME {
                return Err(odd("an entry says more of itself than its name, size and time"));
            }
            extra.slice(4, len)?;
            extra = Bytes(&extra.0[4 + len..]);
        }
        Ok(header)
    }
}

/// Reads that end at the end.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn slice(&self, at: usize, len: usize) -> Result<&'a [u8], OddZip> {
        let end = at.checked_add(len);
        end.and_then(|end| self.0.get(at..end)).ok_or_else(|| odd("it is cut off"))
    }

    fn u16(&self, at: usize) -> Result<u16, OddZip> {
        let bytes = self.slice(at, 2)?;
        Ok(u16::from_le_bytes([bytes[0], bytes[1]]))
    }

    fn u32(&self, at: usize) -> Result<u32, OddZip> {
        Ok(u32::from(self.u16(at)?) | u32::from(self.u16(at + 2)?) << 16)
    }
}

fn odd(how: &str) -> OddZip {
    OddZip(how.to_owned())
}
