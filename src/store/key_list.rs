//! The list of a tenant's keys: filters, orders, pages, and how many keys there are on all of them.
//!
//! A page costs what it shows, not what the tenant has. Keys that match no filter are counted in `api_key_event_heads`; keys
//! that match one are collected, in whatever order is cheapest, up to [`MAX_COUNTED`]. If these are all, the page is sorted
//! out of them; if there are more, so many keys match that a walk along the index of the order soon meets a page of them.

use ipnet::IpNet;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{
    Error, Listed, Page, Position, ReadTx, SortValue,
    api_keys::{ApiKeyRow, KeyFilter},
    connect::begin_inspection,
};
use crate::domain::{ApiKey, Scope, ScopeSet, Status, fold_case};

/// The most matching keys that are counted. Stands in the SQL below too.
pub const MAX_COUNTED: i64 = 1_000;

/// What a list is ordered by; keys that are equal in it are ordered by id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SortBy {
    /// When the key was created.
    CreatedAt,
    /// Without the distinctions of case, by code point.
    Name,
    /// A key that was never used comes before all others.
    LastUsedAt,
    /// A key that never expires comes after all others.
    ExpiresAt,
}

/// The order of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyOrder {
    /// What by.
    pub by: SortBy,
    /// The greatest first.
    pub descending: bool,
}

impl KeyOrder {
    /// The order of a list whose order was not chosen.
    pub const NEWEST_FIRST: Self = Self { by: SortBy::CreatedAt, descending: true };

    fn position(self, key: &ApiKey, folded_name: Option<String>) -> Position {
        let time = |time: Option<_>| time.map_or(SortValue::Absent, SortValue::Time);
        let value = match self.by {
            SortBy::CreatedAt => SortValue::Time(key.created_at),
            SortBy::Name => SortValue::Text(folded_name.unwrap_or_else(|| fold_case(key.name.as_str()))),
            SortBy::LastUsedAt => time(key.last_used_at),
            SortBy::ExpiresAt => time(key.expires_at),
        };
        Position { value, id: key.id.0 }
    }

    /// The value as PostgreSQL reads it.
    fn text(self, value: &SortValue) -> String {
        match (value, self.by) {
            (SortValue::Text(text), _) => text.clone(),
            (SortValue::Time(time), _) => time.format("%Y-%m-%dT%H:%M:%S%.6fZ").to_string(),
            (SortValue::Absent, SortBy::LastUsedAt) => "-infinity".into(),
            (SortValue::Absent, _) => "infinity".into(),
        }
    }
}

impl KeyFilter {
    /// `None`: all states. PostgreSQL cannot estimate how many rows the condition selects, so it is left out.
    fn status_names(&self) -> Option<Vec<String>> {
        let is_partial = self.statuses.len() < Status::ALL.len();
        is_partial.then(|| self.statuses.iter().map(|status| status.as_str().to_owned()).collect())
    }

    /// The texts of all sets of scopes that allow the wanted one.
    fn scope_texts(&self) -> Option<Vec<String>> {
        let wanted = self.scope?;
        let all = (1_u8..8).map(|bits| Scope::ALL.into_iter().enumerate().filter(move |(n, _)| bits & (1 << n) != 0));
        let sets = all.map(|scopes| scopes.map(|(_, scope)| scope).collect::<ScopeSet>());
        Some(sets.filter(|set| set.allows(wanted)).map(|set| set.to_string()).collect())
    }

    /// True if it filters by something else than a search.
    fn has_others(&self) -> bool {
        let Self { statuses, search: _, scope, created_by, expires_before, unused_since, now: _ } = self;
        statuses.len() < Status::ALL.len()
            || scope.is_some()
            || created_by.is_some()
            || expires_before.is_some()
            || unused_since.is_some()
    }
}

