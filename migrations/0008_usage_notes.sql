-- Usage is noted first, and summed up later. A busy key is used in every second; to write its last use and
-- its count each time would be two new row versions a key and second. So each instance appends what its
-- keys were used for as one row per tenant (thousands of keys in one), and about once a minute, and before
-- anybody reads the figures, what was noted of a tenant is summed up into api_key_secrets and
-- api_key_usage.
--
-- record_use stays for instances of the version before, which may still run.

CREATE TABLE api_key_usage_notes (
    tenant_id      uuid          NOT NULL REFERENCES tenants,
    id             bigint        GENERATED ALWAYS AS IDENTITY,
    noted_at       timestamptz   NOT NULL DEFAULT now(),
    -- Element n of each array belongs to element n of the others: a secret, when it was last used (null:
    -- it was only refused), by whom (null: as before), and how often in which hour.
    digests        bytea[]       NOT NULL,
    used_at        timestamptz[] NOT NULL CHECK (cardinality(used_at) = cardinality(digests)),
    addresses      inet[]        NOT NULL CHECK (cardinality(addresses) = cardinality(digests)),
    agents         text[]        NOT NULL CHECK (cardinality(agents) = cardinality(digests)),
    hours          timestamptz[] NOT NULL CHECK (cardinality(hours) = cardinality(digests)),
    requests       bigint[]      NOT NULL CHECK (cardinality(requests) = cardinality(digests)),
    denied_expired bigint[]      NOT NULL CHECK (cardinality(denied_expired) = cardinality(digests)),
    denied_scope   bigint[]      NOT NULL CHECK (cardinality(denied_scope) = cardinality(digests)),
    PRIMARY KEY (tenant_id, id)
);
-- Gone within a minute or so: not worth compressing.
ALTER TABLE api_key_usage_notes
    ALTER COLUMN digests SET STORAGE EXTERNAL, ALTER COLUMN used_at SET STORAGE EXTERNAL,
    ALTER COLUMN addresses SET STORAGE EXTERNAL, ALTER COLUMN agents SET STORAGE EXTERNAL,
    ALTER COLUMN hours SET STORAGE EXTERNAL, ALTER COLUMN requests SET STORAGE EXTERNAL,
    ALTER COLUMN denied_expired SET STORAGE EXTERNAL, ALTER COLUMN denied_scope SET STORAGE EXTERNAL;

ALTER TABLE api_key_usage_notes ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY one_tenant ON api_key_usage_notes TO rally_app
    USING      (tenant_id = (SELECT nullif(current_setting('rally.tenant_id', true), '')::uuid))
    WITH CHECK (tenant_id = (SELECT nullif(current_setting('rally.tenant_id', true), '')::uuid));
-- Whose notes were left behind, by an instance that was killed say, is looked for over all tenants, as old
-- hours are.
CREATE POLICY old_notes ON api_key_usage_notes FOR SELECT TO rally_app
    USING (noted_at < nullif(current_setting('rally.usage_before', true), '')::timestamptz);
GRANT SELECT, INSERT, DELETE ON api_key_usage_notes TO rally_app;

-- Notes a batch, of any number of tenants, in one statement. Each tenant is set in turn, so that row-level
-- security holds here too. False: that batch was noted before.
CREATE FUNCTION note_usage(
    writer uuid, batch bigint,
    tenants uuid[], all_digests bytea[], all_used_at timestamptz[], all_addresses inet[], all_agents text[],
    all_hours timestamptz[], all_requests bigint[], all_expired bigint[], all_scope bigint[]
) RETURNS boolean
LANGUAGE plpgsql
SET jit = off
AS $$
DECLARE
    part record;
BEGIN
    INSERT INTO usage_writers AS w (id, last_batch, written_at) VALUES (writer, batch, now())
        ON CONFLICT (id) DO UPDATE SET last_batch = batch, written_at = now() WHERE w.last_batch < batch;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    FOR part IN
        SELECT tenant, array_agg(digest) AS digests, array_agg(used_at) AS used_at, array_agg(address) AS addresses,
               array_agg(agent) AS agents, array_agg(hour) AS hours, array_agg(requests) AS requests,
               array_agg(expired) AS expired, array_agg(scope) AS scope
        FROM unnest(tenants, all_digests, all_used_at, all_addresses, all_agents, all_hours, all_requests, all_expired,
                    all_scope)
             x (tenant, digest, used_at, address, agent, hour, requests, expired, scope)
        GROUP BY tenant
    LOOP
        PERFORM set_config('rally.tenant_id', part.tenant::text, true);
        INSERT INTO api_key_usage_notes
                (tenant_id, digests, used_at, addresses, agents, hours, requests, denied_expired, denied_scope)
            VALUES (part.tenant, part.digests, part.used_at, part.addresses, part.agents, part.hours, part.requests,
                    part.expired, part.scope);
    END LOOP;
    RETURN true;
