-- Usage: what each key, and the tenant as a whole, was used for in each hour, by whom, and when each secret was last
-- used. Written in batches by record_usage; read by plain queries. No table here has a trigger or refers to another table,
-- so that statistics take no lock that a change of a key needs.

SET LOCAL search_path = '';

CREATE TABLE public.api_key_usage (
    tenant_id      uuid        NOT NULL,
    -- ffffffff-ffff-ffff-ffff-ffffffffffff: the sum of all keys, so that reading it costs a row for each hour.
    key_id         uuid        NOT NULL,
    -- The start of the hour, in UTC.
    hour           timestamptz NOT NULL CHECK (date_trunc('hour', hour, 'UTC') = hour),
    -- All requests with one of the key's secrets, denied ones included.
    requests       bigint      NOT NULL CHECK (requests >= 0::bigint),
    -- Denied, since the key had expired.
    denied_expired bigint      NOT NULL CHECK (denied_expired >= 0::bigint),
    -- Denied, since the key's scopes did not suffice.
    denied_scope   bigint      NOT NULL CHECK (denied_scope >= 0::bigint),
    -- Denied, since the key was revoked, or the secret had ended.
    denied_revoked bigint      NOT NULL CHECK (denied_revoked >= 0::bigint),
    -- Denied, since the key was suspended.
    denied_suspended bigint    NOT NULL DEFAULT 0 CHECK (denied_suspended >= 0::bigint),
    -- Denied, since the key may not be used from the client's address.
    denied_address bigint      NOT NULL DEFAULT 0 CHECK (denied_address >= 0::bigint),
    -- Denied, since the key had exceeded its rate limit.
    denied_rate_limit bigint   NOT NULL DEFAULT 0 CHECK (denied_rate_limit >= 0::bigint),
    -- Denied, since the key had exhausted its quota.
    denied_quota   bigint      NOT NULL DEFAULT 0 CHECK (denied_quota >= 0::bigint),
    PRIMARY KEY (tenant_id, key_id, hour)
    -- Room on each page for the next versions of its rows, so that updates change no index (HOT).
) WITH (fillfactor = 70);

-- For the removal of old hours: rows are inserted in the order of time, so a few pages tell where the old ones are.
CREATE INDEX api_key_usage_by_hour ON public.api_key_usage USING brin (hour) WITH (autosummarize = on);

CREATE TABLE public.api_key_last_uses (
    tenant_id     uuid        NOT NULL,
    key_id        uuid        NOT NULL,
    lookup_digest bytea       NOT NULL CHECK (octet_length(lookup_digest) = 16),
    used_at       timestamptz NOT NULL,
    address       inet,
    -- Truncated. NULL: the client sent none.
    user_agent    text        CHECK (char_length(user_agent) <= 200),
    PRIMARY KEY (tenant_id, key_id, lookup_digest)
) WITH (fillfactor = 70);

-- The order of the list by last use. It makes a batch of 2,000 keys take about a fifth longer.
CREATE INDEX api_key_last_uses_in_order ON public.api_key_last_uses (tenant_id, used_at, key_id);

-- Who uses each secret: the address and the program of requests that were let in.
CREATE TABLE public.api_key_callers (
    tenant_id     uuid        NOT NULL,
    key_id        uuid        NOT NULL,
    lookup_digest bytea       NOT NULL CHECK (octet_length(lookup_digest) = 16),
    -- The first 16 bytes of SHA-256 over address and program, so that the primary key is short and without NULL.
    caller        bytea       NOT NULL CHECK (octet_length(caller) = 16),
    -- NULL: callers that were not told apart, since there were too many at once.
    address       inet,
    -- Truncated. NULL: the client sent none.
    user_agent    text        CHECK (char_length(user_agent) <= 200),
    first_seen_at timestamptz NOT NULL,
    last_seen_at  timestamptz NOT NULL CHECK (last_seen_at >= first_seen_at),
    -- Since first_seen_at.
    requests      bigint      NOT NULL CHECK (requests > 0::bigint),
    PRIMARY KEY (tenant_id, key_id, lookup_digest, caller)
) WITH (fillfactor = 70);

