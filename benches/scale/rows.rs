//! The rows of a database, each computed from its number, so that none has to be kept.

use std::{
    collections::{HashMap, HashSet},
    fmt::Write as _,
};

use chrono::{DateTime, DurationRound as _, TimeDelta, Utc};
use rally_api_keys::{
    auth::api_key::pepper::{Pepper, Peppers},
    domain::{ApiKeyId, Secret, Slug, Tenant, TenantId, Timestamp, format_timestamp},
};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use sqlx::PgConnection;
use uuid::{Builder, Uuid};

use crate::{
    Outcome,
    copy::{Rows, Value},
    stand::{
        keys::{Key, PEPPER, SOME_PHC},
        pages::KEY_NAMES,
    },
};

/// The keys were created evenly over so many days.
const DAYS: u64 = 400;
const DAY: u64 = 24 * 3600 * 1_000_000;
/// Keys of the large tenant.
const LARGE: u64 = 100_000;
/// Every tenth tenant has events, and every tenth the rule of idle keys. The large one has both.
const TENTH: u64 = 10;

/// The measurement that a key is for. In a kept database revoked keys stay revoked, so that they are for no checks.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Use {
    Check,
    Revocation,
}

impl Use {
    const fn of(key: u64) -> Self {
        if mixed(key, 17).is_multiple_of(TENTH) { Self::Revocation } else { Self::Check }
    }
}

/// How many rows, and from when.
pub struct Size {
    pub keys: u64,
    pub tenants: u64,
    now: Timestamp,
    peppers: Peppers,
}

/// The columns that a key's rows in all tables share.
pub struct KeyRow {
    /// The key's number among those of the large tenant, else its number.
    index: u64,
    tenant: u64,
    id: Uuid,
    created_at: Timestamp,
    expires_at: Option<Timestamp>,
    revoked_at: Option<Timestamp>,
    used_at: Option<Timestamp>,
}

/// The end of a tenant's chain of events.
#[derive(Clone, Copy, Default)]
pub struct Head {
    pub seq: i64,
    pub hash: [u8; 32],
    pub keys: i64,
}