/// The statement for one order. A macro, since sqlx checks only literals.
///
/// - `$after`: what of `found` comes after the position `($9, $10)`, and `$order`, in which order.
/// - `$walk`: the same of all keys that match, along an index, up to `$11` keys.
/// - `$shown`: the order of the page's rows. `$name`: the folded name, where the position needs it.
macro_rules! key_rows {
    ($transaction:expr, $arguments:expr,
     found: $found:literal, after: $after:literal, order: $order:literal, walk: ($($walk:tt)+),
     shown: $shown:literal, name: $name:literal) => {
        sqlx::query_as!(
            ApiKeyRow,
            r#"WITH filtered AS NOT MATERIALIZED (
                   -- By all but the last use.
                   SELECT *
                   FROM public.api_keys k
                   WHERE k.tenant_id = $1
                     AND ($2::text IS NULL OR strpos(k.folded_name, $2) > 0 OR strpos(k.folded_description, $2) > 0
                          OR k.last4 = $2)
                     AND ($4::text[] IS NULL OR
                          CASE WHEN k.revoked_at IS NOT NULL THEN 'revoked'
                               WHEN k.suspended_at IS NOT NULL AND coalesce(k.suspended_until > $3::timestamptz, true)
                                   THEN 'suspended'
                               WHEN k.expires_at <= $3 THEN 'expired'
                               ELSE 'active' END = ANY ($4))
                     AND ($5::text[] IS NULL OR k.scopes = ANY ($5))
                     AND ($6::text IS NULL OR k.created_by = $6)
                     AND ($7::timestamptz IS NULL OR k.expires_at < $7)
                     AND ($8::timestamptz IS NULL OR k.created_at <= $8)
               ), matching AS NOT MATERIALIZED (
                   -- For a walk that ends soon: the last use of one key after the other.
                   SELECT *
                   FROM filtered k
                   WHERE $8 IS NULL OR coalesce((SELECT max(u.used_at) FROM public.api_key_last_uses u
                                                 WHERE u.tenant_id = $1 AND u.key_id = k.id) <= $8, true)
               ), all_matching AS NOT MATERIALIZED (
                   -- The same for many keys: their last uses are read along the primary key, in the order of the keys, so that
                   -- both are read only until enough keys match: see `join_in_order`. The digest is never null; it keeps
                   -- PostgreSQL from reading the index of the order by use, which lacks it, and sorting all uses first.
                   SELECT k.*
                   FROM filtered k
                   LEFT JOIN (SELECT key_id, max(used_at) FILTER (WHERE lookup_digest IS NOT NULL) AS used_at
                              FROM public.api_key_last_uses
                              WHERE $8 IS NOT NULL AND tenant_id = $1
                              GROUP BY key_id) u ON u.key_id = k.id
                   WHERE u.used_at IS NULL OR u.used_at <= $8
               ), texts AS MATERIALIZED (
                   -- Those that the policy lets through: see 0005_search.sql.
                   SELECT t.key_id AS id
                   FROM public.api_key_texts t
                   WHERE $12::bool AND $2::text IS NOT NULL AND t.tenant_id = $1
                   LIMIT 1001
               ), found AS MATERIALIZED (
                   (SELECT k.id, k.created_at, k.folded_name, k.expires_at
                    FROM matching k
                    WHERE $12 AND $2::text IS NOT NULL AND (SELECT count(*) FROM texts) <= 1000
                      AND k.id = ANY (ARRAY(
                          SELECT id FROM texts
                        UNION
                          SELECT l.id FROM public.api_keys l WHERE l.tenant_id = $1 AND l.last4 = $2)))
                 UNION ALL
                   (SELECT k.id, k.created_at, k.folded_name, k.expires_at
                    FROM all_matching k
                    WHERE $12 AND ($2::text IS NULL OR ($13::bool AND (SELECT count(*) FROM texts) > 1000))
                    LIMIT 1001)
               ), size AS MATERIALIZED (
                   SELECT CASE WHEN (SELECT count(*) FROM found) <= 1000
                                    AND ($13 OR (SELECT count(*) FROM texts) <= 1000)
                               THEN (SELECT count(*) FROM found) END AS total
               ), ids AS MATERIALIZED (
                   SELECT p.id
                   FROM (
                       (SELECT k.id
                        FROM "# + $found + r#" k
                        WHERE $12 AND (SELECT total IS NOT NULL FROM size)
                          AND ($10::uuid IS NULL OR "# + $after + r#")
                        ORDER BY "# + $order + r#"
                        LIMIT $11::bigint)
                     UNION ALL "# + $($walk)+ + r#"
                   ) p
                   WHERE $11 IS NOT NULL OR $12 OR $10 IS NOT NULL
                   LIMIT $11
               ), page AS MATERIALIZED (
                   -- Without a limit, all that match: to find each by its id took three times as long.
                   SELECT * FROM all_matching WHERE $11 IS NULL AND NOT $12 AND $10 IS NULL
                   UNION ALL
                   SELECT * FROM public.api_keys k WHERE k.tenant_id = $1 AND k.id = ANY (ARRAY(SELECT id FROM ids))
               )
               SELECT k.id AS "id!", k.name AS "name!", k.scopes AS "scopes!", k.expires_at, k.created_at AS "created_at!",
                      k.created_by, k.revoked_at, k.version AS "version!", k.last4 AS "last4!", k.previous_last4,
                      k.previous_expires_at, k.description, k.suspended_at, k.suspended_until,
                      k.suspension_reason, k.allowed_addresses AS "allowed_addresses!: Vec<IpNet>", k.rate_limit_requests,
                      k.rate_limit_window_seconds, k.quota_requests, k.quota_period, k.is_decoy AS "is_decoy!", u.last_used_at,
                      CASE WHEN k.previous_digest IS NOT NULL THEN
                          (SELECT used_at FROM public.api_key_last_uses
                           WHERE tenant_id = $1 AND key_id = k.id AND lookup_digest = k.previous_digest)
                      END AS previous_last_used_at, "# + $name + r#" AS folded_name,
                      CASE WHEN $12 THEN (SELECT total FROM size)
                           ELSE (SELECT h.keys FROM public.api_key_event_heads h WHERE h.tenant_id = $1) END AS total
               FROM page k
               LEFT JOIN (
                   -- Of the page's keys or, without a limit, of all keys of the tenant: to look them up one by one would cost
                   -- PostgreSQL as much as the rest.
                   SELECT key_id, max(used_at) AS last_used_at
                   FROM public.api_key_last_uses
                   WHERE tenant_id = $1 AND ($11 IS NULL OR key_id = ANY (ARRAY(SELECT id FROM ids)))
                   GROUP BY key_id
               ) u ON u.key_id = k.id
               ORDER BY "# + $shown,
            $arguments.tenant,
            $arguments.search,
            $arguments.filter.now,
            $arguments.filter.status_names() as Option<Vec<String>>,
            $arguments.scopes as Option<Vec<String>>,
            $arguments.filter.created_by,
            $arguments.filter.expires_before,
            $arguments.filter.unused_since,
            $arguments.after_value,
            $arguments.after_id,
            $arguments.limit,
            $arguments.collects,
            $arguments.filter.has_others(),
        )
        .fetch_all($transaction)
        .await?
    };
}

