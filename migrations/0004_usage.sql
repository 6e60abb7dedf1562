-- Usage: what each key was asked for in each hour, and where its secrets were last used from.

-- Where a secret was last used from, cut to what is worth keeping. An empty User-Agent: none.
ALTER TABLE api_key_secrets
    ADD COLUMN last_address    inet,
    ADD COLUMN last_user_agent text CHECK (char_length(last_user_agent) <= 200);
GRANT UPDATE (last_address, last_user_agent) ON api_key_secrets TO rally_app;

-- When an event last told that somebody still uses this secret, which works no more.
ALTER TABLE api_key_secrets ADD COLUMN reuse_noted_at timestamptz;
GRANT UPDATE (reuse_noted_at) ON api_key_secrets TO rally_app;
ALTER TABLE api_key_events
    DROP CONSTRAINT api_key_events_kind_check,
    ADD CONSTRAINT api_key_events_kind_check
        CHECK (kind IN ('created', 'updated', 'rotated', 'previous_secret_ended', 'revoked', 'secret_reused'));

CREATE TABLE api_key_usage (
    tenant_id      uuid        NOT NULL,
    key_id         uuid        NOT NULL,
    -- The hour's beginning, in UTC.
    hour           timestamptz NOT NULL CHECK (date_trunc('hour', hour, 'UTC') = hour),
    -- All requests with one of the key's secrets, refused ones included.
    requests       bigint      NOT NULL CHECK (requests >= 0),
    -- Refused, since the key had expired.
    denied_expired bigint      NOT NULL CHECK (denied_expired >= 0),
    -- Refused, since its scopes did not suffice.
    denied_scope   bigint      NOT NULL CHECK (denied_scope >= 0),
    PRIMARY KEY (tenant_id, key_id, hour),
    FOREIGN KEY (tenant_id, key_id) REFERENCES api_keys
    -- Room on each page for the rows' next versions, so that no index changes with them (HOT).
) WITH (fillfactor = 80);

-- For the removal of old hours: rows come in the order of time, so that a few pages tell where
-- they are.
CREATE INDEX api_key_usage_by_hour ON api_key_usage USING brin (hour) WITH (autosummarize = on);

ALTER TABLE api_key_usage ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY one_tenant ON api_key_usage TO rally_app
    USING      (tenant_id = nullif(current_setting('rally.tenant_id', true), '')::uuid)
    WITH CHECK (tenant_id = nullif(current_setting('rally.tenant_id', true), '')::uuid);
-- Old hours are removed for all tenants at once, by whoever says in its transaction what is old.
CREATE POLICY old_hours ON api_key_usage FOR SELECT TO rally_app
    USING (hour < nullif(current_setting('rally.usage_before', true), '')::timestamptz);
CREATE POLICY remove_old_hours ON api_key_usage FOR DELETE TO rally_app
    USING (hour < nullif(current_setting('rally.usage_before', true), '')::timestamptz);
GRANT SELECT, INSERT, DELETE ON api_key_usage TO rally_app;
GRANT UPDATE (requests, denied_expired, denied_scope) ON api_key_usage TO rally_app;

-- Which batch each instance wrote last: one that was sent again, because nobody knows whether it
-- was written, is written once.
CREATE TABLE usage_writers (
    id         uuid        PRIMARY KEY,
    last_batch bigint      NOT NULL CHECK (last_batch > 0),
    written_at timestamptz NOT NULL
);
ALTER TABLE usage_writers ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY any_writer ON usage_writers TO rally_app USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON usage_writers TO rally_app;

-- Writes a batch of uses, of any number of tenants, in one statement. Each tenant is set in turn,
-- so that row-level security holds here too. The arrays `use_…` have an element for each secret,
-- the arrays `count_…` for each key and hour; both are sorted by tenant.
DROP FUNCTION record_use(uuid[], bytea[], timestamptz[]);
CREATE FUNCTION record_use(
    writer uuid, batch bigint,
    use_tenants uuid[], use_digests bytea[], use_times timestamptz[], use_addresses inet[], use_agents text[],
    count_tenants uuid[], count_keys uuid[], count_hours timestamptz[],
    count_requests bigint[], count_expired bigint[], count_scope bigint[]
) RETURNS boolean
LANGUAGE plpgsql
-- A look-up for each secret, in the order given. Joined otherwise, the order would be any.
SET enable_hashjoin = off SET enable_mergejoin = off
AS $$
DECLARE
    part    record;
    ignored text;