END
$$;

-- Sums up what was noted of these tenants. Afterwards it is in api_key_secrets and api_key_usage, whoever
-- did it.
CREATE FUNCTION sum_up_usage(tenants uuid[]) RETURNS void
LANGUAGE plpgsql
-- A look-up for each secret: estimates of arrays are guesses, and so would be what PostgreSQL chose by them,
-- and whether it compiled (JIT) what takes less time than that. Planned each time, since a plan from when a
-- table was small took 3.8 s for 5,000 keys, and not 0.1 s. Memory: a minute of some thousand busy keys is
-- sorted in it. Nobody waits for others for long.
SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off SET jit = off
SET plan_cache_mode = force_custom_plan SET work_mem = '32MB' SET lock_timeout = '1s'
AS $$
DECLARE
    tenant uuid;
BEGIN
    FOR tenant IN SELECT DISTINCT t FROM unnest(tenants) t ORDER BY t LOOP
        PERFORM set_config('rally.tenant_id', tenant::text, true);
        CONTINUE WHEN NOT EXISTS (SELECT FROM api_key_usage_notes WHERE tenant_id = tenant);
        -- One at a time in a tenant, and tenants in one order: no two wait for each other. Whoever waited
        -- finds nothing left, and may read.
        PERFORM pg_advisory_xact_lock(hashtextextended('rally-api-keys usage ' || tenant, 0));
        WITH taken AS (
            DELETE FROM api_key_usage_notes n WHERE n.tenant_id = tenant RETURNING n.*
        ), noted AS MATERIALIZED (
            SELECT x.*
            FROM taken t, unnest(t.digests, t.used_at, t.addresses, t.agents, t.hours, t.requests, t.denied_expired,
                                 t.denied_scope)
                          x (digest, used_at, address, agent, hour, requests, expired, scope)
        ), used AS (
            UPDATE api_key_secrets s
                SET last_used_at    = u.used_at,
                    last_address    = coalesce(u.address, s.last_address),
                    last_user_agent = coalesce(u.agent, s.last_user_agent)
                FROM (SELECT DISTINCT ON (digest) digest, used_at, address, agent
                      FROM noted
                      WHERE used_at IS NOT NULL
                      ORDER BY digest, used_at DESC, address NULLS LAST) u
                WHERE s.tenant_id = tenant
                  AND s.lookup_digest = u.digest
                  AND (s.last_used_at IS NULL OR s.last_used_at <= u.used_at)
        )
        INSERT INTO api_key_usage AS u (tenant_id, key_id, hour, requests, denied_expired, denied_scope)
            SELECT tenant, s.key_id, c.hour, sum(c.requests), sum(c.expired), sum(c.scope)
            FROM (SELECT digest, hour, sum(requests) AS requests, sum(expired) AS expired, sum(scope) AS scope
                  FROM noted
                  GROUP BY digest, hour
                  HAVING sum(requests) + sum(expired) + sum(scope) > 0) c
            JOIN api_key_secrets s ON s.tenant_id = tenant AND s.lookup_digest = c.digest
            GROUP BY s.key_id, c.hour
            ORDER BY s.key_id, c.hour
            ON CONFLICT (tenant_id, key_id, hour) DO UPDATE
            SET requests       = u.requests + excluded.requests,
                denied_expired = u.denied_expired + excluded.denied_expired,
                denied_scope   = u.denied_scope + excluded.denied_scope;
    END LOOP;
END
$$;

-- The same of one tenant, for who goes on to read its figures in the same transaction. Where it cannot be done,
-- that transaction goes on; the answer is why.
CREATE FUNCTION try_to_sum_up_usage(tenant uuid) RETURNS text
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM sum_up_usage(ARRAY[tenant]);
    RETURN NULL;
EXCEPTION WHEN OTHERS THEN
    RETURN SQLERRM;
END
$$;