-- What each key that has a quota used of it in the present period, so that nobody has to sum hours up.
CREATE TABLE public.api_key_quota_usage (
    tenant_id     uuid        NOT NULL,
    key_id        uuid        NOT NULL,
    period        text        NOT NULL CHECK (period IN ('day', 'month')),
    -- In UTC.
    period_start  timestamptz NOT NULL CHECK (date_trunc(period, period_start, 'UTC') = period_start),
    -- Requests that were let in.
    requests      bigint      NOT NULL CHECK (requests >= 0::bigint),
    -- False only within record_usage: `requests` does not have the earlier hours of the period yet.
    is_summed     boolean     NOT NULL,
    PRIMARY KEY (tenant_id, key_id)
) WITH (fillfactor = 70);

-- The last batch of each instance: a batch that is sent again, since its response was lost, counts once.
CREATE TABLE public.usage_writers (
    id         uuid        PRIMARY KEY,
    last_batch bigint      NOT NULL CHECK (last_batch > 0::bigint),
    written_at timestamptz NOT NULL
);

-- A tenant's rows can be read under that tenant. Rows of all tenants can be read and written by the functions below
-- alone, which set rally.usage_worker while they run. (Not by a function option: only a superuser may create a function
-- with an option for a setting that no extension defines. Sub-selects: evaluated once per statement, not per row.)
ALTER TABLE public.api_key_usage     ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE public.api_key_last_uses ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE public.api_key_callers   ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE public.api_key_quota_usage ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE public.usage_writers     ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY one_tenant ON public.api_key_usage FOR SELECT TO rally_app
    USING (tenant_id = (SELECT nullif(current_setting('rally.tenant_id', true), '')::uuid));
CREATE POLICY one_tenant ON public.api_key_last_uses FOR SELECT TO rally_app
    USING (tenant_id = (SELECT nullif(current_setting('rally.tenant_id', true), '')::uuid));
CREATE POLICY one_tenant ON public.api_key_callers FOR SELECT TO rally_app
    USING (tenant_id = (SELECT nullif(current_setting('rally.tenant_id', true), '')::uuid));
CREATE POLICY one_tenant ON public.api_key_quota_usage FOR SELECT TO rally_app
    USING (tenant_id = (SELECT nullif(current_setting('rally.tenant_id', true), '')::uuid));
CREATE POLICY usage_worker ON public.api_key_usage TO rally_app
    USING      ((SELECT current_setting('rally.usage_worker', true) = 'on'))
    WITH CHECK ((SELECT current_setting('rally.usage_worker', true) = 'on'));
CREATE POLICY usage_worker ON public.api_key_last_uses TO rally_app
    USING      ((SELECT current_setting('rally.usage_worker', true) = 'on'))
    WITH CHECK ((SELECT current_setting('rally.usage_worker', true) = 'on'));
CREATE POLICY usage_worker ON public.api_key_callers TO rally_app
    USING      ((SELECT current_setting('rally.usage_worker', true) = 'on'))
    WITH CHECK ((SELECT current_setting('rally.usage_worker', true) = 'on'));
CREATE POLICY usage_worker ON public.api_key_quota_usage TO rally_app
    USING      ((SELECT current_setting('rally.usage_worker', true) = 'on'))
    WITH CHECK ((SELECT current_setting('rally.usage_worker', true) = 'on'));
CREATE POLICY usage_worker ON public.usage_writers TO rally_app
    USING      ((SELECT current_setting('rally.usage_worker', true) = 'on'))
    WITH CHECK ((SELECT current_setting('rally.usage_worker', true) = 'on'));
GRANT SELECT, INSERT, DELETE                            ON public.api_key_usage     TO rally_app;
GRANT UPDATE (requests, denied_expired, denied_scope, denied_revoked, denied_suspended, denied_address,
              denied_rate_limit, denied_quota)          ON public.api_key_usage     TO rally_app;
GRANT SELECT, INSERT, DELETE                            ON public.api_key_last_uses TO rally_app;
GRANT UPDATE (used_at, address, user_agent)             ON public.api_key_last_uses TO rally_app;
GRANT SELECT, INSERT, DELETE                            ON public.api_key_callers   TO rally_app;
GRANT UPDATE (first_seen_at, last_seen_at, requests)    ON public.api_key_callers   TO rally_app;
GRANT SELECT, INSERT                                    ON public.api_key_quota_usage TO rally_app;
GRANT UPDATE (period, period_start, requests, is_summed) ON public.api_key_quota_usage TO rally_app;
GRANT SELECT, INSERT, UPDATE, DELETE                    ON public.usage_writers     TO rally_app;