/// The statement for an order by a column that is never null. `$after` and `$order` are of `found` and of `matching`.
macro_rules! key_rows_by_column {
    ($transaction:expr, $arguments:expr, after: $after:literal, order: $order:literal, name: $name:literal) => {
        key_rows!($transaction, $arguments, found: "found", after: $after, order: $order,
            walk: ("(SELECT k.id
                     FROM matching k
                     WHERE (NOT $12 OR (SELECT total IS NULL FROM size)) AND ($10 IS NULL OR " + $after + ")
                     ORDER BY " + $order + "
                     LIMIT $11)"),
            shown: $order, name: $name)
    };
}

/// The statement for the order by expiry. The keys that never expire are walked for themselves, since no comparison finds a
/// place among nulls.
macro_rules! key_rows_by_end {
    ($transaction:expr, $arguments:expr, after: $after:literal, order: $order:literal,
     walk: $first:literal, $first_order:literal, $second:literal, $second_order:literal) => {
        key_rows!($transaction, $arguments, found: "found", after: $after, order: $order,
            walk: ("(SELECT k.id
                     FROM matching k
                     WHERE (NOT $12 OR (SELECT total IS NULL FROM size)) AND " + $first + "
                     ORDER BY " + $first_order + "
                     LIMIT $11)
                   UNION ALL
                    (SELECT k.id
                     FROM matching k
                     WHERE (NOT $12 OR (SELECT total IS NULL FROM size)) AND " + $second + "
                     ORDER BY " + $second_order + "
                     LIMIT $11)"),
            shown: $order, name: "NULL::text")
    };
}

