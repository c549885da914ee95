//! Protocol Buffers on the wire (encoding of proto3), read against a schema of our own. Pure.
//!
//! A request is read only to decide it; its bytes are what is forwarded. So a request must have one meaning for every decoder: a field that the schema
//! does not have, one that is there twice though it may be once, two members of a `oneof`, another wire type than the field's, a number that does not
//! fit, text that is not UTF-8 and groups are all refused. What elements answer is only shown, in [`super::text`].

use super::schema::{Field, Kind, Schema};

/// Fields of one message, all depths together.
const FIELDS_MAX: usize = 200_000;
/// Messages in messages.
const DEPTH_MAX: usize = 16;

/// Why bytes are not a message that can be decided.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// It nests deeper than is decided.
    #[error("messages are nested deeper than {DEPTH_MAX}")]
    Deep,
    /// A field is there twice, or two of which one excludes the other.
    #[error("{0}.{1} is there twice, or beside a field that it excludes")]
    Duplicate(&'static str, &'static str),
    /// It has more fields than are decided.
    #[error("a message may have {FIELDS_MAX} fields at most")]
    Many,
    /// A field has not the type that it should.
    #[error("{0}.{1} is not of its type")]
    Mistyped(&'static str, &'static str),
    /// It ends inside a field, or a number is none.
    #[error("it is not a protocol buffer message")]
    Torn,
    /// A field that is not known.
    #[error("{0} has a field {1} that the gateway does not know")]
    Unknown(&'static str, u32),
}

/// A message that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message<'b> {
    fields: Vec<(u32, Value<'b>)>,
}

/// What a field holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value<'b> {
    /// Bytes.
    Bytes(&'b [u8]),
    /// Another message.
    Message(Message<'b>),
    /// A number, as it stands on the wire.
    Number(u64),
    /// Text.
    Text(&'b str),
}

/// A field as it stands on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Raw<'b> {
    Bytes(&'b [u8]),
    Fixed32(u32),
    Fixed64(u64),
    Varint(u64),
}

impl<'b> Message<'b> {
    /// Reads a message of `schema`.
    ///
    /// # Errors
    /// It has no meaning, or more than one.
    pub fn read(schema: &'static Schema, bytes: &'b [u8]) -> Result<Self, WireError> {
        Reading { left: FIELDS_MAX }.message(schema, bytes, 0)
    }

    fn values(&self, number: u32) -> impl Iterator<Item = &Value<'b>> {
        self.fields.iter().filter(move |(own, _)| *own == number).map(|(_, value)| value)
    }

    /// Whether the field is there.
    pub fn has(&self, number: u32) -> bool {
        self.values(number).next().is_some()
    }

    /// The text of a field; empty when it is not there.
    pub fn text(&self, number: u32) -> &'b str {
        self.values(number)
            .find_map(|value| if let Value::Text(text) = value { Some(*text) } else { None })
            .unwrap_or("")
    }

    /// Each text of a repeated field.
    pub fn texts(&self, number: u32) -> impl Iterator<Item = &'b str> {
        self.values(number).filter_map(|value| if let Value::Text(text) = value { Some(*text) } else { None })
    }

    /// The number of a field; zero when it is not there.
    pub fn number(&self, number: u32) -> u64 {
        self.values(number).find_map(|value| if let Value::Number(n) = value { Some(*n) } else { None }).unwrap_or(0)
    }

    /// The bytes of a field, when it is there.
    pub fn bytes(&self, number: u32) -> Option<&'b [u8]> {
        self.values(number).find_map(|value| if let Value::Bytes(bytes) = value { Some(*bytes) } else { None })
    }

    /// The message of a field, when it is there.
    pub fn message(&self, number: u32) -> Option<&Self> {
        self.messages(number).next()
    }

    /// Each message of a repeated field.
    pub fn messages(&self, number: u32) -> impl Iterator<Item = &Self> {
        self.values(number).filter_map(|value| if let Value::Message(message) = value { Some(message) } else { None })
    }

    /// The numbers of the fields that are there.
    pub fn numbers(&self) -> impl Iterator<Item = u32> {
        self.fields.iter().map(|(number, _)| *number)
    }
}