-- record_usage sees which tenants exist.
CREATE POLICY usage_worker ON public.tenants FOR SELECT TO rally_app
    USING ((SELECT current_setting('rally.usage_worker', true) = 'on'));

CREATE POLICY of_deleted_tenant ON public.api_key_usage FOR DELETE TO rally_operator
    USING (tenant_id = (SELECT nullif(current_setting('rally.deleted_tenant', true), '')::uuid)
           AND NOT EXISTS (SELECT FROM public.tenants t
                           WHERE t.id = nullif(current_setting('rally.deleted_tenant', true), '')::uuid));
CREATE POLICY of_deleted_tenant ON public.api_key_last_uses FOR DELETE TO rally_operator
    USING (tenant_id = (SELECT nullif(current_setting('rally.deleted_tenant', true), '')::uuid)
           AND NOT EXISTS (SELECT FROM public.tenants t
                           WHERE t.id = nullif(current_setting('rally.deleted_tenant', true), '')::uuid));
CREATE POLICY of_deleted_tenant ON public.api_key_callers FOR DELETE TO rally_operator
    USING (tenant_id = (SELECT nullif(current_setting('rally.deleted_tenant', true), '')::uuid)
           AND NOT EXISTS (SELECT FROM public.tenants t
                           WHERE t.id = nullif(current_setting('rally.deleted_tenant', true), '')::uuid));
CREATE POLICY of_deleted_tenant ON public.api_key_quota_usage FOR DELETE TO rally_operator
    USING (tenant_id = (SELECT nullif(current_setting('rally.deleted_tenant', true), '')::uuid)
           AND NOT EXISTS (SELECT FROM public.tenants t
                           WHERE t.id = nullif(current_setting('rally.deleted_tenant', true), '')::uuid));
GRANT DELETE ON public.api_key_usage, public.api_key_last_uses, public.api_key_callers, public.api_key_quota_usage
    TO rally_operator;

-- remove_ended_secrets sees secrets of all tenants, but none that works.
CREATE POLICY usage_worker_sees ON public.api_key_secrets FOR SELECT TO rally_app
    USING ((SELECT current_setting('rally.usage_worker', true) = 'on')
           AND retired_at IS NOT NULL AND (ended_at IS NOT NULL OR expires_at < now() - interval '1 day'));
CREATE POLICY usage_worker_removes ON public.api_key_secrets FOR DELETE TO rally_app
    USING ((SELECT current_setting('rally.usage_worker', true) = 'on'));

-- Adds one batch of usage, of any number of tenants. Element n of each array, up to user_agents, belongs to element n of the
-- others: a secret and an hour, the requests since the last batch, and the secret's last use (NULL: none since then). A
-- secret may have several elements. Then the same for callers. What belongs to a tenant that was deleted is left out.
-- is_new is false where this batch of this writer was written before. quota_periods has the period of the key's quota, or
-- NULL; of keys that have one, the totals of the present period are returned.
CREATE FUNCTION public.record_usage(
    writer uuid, batch bigint,
    tenants uuid[], keys uuid[], digests bytea[], hours timestamptz[],
    requests bigint[], denied_expired bigint[], denied_scope bigint[], denied_revoked bigint[], denied_suspended bigint[],
    denied_address bigint[], denied_rate_limit bigint[], denied_quota bigint[], quota_periods text[],
    used_at timestamptz[], addresses inet[], user_agents text[],
    callers_tenants uuid[], callers_keys uuid[], callers_digests bytea[], callers bytea[], callers_addresses inet[],
    callers_user_agents text[], callers_first_seen_at timestamptz[], callers_last_seen_at timestamptz[],
    callers_requests bigint[],
    OUT is_new boolean, OUT quota_keys uuid[], OUT quota_totals_periods text[], OUT quota_starts timestamptz[],
    OUT quota_requests bigint[]
)
LANGUAGE plpgsql
SET role = rally_app
SET search_path = ''
SET lock_timeout = '4s' -- the client gives up after 5 s: see find_tenants
-- What arrays hold cannot be estimated; compiling (JIT) and planning anew would take longer than writing.
SET jit = off
SET plan_cache_mode = force_generic_plan
-- Plans are kept, and may be from when there were few tenants.
SET enable_seqscan = off
AS $$
DECLARE
    begun_tenants uuid[];
    begun_keys uuid[];
