//! Which backend a plan says that its state is in. It stands in `tfplan`, and nothing that `show` prints repeats it: with
//! another one, an apply would write the state to where its author likes, with the credentials of the apply.
//!
//! `tfplan` is a protocol buffer; field 13 holds the backend: type, configuration, workspace. The configuration is
//! MessagePack, and is made from `init`'s record of the backend, which is JSON.

use serde_json::{Map, Value};

/// The field numbers, the same in both tools.
const BACKEND: u64 = 13;
const KIND: u64 = 1;
const CONFIG: u64 = 2;
const WORKSPACE: u64 = 3;
const MSGPACK: u64 = 1;

/// Deeper configurations are none.
const DEEPEST: u8 = 16;

#[derive(Debug, PartialEq)]
pub(super) struct PlannedBackend {
    pub(super) kind: String,
    pub(super) workspace: String,
    /// Without what is null.
    pub(super) config: Value,
}

/// The backend in the content of `tfplan`. `None` if there is none, or more than one, or anything that is not understood.
pub(super) fn read(tfplan: &[u8]) -> Option<PlannedBackend> {
    let backend = only(&fields(tfplan)?, BACKEND)?;
    let parts = fields(backend)?;
    if parts.iter().any(|(number, _)| !matches!(*number, KIND | CONFIG | WORKSPACE)) {
        return None;
    }
    let text = |number| String::from_utf8(only(&parts, number)?.to_vec()).ok();
    let packed = fields(only(&parts, CONFIG)?)?;
    let mut packed = only(&packed, MSGPACK)?;
    let config = unpacked(&mut packed, DEEPEST)?;
    packed.is_empty().then_some(())?;
    Some(PlannedBackend { kind: text(KIND)?, workspace: text(WORKSPACE)?, config: without_nulls(config) })
}

/// Two records may differ in what is null and in how a number is written.
pub(super) fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            fields.into_iter().filter(|(_, value)| !value.is_null()).map(|(k, v)| (k, without_nulls(v))).collect()
        }
        Value::Array(items) => items.into_iter().map(without_nulls).collect(),
        Value::Number(number) => number.as_f64().map_or(Value::Null, Value::from),
        other => other,
    }
}

/// The fields of a message with their numbers; content of those that have bytes.
fn fields(mut message: &[u8]) -> Option<Vec<(u64, &[u8])>> {
    let mut fields = Vec::new();
    while !message.is_empty() {
        let tag = varint(&mut message)?;
        let content = match tag & 7 {
            0 => varint(&mut message).map(|_| &[][..])?,
            1 => take(&mut message, 8)?,
            2 => {
                let len = varint(&mut message)?;
                take(&mut message, len)?
            }
            5 => take(&mut message, 4)?,
            _ => return None,
        };
        fields.push((tag >> 3, content));
    }
    Some(fields)
}

/// The field, if it is there once: of several, readers take the last, or a mixture.
fn only<'a>(fields: &[(u64, &'a [u8])], number: u64) -> Option<&'a [u8]> {
    let mut found = fields.iter().filter(|(known, _)| *known == number);
    let (_, content) = found.next()?;
    found.next().is_none().then_some(content)
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let byte = take(bytes, 1)?[0];
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

fn take<'a>(bytes: &mut &'a [u8], len: u64) -> Option<&'a [u8]> {
    let (taken, rest) = bytes.split_at_checked(usize::try_from(len).ok()?)?;
    *bytes = rest;
    Some(taken)
}

/// A number of `len` bytes, the most significant first.
fn number(bytes: &mut &[u8], len: u64) -> Option<u64> {
    Some(take(bytes, len)?.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
}

/// One value of MessagePack: <https://github.com/msgpack/msgpack/blob/master/spec.md>. Bytes and extensions are in no
/// backend's configuration.
fn unpacked(bytes: &mut &[u8], depth: u8) -> Option<Value> {
    let depth = depth.checked_sub(1)?;
    let first = take(bytes, 1)?[0];
    Some(match first {
        0x00..=0x7f => Value::from(first),
        0x80..=0x8f => map(bytes, u64::from(first & 0x0f), depth)?,
        0x90..=0x9f => array(bytes, u64::from(first & 0x0f), depth)?,
        0xa0..=0xbf => text(bytes, u64::from(first & 0x1f))?,
        0xc0 => Value::Null,
        0xc2 => Value::Bool(false),
        0xc3 => Value::Bool(true),
        0xca => Value::from(f64::from(f32::from_bits(u32::try_from(number(bytes, 4)?).ok()?))),
        0xcb => Value::from(f64::from_bits(number(bytes, 8)?)),
        0xcc..=0xcf => Value::from(number(bytes, 1 << (first - 0xcc))?),
        0xd0..=0xd3 => {
            let len = 1 << (first - 0xd0);
            let unused = 64 - 8 * len;
            Value::from((number(bytes, len)? << unused).cast_signed() >> unused)
        }
        0xd9..=0xdb => {
            let len = number(bytes, 1 << (first - 0xd9))?;
            text(bytes, len)?
        }
        0xdc | 0xdd => {
            let len = number(bytes, 2 << (first - 0xdc))?;
            array(bytes, len, depth)?
        }
        0xde | 0xdf => {
            let len = number(bytes, 2 << (first - 0xde))?;
            map(bytes, len, depth)?
        }
        0xe0..=0xff => Value::from(first.cast_signed()),
        _ => return None,
    })
}

fn text(bytes: &mut &[u8], len: u64) -> Option<Value> {
    Some(Value::String(String::from_utf8(take(bytes, len)?.to_vec()).ok()?))
}

fn array(bytes: &mut &[u8], len: u64, depth: u8) -> Option<Value> {
    let items: Option<Vec<Value>> = (0..len).map(|_| unpacked(bytes, depth)).collect();
    items.map(Value::Array)
}

fn map(bytes: &mut &[u8], len: u64, depth: u8) -> Option<Value> {
    let mut fields = Map::new();
    for _ in 0..len {
        let Value::String(name) = unpacked(bytes, depth)? else { return None };
        let value = unpacked(bytes, depth)?;
        // Of two of one name nobody knows which counts.
        if fields.insert(name, value).is_some() {
            return None;
        }
    }
    Some(Value::Object(fields))
}