struct Reading {
    left: usize,
}

impl Reading {
    fn message<'b>(
        &mut self,
        schema: &'static Schema,
        bytes: &'b [u8],
        depth: usize,
    ) -> Result<Message<'b>, WireError> {
        if depth > DEPTH_MAX {
            return Err(WireError::Deep);
        }
        let mut fields: Vec<(u32, Value<'b>)> = Vec::new();
        let mut rest = bytes;
        while let Some((number, raw)) = next(&mut rest)? {
            self.left = self.left.checked_sub(1).ok_or(WireError::Many)?;
            let field = schema.field(number).ok_or(WireError::Unknown(schema.name, number))?;
            let excludes = |own: u32| own == number || field.excludes(schema.field(own));
            if !field.many && fields.iter().any(|(own, _)| excludes(*own)) {
                return Err(WireError::Duplicate(schema.name, field.name));
            }
            let value = self.value(schema, field, raw, depth)?;
            fields.push((number, value));
        }
        Ok(Message { fields })
    }

    fn value<'b>(
        &mut self,
        schema: &'static Schema,
        field: &'static Field,
        raw: Raw<'b>,
        depth: usize,
    ) -> Result<Value<'b>, WireError> {
        let bad = WireError::Mistyped(schema.name, field.name);
        match (field.kind, raw) {
            (Kind::Bool, Raw::Varint(n)) if n <= 1 => Ok(Value::Number(n)),
            (Kind::Unsigned32, Raw::Varint(n)) if u32::try_from(n).is_ok() => Ok(Value::Number(n)),
            // SECURITY: decoders cut a number to its 32 bits, so one with more would be another to them than to us.
            (Kind::Enum(_) | Kind::Signed32, Raw::Varint(n)) if i32::try_from(n.cast_signed()).is_ok() => {
                Ok(Value::Number(n))
            }
            (Kind::Signed64 | Kind::Unsigned64, Raw::Varint(n)) => Ok(Value::Number(n)),
            (Kind::Float, Raw::Fixed32(n)) => Ok(Value::Number(n.into())),
            (Kind::Double, Raw::Fixed64(n)) => Ok(Value::Number(n)),
            (Kind::Text | Kind::Secret, Raw::Bytes(bytes)) => {
                std::str::from_utf8(bytes).map(Value::Text).map_err(|_| bad)
            }
            (Kind::Bytes | Kind::Json, Raw::Bytes(bytes)) => Ok(Value::Bytes(bytes)),
            (Kind::Message(inner), Raw::Bytes(bytes)) => self.message(inner, bytes, depth + 1).map(Value::Message),
            _ => Err(bad),
        }
    }
}

/// Takes the next field off the front.
pub(super) fn next<'b>(rest: &mut &'b [u8]) -> Result<Option<(u32, Raw<'b>)>, WireError> {
    if rest.is_empty() {
        return Ok(None);
    }
    let key = varint(rest)?;
    let number = u32::try_from(key >> 3).ok().filter(|number| (1..1 << 29).contains(number)).ok_or(WireError::Torn)?;
    let raw = match key & 7 {
        0 => Raw::Varint(varint(rest)?),
        1 => Raw::Fixed64(u64::from_le_bytes(array(rest)?)),
        2 => {
            let length = usize::try_from(varint(rest)?).map_err(|_| WireError::Torn)?;
            Raw::Bytes(take(rest, length)?)
        }
        5 => Raw::Fixed32(u32::from_le_bytes(array(rest)?)),
        _ => return Err(WireError::Torn),
    };
    Ok(Some((number, raw)))
}

fn take<'b>(rest: &mut &'b [u8], length: usize) -> Result<&'b [u8], WireError> {
    let (taken, after) = rest.split_at_checked(length).ok_or(WireError::Torn)?;
    *rest = after;
    Ok(taken)
}