BEGIN
    PERFORM set_config('rally.usage_worker', 'on', true);
    -- Against the deletion of a tenant, which takes it alone: see TenantAdmin::delete_tenant.
    PERFORM pg_advisory_xact_lock_shared(x'72616c6c79757365'::bigint);
    INSERT INTO public.usage_writers AS w (id, last_batch, written_at) VALUES (writer, batch, now())
        ON CONFLICT (id) DO UPDATE SET last_batch = excluded.last_batch, written_at = excluded.written_at
        WHERE w.last_batch < excluded.last_batch;
    is_new := FOUND;
    IF is_new THEN
        -- Rows in the order of their keys, so that two instances do not wait for each other in turn. Those of tenants come
        -- last, since every instance writes them.
        INSERT INTO public.api_key_usage AS u
                (tenant_id, key_id, hour, requests, denied_expired, denied_scope, denied_revoked, denied_suspended,
                 denied_address, denied_rate_limit, denied_quota)
            SELECT b.tenant_id, coalesce(b.key_id, 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid), b.hour,
                   sum(b.requests)::bigint, sum(b.expired)::bigint, sum(b.scope)::bigint, sum(b.revoked)::bigint,
                   sum(b.suspended)::bigint, sum(b.address)::bigint, sum(b.rate_limit)::bigint, sum(b.quota)::bigint
            FROM unnest(tenants, keys, hours, requests, denied_expired, denied_scope, denied_revoked, denied_suspended,
                        denied_address, denied_rate_limit, denied_quota)
                 b (tenant_id, key_id, hour, requests, expired, scope, revoked, suspended, address, rate_limit, quota)
            JOIN public.tenants t ON t.id = b.tenant_id
            GROUP BY GROUPING SETS ((b.tenant_id, b.key_id, b.hour), (b.tenant_id, b.hour))
            ORDER BY grouping(b.key_id), b.tenant_id, b.key_id, b.hour
            ON CONFLICT (tenant_id, key_id, hour) DO UPDATE
            SET requests       = u.requests + excluded.requests,
                denied_expired = u.denied_expired + excluded.denied_expired,
                denied_scope   = u.denied_scope + excluded.denied_scope,
                denied_revoked = u.denied_revoked + excluded.denied_revoked,
                denied_suspended = u.denied_suspended + excluded.denied_suspended,
                denied_address = u.denied_address + excluded.denied_address,
                denied_rate_limit = u.denied_rate_limit + excluded.denied_rate_limit,
                denied_quota   = u.denied_quota + excluded.denied_quota;
        INSERT INTO public.api_key_last_uses AS l (tenant_id, key_id, lookup_digest, used_at, address, user_agent)
            SELECT DISTINCT ON (b.tenant_id, b.key_id, b.lookup_digest) b.*
            FROM unnest(tenants, keys, digests, used_at, addresses, user_agents)
                 b (tenant_id, key_id, lookup_digest, used_at, address, user_agent)
            JOIN public.tenants t ON t.id = b.tenant_id
            WHERE b.used_at IS NOT NULL
            ORDER BY b.tenant_id, b.key_id, b.lookup_digest, b.used_at DESC
            ON CONFLICT (tenant_id, key_id, lookup_digest) DO UPDATE
            SET used_at = excluded.used_at, address = excluded.address, user_agent = excluded.user_agent
            WHERE l.used_at <= excluded.used_at;
        INSERT INTO public.api_key_callers AS c
                (tenant_id, key_id, lookup_digest, caller, address, user_agent, first_seen_at, last_seen_at, requests)
            SELECT b.tenant_id, b.key_id, b.lookup_digest, b.caller, min(b.address), min(b.user_agent), min(b.first_seen_at),
                   max(b.last_seen_at), sum(b.requests)::bigint
            FROM unnest(callers_tenants, callers_keys, callers_digests, callers, callers_addresses, callers_user_agents,
                        callers_first_seen_at, callers_last_seen_at, callers_requests)
                 b (tenant_id, key_id, lookup_digest, caller, address, user_agent, first_seen_at, last_seen_at, requests)
            JOIN public.tenants t ON t.id = b.tenant_id
            GROUP BY b.tenant_id, b.key_id, b.lookup_digest, b.caller
            ORDER BY b.tenant_id, b.key_id, b.lookup_digest, b.caller
            ON CONFLICT (tenant_id, key_id, lookup_digest, caller) DO UPDATE
            SET first_seen_at = least(c.first_seen_at, excluded.first_seen_at),
                last_seen_at  = greatest(c.last_seen_at, excluded.last_seen_at),
                requests      = c.requests + excluded.requests;
        IF EXISTS (SELECT FROM unnest(quota_periods) q (period) WHERE q.period IS NOT NULL)
           OR EXISTS (SELECT FROM public.api_key_quota_usage) THEN
            -- Keys that have a quota, and those that had one. A row of an earlier period, or of another quota, begins anew.
            WITH written AS (
                INSERT INTO public.api_key_quota_usage AS q (tenant_id, key_id, period, period_start, requests, is_summed)
                    SELECT DISTINCT ON (p.tenant_id, p.key_id) p.tenant_id, p.key_id, p.period, p.period_start, p.requests, false
                    FROM (SELECT b.tenant_id, b.key_id, coalesce(b.period, o.period) AS period,
                                 date_trunc(coalesce(b.period, o.period), b.hour, 'UTC') AS period_start,
                                 sum(b.requests - b.expired - b.scope - b.revoked - b.suspended - b.address - b.rate_limit
                                     - b.quota)::bigint AS requests
                          FROM unnest(tenants, keys, hours, requests, denied_expired, denied_scope, denied_revoked,
                                      denied_suspended, denied_address, denied_rate_limit, denied_quota, quota_periods)
                               b (tenant_id, key_id, hour, requests, expired, scope, revoked, suspended, address,
                                  rate_limit, quota, period)
                          JOIN public.tenants t ON t.id = b.tenant_id
                          LEFT JOIN public.api_key_quota_usage o ON o.tenant_id = b.tenant_id AND o.key_id = b.key_id
                          WHERE coalesce(b.period, o.period) IS NOT NULL
                          GROUP BY 1, 2, 3, 4) p
                    ORDER BY p.tenant_id, p.key_id, p.period_start DESC
                    ON CONFLICT (tenant_id, key_id) DO UPDATE
                    SET period = excluded.period, period_start = excluded.period_start,
                        requests = q.requests + excluded.requests,
                        is_summed = q.period = excluded.period AND q.period_start = excluded.period_start
                    WHERE q.period <> excluded.period OR q.period_start <= excluded.period_start
                    RETURNING q.tenant_id, q.key_id, q.is_summed
            )
            SELECT array_agg(w.tenant_id), array_agg(w.key_id) INTO begun_tenants, begun_keys
            FROM written w
            WHERE NOT w.is_summed;
            IF begun_keys IS NOT NULL THEN
                UPDATE public.api_key_quota_usage q
                SET requests = (SELECT coalesce(sum(u.requests - u.denied_expired - u.denied_scope - u.denied_revoked
                                                    - u.denied_suspended - u.denied_address - u.denied_rate_limit
                                                    - u.denied_quota), 0)::bigint
                                FROM public.api_key_usage u
                                WHERE u.tenant_id = q.tenant_id AND u.key_id = q.key_id AND u.hour >= q.period_start
                                  AND date_trunc(q.period, u.hour, 'UTC') = q.period_start),
                    is_summed = true
                FROM unnest(begun_tenants, begun_keys) b (tenant_id, key_id)
                WHERE q.tenant_id = b.tenant_id AND q.key_id = b.key_id;
            END IF;
        END IF;
    END IF;
    SELECT coalesce(array_agg(q.key_id), '{}'), coalesce(array_agg(q.period), '{}'),
           coalesce(array_agg(q.period_start), '{}'), coalesce(array_agg(q.requests), '{}')
        INTO quota_keys, quota_totals_periods, quota_starts, quota_requests
        FROM (SELECT DISTINCT b.tenant_id, b.key_id
              FROM unnest(tenants, keys, quota_periods) b (tenant_id, key_id, period)
              WHERE b.period IS NOT NULL) b
        JOIN public.api_key_quota_usage q ON q.tenant_id = b.tenant_id AND q.key_id = b.key_id;
    PERFORM set_config('rally.usage_worker', '', true);