/// A number that looks random (SplitMix64).
const fn mixed(number: u64, salt: u64) -> u64 {
    let mut z = number.wrapping_add(salt.wrapping_mul(0xd1b5_4a32_d192_ed03)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn bits(number: u64, salt: u64) -> [u8; 16] {
    ((u128::from(mixed(number, salt)) << 64) | u128::from(mixed(number, salt + 1))).to_be_bytes()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn id(at: Timestamp, number: u64, salt: u64) -> Uuid {
    let mut random = [0; 10];
    random.copy_from_slice(&bits(number, salt)[..10]);
    Builder::from_unix_timestamp_millis(at.timestamp_millis().unsigned_abs(), &random).into_uuid()
}

fn micros(micros: u64) -> TimeDelta {
    TimeDelta::microseconds(i64::try_from(micros).unwrap_or(i64::MAX))
}

fn days(days: u64) -> TimeDelta {
    micros(days * DAY)
}

impl Size {
    pub fn new(keys: u64, tenants: u64) -> Outcome<Self> {
        let now = Utc::now();
        Self::written_at(DateTime::from_timestamp_micros(now.timestamp_micros()).ok_or("no such time")?, keys, tenants)
    }

    /// As it was written at that time.
    fn written_at(now: Timestamp, keys: u64, tenants: u64) -> Outcome<Self> {
        let peppers = Peppers { current: Some(Pepper::parse(PEPPER)?), ..Peppers::default() };
        Ok(Self { keys, tenants, now, peppers })
    }

    /// As it was written by an earlier run. `None`: it was not.
    pub async fn read(connection: &mut PgConnection, keys: u64, tenants: u64) -> Outcome<Option<Self>> {
        const QUERY: &str = "SELECT min(t.created_at), count(*), (sum(h.keys))::bigint
                             FROM public.tenants t JOIN public.api_key_event_heads h ON h.tenant_id = t.id
                             WHERE t.slug LIKE 'tenant-%'";
        let (created_at, of_tenants, of_keys): (Option<Timestamp>, i64, Option<i64>) =
            sqlx::query_as(QUERY).fetch_one(connection).await?;
        let Some(created_at) = created_at else { return Ok(None) };
        if (of_keys.map(i64::unsigned_abs), of_tenants.unsigned_abs()) != (Some(keys), tenants) {
            return Err("the folder has a database of another size, or one that is not complete".into());
        }
        Ok(Some(Self::written_at(created_at + days(DAYS), keys, tenants)?))
    }

    /// Keys of the large tenant: a tenth at most.
    pub fn large(&self) -> u64 {
        LARGE.min(self.keys / TENTH).max(1)
    }

    /// The tenant of that number; 0 is the large one.
    pub fn tenant(&self, number: u64) -> Outcome<Tenant> {
        let id = TenantId(id(self.now - days(DAYS), number, 1));
        Ok(Tenant { id, slug: Slug::parse(&format!("tenant-{number}"))?, external_id: None })
    }

    fn tenant_id(&self, number: u64) -> Uuid {
        id(self.now - days(DAYS), number, 1)
    }

    /// Keys of all tenants alternate, as if they had been created in this order.
    fn tenant_of(&self, key: u64) -> (u64, u64) {
        let every = self.keys / self.large();
        if key.is_multiple_of(every) && key / every < self.large() {
            (0, key / every)
        } else {
            (1 + mixed(key, 7) % (self.tenants - 1), key)
        }
    }

    pub fn key_row(&self, number: u64) -> KeyRow {
        let (tenant, index) = self.tenant_of(number);
        let created_at = self.now - micros((self.keys - number) * (DAYS * DAY / self.keys));
        let expires_at = index.is_multiple_of(4).then(|| self.now - days(200) + days(index % 1000));
        let revoked_at = index.is_multiple_of(10).then_some(self.now);
        // Nine of ten were used, at any time of the last 60 days.
        let used_at = (!mixed(number, 8).is_multiple_of(10)).then(|| self.now - micros(mixed(number, 9) % (60 * DAY)));
        let used_at = used_at.filter(|at| *at > created_at);
        KeyRow { index, tenant, id: id(created_at, number, 2), created_at, expires_at, revoked_at, used_at }
    }

    fn secret(key: u64) -> Secret {
        Secret::from_bits(&bits(key, 4))
    }

    /// Different keys that work, in an order that looks random; other ones for each `round` and in each run.
    pub fn working_keys(&self, count: u64, round: u64, purpose: Use) -> Outcome<Vec<Key>> {
        let run = Utc::now().timestamp().unsigned_abs() / 60;
        (0..count).map(|n| self.working_key(mixed(round * count + n, 20 + run), purpose)).collect()
    }

    /// The keys that work of so many tenants, in an order that looks random. The large tenant is not among them.
    pub fn working_keys_of(&self, tenants: u64) -> Outcome<Vec<Key>> {
        let numbers = (0..self.keys).filter(|number| (1..=tenants).contains(&self.tenant_of(*number).0));
        let mut numbers: Vec<_> = numbers.filter(|number| self.works(*number, Use::Check)).collect();
        numbers.sort_by_key(|number| mixed(*number, 18));
        numbers.into_iter().map(|number| self.key(number)).collect()
    }

    /// A key that works of each tenant that has one.
    pub fn a_key_of_each_tenant(&self) -> Outcome<Vec<Key>> {
        let (mut keys, mut tenants) = (Vec::new(), HashSet::new());
        for number in (0..self.keys).filter(|number| self.works(*number, Use::Check)) {
            if tenants.insert(self.tenant_of(number).0) {
                keys.push(self.key(number)?);
            }
            if tenants.len() as u64 == self.tenants {
                break;
            }
        }
        Ok(keys)
    }

    fn works(&self, number: u64, purpose: Use) -> bool {
        let row = self.key_row(number);
        row.revoked_at.is_none() && row.expires_at.is_none() && Use::of(number) == purpose
    }

    fn key(&self, number: u64) -> Outcome<Key> {
        let row = self.key_row(number);
        Ok(Key { tenant: self.tenant(row.tenant)?, id: ApiKeyId(row.id), secret: Self::secret(number) })
    }

    fn working_key(&self, any: u64, purpose: Use) -> Outcome<Key> {
        let mut number = any % self.keys;
        while !self.works(number, purpose) {
            number = (number + 1) % self.keys;
        }
        self.key(number)
    }

    pub fn tenants(&self, rows: &mut Rows, number: u64) {
        rows.row(&[
            Value::Uuid(self.tenant_id(number)),
            Value::Text(&format!("tenant-{number}")),
            Value::Text(&format!("Tenant {number}")),
            Value::Time(Some(self.now - days(DAYS))),
        ]);
    }

    pub const fn has_idle_rule(number: u64) -> bool {
        number.is_multiple_of(TENTH)
    }

    pub const fn has_events(number: u64) -> bool {
        number.is_multiple_of(TENTH)
    }

    pub fn heads(&self, rows: &mut Rows, number: u64, head: &Head) {
        rows.row(&[
            Value::Uuid(self.tenant_id(number)),
            Value::Number(head.seq),
            Value::Bytes(&head.hash),
            Value::Number(head.keys),
        ]);
    }

    pub fn keys(&self, rows: &mut Rows, number: u64) {
        let row = self.key_row(number);
        let (name, last4) = (row.name(), Self::secret(number).hint());
        rows.row(&[
            Value::Uuid(self.tenant_id(row.tenant)),
            Value::Uuid(row.id),
            Value::Text(&name),
            Value::Text(&name.to_lowercase()),
            Value::Text(row.scopes()),
            Value::Time(Some(row.created_at)),
            Value::Time(row.expires_at),
            Value::Text(&row.creator()),
            Value::Text(last4.last4()),
            Value::Time(row.revoked_at),
        ]);
    }

    pub fn texts(&self, rows: &mut Rows, number: u64) {
        let row = self.key_row(number);
        rows.row(&[
            Value::Uuid(self.tenant_id(row.tenant)),
            Value::Uuid(row.id),
            Value::Text(&row.name().to_lowercase()),
        ]);
    }

    pub fn secrets(&self, rows: &mut Rows, number: u64) {
        let row = self.key_row(number);
        let (tenant, secret) = (self.tenant_id(row.tenant), Self::secret(number));
        let stamp = self.peppers.stamp(TenantId(tenant), ApiKeyId(row.id), &secret);
        let Some((stamp, pepper)) = stamp else { return };
        rows.row(&[
            Value::Uuid(tenant),
            Value::Bytes(secret.lookup_digest().as_bytes()),
            Value::Uuid(row.id),
            Value::Text(SOME_PHC),
            Value::Bytes(&stamp),
            Value::Text(&pepper),
            Value::Text(secret.hint().last4()),
            Value::Time(Some(row.created_at)),
        ]);
    }

    pub fn last_uses(&self, rows: &mut Rows, number: u64) {
        let row = self.key_row(number);
        if let Some(used_at) = row.used_at {
            rows.row(&[
                Value::Uuid(self.tenant_id(row.tenant)),
                Value::Uuid(row.id),
                Value::Bytes(Self::secret(number).lookup_digest().as_bytes()),
                Value::Time(Some(used_at)),
                Value::Address([203, 0, 113, 7]),
                Value::Text("etl/2.1"),
            ]);
        }
    }

    /// One of each key that was used in the last 30 days and an hour: what an hourly run of the retention job finds.
    pub fn callers(&self, rows: &mut Rows, number: u64) {
        let row = self.key_row(number);
        if let Some(used_at) = row.used_at.filter(|at| *at > self.now - days(30) - TimeDelta::hours(1)) {
            rows.row(&[
                Value::Uuid(self.tenant_id(row.tenant)),
                Value::Uuid(row.id),
                Value::Bytes(Self::secret(number).lookup_digest().as_bytes()),
                Value::Bytes(&bits(number, 12)),
                Value::Address([203, 0, 113, 7]),
                Value::Text("etl/2.1"),
                Value::Time(Some(row.created_at)),
                Value::Time(Some(used_at)),
                Value::Number(9),
            ]);
        }
    }

    /// An hour of each fifth key, every 50th of which is older than the retention; of the latest 100 keys of the large tenant,
    /// each hour of 30 days.
    pub fn usage(&self, rows: &mut Rows, number: u64) {
        let row = self.key_row(number);
        let hours = if row.tenant == 0 && row.index + 100 >= self.large() { 30 * 24 } else { 1 };
        if !number.is_multiple_of(5) && hours == 1 {
            return;
        }
        let age = if hours > 1 {
            TimeDelta::zero()
        } else if number.is_multiple_of(250) {
            days(DAYS + 1)
        } else {
            micros(mixed(number, 13) % (60 * DAY))
        };
        let Ok(last) = (self.now - age).duration_trunc(TimeDelta::hours(1)) else { return };
        for hour in 0..hours {
            let mut values = vec![
                Value::Uuid(self.tenant_id(row.tenant)),
                Value::Uuid(row.id),
                Value::Time(Some(last - TimeDelta::hours(hour))),
            ];
            values.extend([9, 1, 1, 1].map(Value::Number));
            rows.row(&values);
        }
    }

    /// The event of the key's creation, as the next one of its tenant's chain.
    pub fn events(&self, rows: &mut Rows, number: u64, heads: &mut HashMap<u64, Head>) -> Outcome<()> {
        let row = self.key_row(number);
        if !Self::has_events(row.tenant) {
            return Ok(());
        }
        let head = heads.entry(row.tenant).or_default();
        let tenant = self.tenant_id(row.tenant);
        let details = json!({
            "name": row.name(),
            "keyHint": Self::secret(number).hint().to_string(),
            "scopes": row.scopes(),
            "expiresAt": row.expires_at.map(format_timestamp),
            "allowedAddresses": [],
            "rateLimit": null,
            "quota": null,
        });
        let (id, seq) = (id(row.created_at, number, 14), head.seq + 1);
        let request_id = Uuid::from_bytes(bits(number, 16)).to_string();
        // The form that the service hashes; `events verify` is run on the result.
        let canonical = json!({
            "tenantId": tenant.to_string(),
            "seq": seq,
            "previousHash": hex(&head.hash),
            "id": id.to_string(),
            "keyId": row.id.to_string(),
            "type": "created",
            "occurredAt": format_timestamp(row.created_at),
            "actor": row.creator(),
            "address": "203.0.113.7",
            "requestId": request_id,
            "details": details,
        });
        let hash: [u8; 32] = Sha256::digest(serde_json_canonicalizer::to_vec(&canonical)?).into();
        rows.row(&[
            Value::Uuid(tenant),
            Value::Uuid(id),
            Value::Uuid(row.id),
            Value::Text("created"),
            Value::Time(Some(row.created_at)),
            Value::Text(&row.creator()),
            Value::Address([203, 0, 113, 7]),
            Value::Text(&request_id),
            Value::Json(&details.to_string()),
            Value::Number(seq),
            Value::Bytes(&head.hash),
            Value::Bytes(&hash),
        ]);
        (head.seq, head.hash) = (seq, hash);
        Ok(())
    }

    /// Adds each key to its tenant's number of keys.
    pub fn count_keys(&self, heads: &mut HashMap<u64, Head>) {
        for key in 0..self.keys {
            heads.entry(self.tenant_of(key).0).or_default().keys += 1;
        }
    }
}

impl KeyRow {
    fn name(&self) -> String {
        #[allow(clippy::cast_possible_truncation, reason = "below 6")]
        let name = KEY_NAMES[(self.index % 6) as usize];
        format!("{name} {}", self.index)
    }

    fn scopes(&self) -> &'static str {
        match self.index % 3 {
            0 => "read",
            1 => "read,write",
            _ => "admin",
        }
    }

    fn creator(&self) -> String {
        format!("user{}@acme.com", self.index % 50)
    }
}