struct Arguments<'a> {
    tenant: Uuid,
    filter: &'a KeyFilter,
    search: Option<String>,
    scopes: Option<Vec<String>>,
    after_value: Option<String>,
    after_id: Option<Uuid>,
    limit: Option<i64>,
    /// The matching keys are collected and counted.
    collects: bool,
}

impl ReadTx {
    /// A page of the tenant's keys, each with its position. The total is `None` if more than [`MAX_COUNTED`] keys match a
    /// filter.
    pub async fn keys(
        &mut self,
        filter: &KeyFilter,
        order: KeyOrder,
        page: &Page,
    ) -> Result<Listed<(Position, ApiKey)>, Error> {
        let rows = self.key_rows(filter, order, page).await?;
        let total = match rows.first() {
            Some(row) => row.total,
            // A page after the last one: the first page has the total.
            None if page.counted && page.after.is_some() => {
                let first = Page { limit: Some(1), after: None, counted: true };
                self.key_rows(filter, order, &first).await?.first().map_or(Some(0), |row| row.total)
            }
            None => Some(0),
        };
        let items = rows.into_iter().map(|mut row| {
            let folded_name = row.folded_name.take();
            let key = ApiKey::try_from(row)?;
            Ok((order.position(&key, folded_name), key))
        });
        Ok(Listed { items: items.collect::<Result<_, Error>>()?, total })
    }