fn array<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], WireError> {
    let (taken, after) = rest.split_first_chunk::<N>().ok_or(WireError::Torn)?;
    *rest = after;
    Ok(*taken)
}

/// A number in base 128. One that is longer than it needs to be means the same to everybody; one of more than 64 bits does not.
pub(super) fn varint(rest: &mut &[u8]) -> Result<u64, WireError> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let [byte] = array(rest)?;
        let low = u64::from(byte & 0x7f);
        if shift == 63 && low > 1 {
            return Err(WireError::Torn);
        }
        value |= low << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(WireError::Torn)
}

/// Writes messages: for the client, the lab's element and tests.
#[derive(Debug, Clone, Default)]
pub struct Writer(Vec<u8>);

impl Writer {
    /// A message that nothing was written to.
    pub fn new() -> Self {
        Self::default()
    }

    /// Writes a number, also one that is zero: presence is the caller's matter.
    #[must_use]
    pub fn number(mut self, number: u32, value: u64) -> Self {
        self.varint(u64::from(number) << 3);
        self.varint(value);
        self
    }

    /// Writes bytes.
    #[must_use]
    pub fn bytes(mut self, number: u32, value: &[u8]) -> Self {
        self.varint(u64::from(number) << 3 | 2);
        self.varint(value.len() as u64);
        self.0.extend_from_slice(value);
        self
    }

    /// Writes text.
    #[must_use]
    pub fn text(self, number: u32, value: &str) -> Self {
        self.bytes(number, value.as_bytes())
    }

    /// Writes a message.
    #[must_use]
    pub fn message(self, number: u32, value: &Self) -> Self {
        self.bytes(number, &value.0)
    }

    /// What was written.
    pub fn finish(self) -> Vec<u8> {
        self.0
    }

    fn varint(&mut self, mut value: u64) {
        while value > 0x7f {
            self.0.push(u8::try_from(value & 0x7f).unwrap_or(0) | 0x80);
            value >>= 7;
        }
        self.0.push(u8::try_from(value).unwrap_or(0));
    }
}

#[cfg(test)]
mod tests {
    use super::super::schema::{CAPABILITY_RESPONSE, GET_REQUEST, PATH, SET_REQUEST, SUBSCRIBE_REQUEST};
    use super::*;

    #[test]
    fn messages_read_back() {
        let path = Writer::new().text(2, "o").message(3, &Writer::new().text(1, "a"));
        let bytes = Writer::new().message(1, &path).message(2, &path).message(2, &path).number(3, 1).finish();
        let message = Message::read(&GET_REQUEST, &bytes).expect("a message");
        assert_eq!((message.number(3), message.number(5), message.messages(2).count()), (1, 0, 2));
        assert_eq!(message.message(1).map(|prefix| prefix.text(2)), Some("o"));
        assert!(message.has(1) && !message.has(7) && message.numbers().eq([1, 2, 2, 3]));
        // Presence is not lost: an empty message is there, and so is a zero.
        let bytes = Writer::new().message(1, &Writer::new()).number(3, 0).finish();
        let message = Message::read(&GET_REQUEST, &bytes).expect("a message");
        assert!(message.message(1).is_some() && message.has(3));
    }