END
$$;

-- Removes up to `at_most` rows of hours before that time, of all tenants, and writers that have been silent for a week.
-- Returns the number of rows; NULL: another instance is removing them.
CREATE FUNCTION public.remove_old_usage(before timestamptz, at_most integer) RETURNS integer
LANGUAGE plpgsql
SET role = rally_app
SET search_path = ''
SET lock_timeout = '1s'
AS $$
DECLARE
    removed integer;
BEGIN
    IF NOT pg_try_advisory_xact_lock(x'72616c6c79757367'::bigint) THEN -- any number that is always the same
        RETURN NULL;
    END IF;
    PERFORM set_config('rally.usage_worker', 'on', true);
    DELETE FROM public.api_key_usage
        WHERE ctid = ANY (ARRAY(SELECT u.ctid FROM public.api_key_usage u WHERE u.hour < before LIMIT at_most));
    GET DIAGNOSTICS removed = ROW_COUNT;
    DELETE FROM public.usage_writers w WHERE w.written_at < now() - interval '7 days';
    PERFORM set_config('rally.usage_worker', '', true);
    RETURN removed;
END
$$;

-- Removes callers of all tenants: those that were last seen before that time, and those of which the key has `keep` that were
-- seen later. Looks at 500 pages of the table, from `from_page`, so that a call takes as long however large the table is, and
-- no index has to be kept for it. `next_page`: where to go on; NULL: these were the last. `removed` is NULL if another
-- instance is removing them.
CREATE FUNCTION public.remove_old_callers(before timestamptz, keep integer, from_page bigint,
                                          OUT removed integer, OUT next_page bigint)
