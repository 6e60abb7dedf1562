//! Rows in the binary format of COPY, which PostgreSQL reads with less work than text.

use chrono::DateTime;
use rally_api_keys::domain::Timestamp;
use uuid::Uuid;

/// 2000-01-01, from which PostgreSQL counts times.
const EPOCH_SECONDS: i64 = 946_684_800;

pub enum Value<'a> {
    Uuid(Uuid),
    Text(&'a str),
    /// For `jsonb`.
    Json(&'a str),
    Bytes(&'a [u8]),
    /// For `bigint`.
    Number(i64),
    /// For `timestamptz`.
    Time(Option<Timestamp>),
    /// An IPv4 address, for `inet`.
    Address([u8; 4]),
}

/// A part of what is copied.
pub struct Rows(Vec<u8>);

impl Rows {
    /// Begins with the header: no flags, no extension.
    pub fn begin() -> Self {
        Self(b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0".to_vec())
    }

    pub fn row(&mut self, values: &[Value<'_>]) {
        #[allow(clippy::cast_possible_truncation, reason = "some columns")]
        self.0.extend((values.len() as u16).to_be_bytes());
        for value in values {
            match value {
                Value::Uuid(id) => self.field(&[id.as_bytes()]),
                Value::Text(text) => self.field(&[text.as_bytes()]),
                Value::Json(text) => self.field(&[&[1], text.as_bytes()]),
                Value::Bytes(bytes) => self.field(&[bytes]),
                Value::Number(number) => self.field(&[&number.to_be_bytes()]),
                Value::Time(Some(at)) => {
                    let epoch = DateTime::from_timestamp_secs(EPOCH_SECONDS).unwrap_or_default();
                    self.field(&[&(*at - epoch).num_microseconds().unwrap_or_default().to_be_bytes()]);
                }
                Value::Time(None) => self.0.extend((-1_i32).to_be_bytes()),
                // Family, bits, whether it is a network, length.
                Value::Address(address) => self.field(&[&[2, 32, 0, 4], address]),
            }
        }
    }

    fn field(&mut self, parts: &[&[u8]]) {
        let length: usize = parts.iter().map(|part| part.len()).sum();
        #[allow(clippy::cast_possible_truncation, reason = "short values")]
        self.0.extend((length as u32).to_be_bytes());
        for part in parts {
            self.0.extend(*part);
        }
    }

    pub fn end(&mut self) {
        self.0.extend((-1_i16).to_be_bytes());
    }

    /// Takes the buffered rows if they have more than so many bytes.
    pub fn take_if_above(&mut self, bytes: usize) -> Option<Vec<u8>> {
        (self.0.len() > bytes).then(|| std::mem::take(&mut self.0))
    }
}