    #[test]
    fn messages_that_are_refused() {
        let deep = (0..18).fold(Writer::new(), |inner, _| Writer::new().message(8, &Writer::new().message(1, &inner)));
        let set = |value: &Writer| Writer::new().message(4, &Writer::new().message(3, value));
        let many = Writer::new().text(1, "").finish().repeat(200_001);
        for (schema, bytes, error) in [
            (&GET_REQUEST, vec![0x08], WireError::Torn),
            (&GET_REQUEST, vec![0x0a, 0x01], WireError::Torn),
            (&GET_REQUEST, vec![0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01], WireError::Torn),
            (&GET_REQUEST, vec![0x18, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f], WireError::Torn),
            (
                &GET_REQUEST,
                vec![0x18, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00],
                WireError::Torn,
            ),
            // Field 0, a group, and wire types that there are not.
            (&GET_REQUEST, vec![0x00, 0x00], WireError::Torn),
            (&GET_REQUEST, vec![0x0b, 0x0c], WireError::Torn),
            (&GET_REQUEST, vec![0x0e], WireError::Torn),
            (&GET_REQUEST, Writer::new().number(4, 1).finish(), WireError::Unknown("GetRequest", 4)),
            (&GET_REQUEST, Writer::new().number(1 << 28, 1).finish(), WireError::Unknown("GetRequest", 1 << 28)),
            (
                &GET_REQUEST,
                Writer::new().number(3, 1).number(3, 2).finish(),
                WireError::Duplicate("GetRequest", "type"),
            ),
            (&GET_REQUEST, Writer::new().text(3, "x").finish(), WireError::Mistyped("GetRequest", "type")),
            (&GET_REQUEST, Writer::new().number(2, 1).finish(), WireError::Mistyped("GetRequest", "path")),
            (&GET_REQUEST, Writer::new().number(3, 1 << 32 | 1).finish(), WireError::Mistyped("GetRequest", "type")),
            (&PATH, vec![0x12, 0x01, 0xff], WireError::Mistyped("Path", "origin")),
            (
                &SUBSCRIBE_REQUEST,
                Writer::new().bytes(1, &[]).bytes(3, &[]).finish(),
                WireError::Duplicate("SubscribeRequest", "poll"),
            ),
            (
                &SUBSCRIBE_REQUEST,
                Writer::new().bytes(1, &[0x18, 2]).finish(),
                WireError::Mistyped("SubscriptionList", "use_aliases"),
            ),
            (
                &SET_REQUEST,
                set(&Writer::new().text(1, "a").text(12, "b")).finish(),
                WireError::Duplicate("TypedValue", "ascii_val"),
            ),
            (
                &SET_REQUEST,
                set(&Writer::new().text(1, "a").text(1, "a")).finish(),
                WireError::Duplicate("TypedValue", "string_val"),
            ),
            (&SET_REQUEST, set(&deep).finish(), WireError::Deep),
            (&PATH, many, WireError::Many),
            (
                &CAPABILITY_RESPONSE,
                Writer::new().bytes(2, &[0, 4]).finish(),
                WireError::Mistyped("CapabilityResponse", "supported_encodings"),
            ),
        ] {
            assert_eq!(Message::read(schema, &bytes), Err(error), "{:?}", &bytes[..bytes.len().min(40)]);
        }
        let twice = Writer::new().message(2, &Writer::new().text(1, "k").text(1, "l"));
        let twice = Writer::new().message(3, &twice).finish();
        assert_eq!(Message::read(&PATH, &twice), Err(WireError::Duplicate("KeyEntry", "key")));
    }

    proptest::proptest! {
        #[test]
        fn what_is_written_reads_back(number: u64, text: String, bytes: Vec<u8>) {
            let value = Writer::new().bytes(5, &bytes);
            let update = Writer::new().message(1, &Writer::new().text(2, &text)).message(3, &value).number(4, number >> 32);
            let written = Writer::new().message(4, &update).finish();
            let read = Message::read(&SET_REQUEST, &written).expect("a message");
            let update = read.message(4).expect("an update");
            proptest::prop_assert_eq!(update.message(1).map(|path| path.text(2)), Some(text.as_str()));
            proptest::prop_assert_eq!(update.message(3).and_then(|value| value.bytes(5)), Some(bytes.as_slice()));
            proptest::prop_assert_eq!(update.number(4), number >> 32);
        }

        #[test]
        fn noise_never_panics(bytes: Vec<u8>) {
            Message::read(&SUBSCRIBE_REQUEST, &bytes).ok();
            Message::read(&SET_REQUEST, &bytes).ok();
        }
    }
}