BEGIN
    INSERT INTO usage_writers AS w (id, last_batch, written_at) VALUES (writer, batch, now())
        ON CONFLICT (id) DO UPDATE SET last_batch = batch, written_at = now() WHERE w.last_batch < batch;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    FOR part IN
        SELECT coalesce(u.tenant, c.tenant) AS tenant, u.low AS use_low, u.high AS use_high,
               c.low AS count_low, c.high AS count_high
        FROM (SELECT t AS tenant, min(n) AS low, max(n) AS high
              FROM unnest(use_tenants) WITH ORDINALITY x (t, n) GROUP BY t) u
        -- A merge join all the same: PostgreSQL joins fully in no other way that is left.
        FULL JOIN (SELECT t AS tenant, min(n) AS low, max(n) AS high
              FROM unnest(count_tenants) WITH ORDINALITY x (t, n) GROUP BY t) c
            ON c.tenant = u.tenant
        ORDER BY 1
    LOOP
        -- One writer at a time in a tenant, and tenants in one order: no two wait for each other.
        PERFORM pg_advisory_xact_lock(hashtextextended('rally-api-keys usage ' || part.tenant, 0));
        ignored := set_config('rally.tenant_id', part.tenant::text, true);
        UPDATE api_key_secrets s
            SET last_used_at    = u.used_at,
                -- Whoever came again and again is told once.
                last_address    = coalesce(u.address, s.last_address),
                last_user_agent = coalesce(u.agent, s.last_user_agent)
            FROM (SELECT *
                  FROM unnest(use_digests[part.use_low:part.use_high], use_times[part.use_low:part.use_high],
                              use_addresses[part.use_low:part.use_high], use_agents[part.use_low:part.use_high])
                       x (digest, used_at, address, agent)
                  ORDER BY digest) u
            WHERE s.tenant_id = part.tenant
              AND s.lookup_digest = u.digest
              AND (s.last_used_at IS NULL OR s.last_used_at <= u.used_at);
        INSERT INTO api_key_usage AS u (tenant_id, key_id, hour, requests, denied_expired, denied_scope)
            SELECT part.tenant, x.*
            FROM unnest(count_keys[part.count_low:part.count_high], count_hours[part.count_low:part.count_high],
                        count_requests[part.count_low:part.count_high], count_expired[part.count_low:part.count_high],
                        count_scope[part.count_low:part.count_high]) x
            ON CONFLICT (tenant_id, key_id, hour) DO UPDATE
            SET requests       = u.requests + excluded.requests,
                denied_expired = u.denied_expired + excluded.denied_expired,
                denied_scope   = u.denied_scope + excluded.denied_scope;
    END LOOP;
    RETURN true;
END
$$;

-- Named columns: a use of a secret is none of them, and is then not even looked at.
DROP TRIGGER notify_update ON api_key_secrets;
CREATE TRIGGER notify_update
    AFTER UPDATE OF tenant_id, lookup_digest, key_id, phc, stamp, pepper_id, last4, expires_at, retired_at
    ON api_key_secrets
    FOR EACH ROW WHEN (
        (OLD.tenant_id, OLD.lookup_digest, OLD.key_id, OLD.phc, OLD.stamp, OLD.pepper_id, OLD.last4, OLD.expires_at,
         OLD.retired_at)
        IS DISTINCT FROM
        (NEW.tenant_id, NEW.lookup_digest, NEW.key_id, NEW.phc, NEW.stamp, NEW.pepper_id, NEW.last4, NEW.expires_at,
         NEW.retired_at))
    EXECUTE FUNCTION notify_secret_change();
ALTER TABLE api_key_secrets ENABLE ALWAYS TRIGGER notify_update;