LANGUAGE plpgsql
SET role = rally_app
SET search_path = ''
SET lock_timeout = '1s'
-- The rows of these pages by their place, each row to be removed by its key.
SET enable_seqscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
AS $$
DECLARE
    past_page CONSTANT bigint := from_page + 500;
    first CONSTANT tid := format('(%s,0)', from_page)::tid;
    past CONSTANT tid := format('(%s,0)', past_page)::tid;
BEGIN
    IF NOT pg_try_advisory_xact_lock(x'72616c6c7963616c'::bigint) THEN -- any number that is always the same
        RETURN;
    END IF;
    PERFORM set_config('rally.usage_worker', 'on', true);
    WITH here AS MATERIALIZED (
        SELECT c.tenant_id, c.key_id, c.lookup_digest, c.caller, c.first_seen_at, c.last_seen_at
        FROM public.api_key_callers c
        WHERE c.ctid >= first AND c.ctid < past
          AND (c.last_seen_at < before OR c.first_seen_at > now() - interval '1 day')
    ), old AS (
        SELECT h.tenant_id, h.key_id, h.lookup_digest, h.caller, h.last_seen_at
        FROM here h
        WHERE h.last_seen_at < before
      UNION
        -- Only keys that have a new caller: earlier runs have trimmed the others.
        SELECT k.tenant_id, k.key_id, c.lookup_digest, c.caller, c.last_seen_at
        FROM (SELECT DISTINCT h.tenant_id, h.key_id FROM here h WHERE h.first_seen_at > now() - interval '1 day') k
        CROSS JOIN LATERAL (SELECT lookup_digest, caller, last_seen_at
                            FROM public.api_key_callers
                            WHERE tenant_id = k.tenant_id AND key_id = k.key_id
                            ORDER BY last_seen_at DESC, caller
                            OFFSET keep) c
    ), locked AS (
        -- Those that record_usage is writing stay, also so that neither waits for the other.
        SELECT c.tenant_id, c.key_id, c.lookup_digest, c.caller
        FROM public.api_key_callers c
        JOIN old o ON o.tenant_id = c.tenant_id AND o.key_id = c.key_id AND o.lookup_digest = c.lookup_digest
                  AND o.caller = c.caller
        WHERE c.last_seen_at <= o.last_seen_at
        FOR UPDATE OF c SKIP LOCKED
    )
    DELETE FROM public.api_key_callers c
        USING locked l
        WHERE c.tenant_id = l.tenant_id AND c.key_id = l.key_id AND c.lookup_digest = l.lookup_digest
          AND c.caller = l.caller;
    GET DIAGNOSTICS removed = ROW_COUNT;
    IF past_page < pg_relation_size('public.api_key_callers'::regclass) / current_setting('block_size')::bigint THEN
        next_page := past_page;
    END IF;
    PERFORM set_config('rally.usage_worker', '', true);