    async fn key_rows(&mut self, filter: &KeyFilter, order: KeyOrder, page: &Page) -> Result<Vec<ApiKeyRow>, Error> {
        let search = filter.search.as_deref().map(fold_case);
        self.prepare(search.as_deref(), filter).await?;
        let arguments = Arguments {
            tenant: self.tenant.0,
            filter,
            scopes: filter.scope_texts(),
            after_value: page.after.as_ref().map(|after| order.text(&after.value)),
            after_id: page.after.as_ref().map(|after| after.id),
            limit: page.limit,
            collects: page.counted && (search.is_some() || filter.has_others()),
            search,
        };
        let session = self.transaction.session();
        Ok(match (order.by, order.descending) {
            (SortBy::CreatedAt, false) => key_rows_by_column!(session, arguments,
                after: "(k.created_at, k.id) > ($9::text::timestamptz, $10)", order: "k.created_at, k.id", name: "NULL::text"),
            (SortBy::CreatedAt, true) => key_rows_by_column!(session, arguments,
                after: "(k.created_at, k.id) < ($9::text::timestamptz, $10)", order: "k.created_at DESC, k.id DESC", name: "NULL::text"),
            (SortBy::Name, false) => key_rows_by_column!(session, arguments,
                after: "(k.folded_name, k.id) > ($9::text, $10)", order: "k.folded_name, k.id", name: "k.folded_name"),
            (SortBy::Name, true) => key_rows_by_column!(session, arguments,
                after: "(k.folded_name, k.id) < ($9::text, $10)", order: "k.folded_name DESC, k.id DESC", name: "k.folded_name"),
            (SortBy::ExpiresAt, false) => key_rows_by_end!(session, arguments,
                after: "(coalesce(k.expires_at, 'infinity'::timestamptz), k.id) > ($9::text::timestamptz, $10)",
                order: "coalesce(k.expires_at, 'infinity'::timestamptz), k.id",
                walk: "k.expires_at IS NOT NULL AND ($10 IS NULL OR (k.expires_at, k.id) > ($9::text::timestamptz, $10))", "k.expires_at, k.id",
                      "k.expires_at IS NULL AND ($10 IS NULL OR $9::text <> 'infinity' OR k.id > $10)", "k.expires_at, k.id"),
            (SortBy::ExpiresAt, true) => key_rows_by_end!(session, arguments,
                after: "(coalesce(k.expires_at, 'infinity'::timestamptz), k.id) < ($9::text::timestamptz, $10)",
                order: "coalesce(k.expires_at, 'infinity'::timestamptz) DESC, k.id DESC",
                walk: "k.expires_at IS NULL AND ($10 IS NULL OR ($9::text = 'infinity' AND k.id < $10))", "k.expires_at DESC, k.id DESC",
                      "k.expires_at IS NOT NULL AND ($10 IS NULL OR (k.expires_at, k.id) < ($9::text::timestamptz, $10))", "k.expires_at DESC, k.id DESC"),
            (SortBy::LastUsedAt, false) => key_rows!(session, arguments,
                found: "(SELECT f.id, coalesce((SELECT max(u.used_at) FROM public.api_key_last_uses u
                                                WHERE u.tenant_id = $1 AND u.key_id = f.id),
                                               '-infinity'::timestamptz) AS used_at
                         FROM found f)",
                after: "(k.used_at, k.id) > ($9::text::timestamptz, $10)", order: "k.used_at, k.id",
                // A key has a row for each secret that was used, of which the latest counts.
                walk: ("(SELECT k.id
                     FROM filtered k
                     LEFT JOIN (SELECT DISTINCT key_id
                                FROM public.api_key_last_uses
                                WHERE tenant_id = $1
                                ORDER BY key_id) u ON u.key_id = k.id
                     WHERE (NOT $12 OR (SELECT total IS NULL FROM size)) AND u.key_id IS NULL
                       AND ($10 IS NULL OR ($9::text = '-infinity' AND k.id > $10))
                     ORDER BY k.id
                     LIMIT $11)
                   UNION ALL
                    (SELECT u.key_id AS id
                     FROM public.api_key_last_uses u
                     WHERE (NOT $12 OR (SELECT total IS NULL FROM size))
                       AND u.tenant_id = $1 AND ($8 IS NULL OR u.used_at <= $8)
                       AND ($10 IS NULL OR (u.used_at, u.key_id) > ($9::text::timestamptz, $10))
                       AND u.lookup_digest = (SELECT l.lookup_digest
                                              FROM public.api_key_last_uses l
                                              WHERE l.tenant_id = $1 AND l.key_id = u.key_id
                                              ORDER BY l.used_at DESC, l.lookup_digest DESC
                                              LIMIT 1)
                       AND (SELECT true FROM filtered k WHERE k.id = u.key_id)
                     ORDER BY u.used_at, u.key_id
                     LIMIT $11)"),
                shown: "coalesce(u.last_used_at, '-infinity'::timestamptz), k.id", name: "NULL::text"),
            (SortBy::LastUsedAt, true) => key_rows!(session, arguments,
                found: "(SELECT f.id, coalesce((SELECT max(u.used_at) FROM public.api_key_last_uses u
                                                WHERE u.tenant_id = $1 AND u.key_id = f.id),
                                               '-infinity'::timestamptz) AS used_at
                         FROM found f)",
                after: "(k.used_at, k.id) < ($9::text::timestamptz, $10)", order: "k.used_at DESC, k.id DESC",
                // A key has a row for each secret that was used, of which the latest counts.
                walk: ("(SELECT u.key_id AS id
                     FROM public.api_key_last_uses u
                     WHERE (NOT $12 OR (SELECT total IS NULL FROM size))
                       AND u.tenant_id = $1 AND ($8 IS NULL OR u.used_at <= $8)
                       AND ($10 IS NULL OR (u.used_at, u.key_id) < ($9::text::timestamptz, $10))
                       AND u.lookup_digest = (SELECT l.lookup_digest
                                              FROM public.api_key_last_uses l
                                              WHERE l.tenant_id = $1 AND l.key_id = u.key_id
                                              ORDER BY l.used_at DESC, l.lookup_digest DESC
                                              LIMIT 1)
                       AND (SELECT true FROM filtered k WHERE k.id = u.key_id)
                     ORDER BY u.used_at DESC, u.key_id DESC
                     LIMIT $11)
                   UNION ALL
                    (SELECT k.id
                     FROM filtered k
                     LEFT JOIN (SELECT DISTINCT key_id
                                FROM public.api_key_last_uses
                                WHERE tenant_id = $1
                                ORDER BY key_id DESC) u ON u.key_id = k.id
                     WHERE (NOT $12 OR (SELECT total IS NULL FROM size)) AND u.key_id IS NULL
                       AND ($10 IS NULL OR $9::text <> '-infinity' OR k.id < $10)
                     ORDER BY k.id DESC
                     LIMIT $11)"),
                shown: "coalesce(u.last_used_at, '-infinity'::timestamptz) DESC, k.id DESC", name: "NULL::text"),
        })
    }

    /// The settings of the transaction that the statement depends on.
    async fn prepare(&mut self, search: Option<&str>, filter: &KeyFilter) -> Result<(), Error> {
        if let Some(search) = search {
            self.set_search(search).await?;
        }
        if filter.unused_since.is_some() && search.is_none() {
            self.join_in_order().await?;
        }
        Ok(())
    }

    /// Joins keys with their uses in the order of the primary keys. A hash join, or a sort of what a bitmap has found, would
    /// read all uses before the first match. (An index of trigrams can be read by a bitmap alone.)
    async fn join_in_order(&mut self) -> Result<(), Error> {
        sqlx::query!("SELECT set_config('enable_hashjoin', 'off', true) AS hash, set_config('enable_bitmapscan', 'off', true) AS bitmap")
            .fetch_one(self.transaction.session())
            .await?;
        Ok(())
    }

    /// Sets the pattern that the policy of `api_key_texts` selects by: any text that contains `part`.
    async fn set_search(&mut self, part: &str) -> Result<(), Error> {
        let mut pattern = String::from("%");
        for c in part.chars() {
            if matches!(c, '%' | '_' | '\\') {
                pattern.push('\\');
            }
            pattern.push(c);
        }
        pattern.push('%');
        sqlx::query_scalar!("SELECT set_config('rally.search', $1, true)", pattern)
            .fetch_one(self.transaction.session())
            .await?;
        Ok(())
    }
}

/// How the owner of a database without the search index adds it.
const ADD_SEARCH_INDEX: &str = "as the database's owner or a superuser, run: CREATE SCHEMA rally_extensions; CREATE EXTENSION \
    pg_trgm SCHEMA rally_extensions; CREATE INDEX api_key_texts_trigrams ON public.api_key_texts USING gin (text \
    rally_extensions.gin_trgm_ops) WITH (fastupdate = off)";

/// Whether searches have an index. If not: what that means, and what to do.
pub(super) async fn check_search_index(connection: &mut PgConnection) -> Result<Result<(), String>, sqlx::Error> {
    let mut transaction = begin_inspection(connection).await?;
    let exists: bool = sqlx::query_scalar("SELECT to_regclass('public.api_key_texts_trigrams') IS NOT NULL")
        .persistent(false)
        .fetch_one(&mut *transaction)
        .await?;
    if exists {
        return Ok(Ok(()));
    }
    Ok(Err(format!(
        "a search reads the texts of all keys of a tenant, which takes some 25 ms for 100,000. {ADD_SEARCH_INDEX}"
    )))
}