END
$$;

-- Removes up to `at_most` secrets of all tenants, with their last uses: those that ended before that time, and those of
-- which the key has `keep` that were created later and ended too. Returns their number; NULL: another instance is removing
-- them.
CREATE FUNCTION public.remove_ended_secrets(before timestamptz, keep integer, at_most integer) RETURNS integer
LANGUAGE plpgsql
SET role = rally_app
SET search_path = ''
SET lock_timeout = '1s'
AS $$
DECLARE
    removed integer;
BEGIN
    IF NOT pg_try_advisory_xact_lock(x'72616c6c79736563'::bigint) THEN -- any number that is always the same
        RETURN NULL;
    END IF;
    PERFORM set_config('rally.usage_worker', 'on', true);
    WITH ended AS (
        SELECT s.tenant_id, s.key_id, s.lookup_digest
        FROM public.api_key_secrets s
        WHERE s.retired_at IS NOT NULL AND least(s.expires_at, s.ended_at) < before
      UNION
        -- Only keys of which a secret ended in the last day: earlier runs have trimmed the others.
        SELECT k.tenant_id, k.key_id, s.lookup_digest
        FROM (SELECT DISTINCT tenant_id, key_id
              FROM public.api_key_secrets
              WHERE retired_at IS NOT NULL AND least(expires_at, ended_at) > now() - interval '1 day') k
        CROSS JOIN LATERAL (SELECT lookup_digest
                            FROM public.api_key_secrets
                            WHERE tenant_id = k.tenant_id AND key_id = k.key_id AND ended_at IS NOT NULL
                            ORDER BY created_at DESC
                            OFFSET keep) s
        LIMIT at_most
    ), secrets AS (
        DELETE FROM public.api_key_secrets s
        USING ended e
        WHERE s.tenant_id = e.tenant_id AND s.lookup_digest = e.lookup_digest
        RETURNING s.tenant_id, s.key_id, s.lookup_digest
    ), uses AS (
        DELETE FROM public.api_key_last_uses l
        USING secrets s
        WHERE l.tenant_id = s.tenant_id AND l.key_id = s.key_id AND l.lookup_digest = s.lookup_digest
    )
    SELECT count(*)::integer INTO removed FROM secrets;
    PERFORM set_config('rally.usage_worker', '', true);
    RETURN removed;
END
$$;

REVOKE EXECUTE ON FUNCTION
    public.record_usage(uuid, bigint, uuid[], uuid[], bytea[], timestamptz[], bigint[], bigint[], bigint[], bigint[],
                        bigint[], bigint[], bigint[], bigint[], text[], timestamptz[], inet[], text[], uuid[], uuid[],
                        bytea[], bytea[], inet[], text[], timestamptz[], timestamptz[], bigint[]),
    public.remove_old_callers(timestamptz, integer, bigint),
    public.remove_old_usage(timestamptz, integer), public.remove_ended_secrets(timestamptz, integer, integer)
    FROM PUBLIC;
GRANT EXECUTE ON FUNCTION
    public.record_usage(uuid, bigint, uuid[], uuid[], bytea[], timestamptz[], bigint[], bigint[], bigint[], bigint[],
                        bigint[], bigint[], bigint[], bigint[], text[], timestamptz[], inet[], text[], uuid[], uuid[],
                        bytea[], bytea[], inet[], text[], timestamptz[], timestamptz[], bigint[]),
    public.remove_old_callers(timestamptz, integer, bigint),
    public.remove_old_usage(timestamptz, integer), public.remove_ended_secrets(timestamptz, integer, integer)
    TO rally_app;

RESET search_path;
