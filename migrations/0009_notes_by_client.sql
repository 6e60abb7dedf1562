-- A note of usage takes a fraction of PostgreSQL's time: what notes have in common is told once (the hour, and each
-- client), what is nearly always zero is left out, and a tenant's part is cut out of arrays whose elements are of
-- one width, instead of being put together anew, element by element.
--
-- What was noted until now is summed up first, so that there is one form of it. Nobody notes anything meanwhile; of an
-- instance of the version before, a batch that waits for that may be refused, and lost (its log says so). With
-- statistics from when there were few keys, the sums would take long; and they may wait as long as this may.

LOCK TABLE api_key_usage_notes IN ACCESS EXCLUSIVE MODE;
ANALYZE api_key_secrets;
ALTER FUNCTION sum_up_usage(uuid[]) SET lock_timeout = '5s';
SELECT set_config('rally.usage_before', 'infinity', true);
SELECT sum_up_usage(ARRAY(SELECT DISTINCT tenant_id FROM api_key_usage_notes));
SELECT set_config('rally.usage_before', '', true), set_config('rally.tenant_id', '', true);

-- A row is what secrets of a tenant were used for in an hour; `digests` are as before, of a type with one width. A null
-- `denied_…`: none of them was refused so. Who used them last: an address and a program each (null: as before), and
-- how many elements of the other arrays are of that client. Those of one lie together, in the order of clients.
ALTER TABLE api_key_usage_notes
    DROP COLUMN hours, DROP COLUMN addresses, DROP COLUMN agents,
    ALTER COLUMN digests TYPE uuid[] USING NULL, -- there is no row
    ALTER COLUMN denied_expired DROP NOT NULL, ALTER COLUMN denied_scope DROP NOT NULL;
ALTER TABLE api_key_usage_notes
    ADD COLUMN hour           timestamptz NOT NULL,
    ADD COLUMN addresses      inet[]      NOT NULL,
    ADD COLUMN agents         text[]      NOT NULL CHECK (cardinality(agents) = cardinality(addresses)),
    ADD COLUMN client_lengths integer[]   NOT NULL CHECK (cardinality(client_lengths) = cardinality(addresses));
ALTER TABLE api_key_usage_notes
    ALTER COLUMN digests SET STORAGE EXTERNAL, ALTER COLUMN addresses SET STORAGE EXTERNAL,
    ALTER COLUMN agents SET STORAGE EXTERNAL, ALTER COLUMN client_lengths SET STORAGE EXTERNAL;

-- Notes a batch in one statement. It has a part for each tenant and hour: part n is of tenants[n] and hours[n],
-- and has the next lengths[n] elements of the arrays of notes, and the next client_counts[n] of those of clients.
-- Each tenant is set in turn, so that row-level security holds here too. False: that batch was noted before.
CREATE FUNCTION note_usage(
    writer uuid, batch bigint,
    tenants uuid[], hours timestamptz[], lengths integer[], client_counts integer[],
    all_digests uuid[], all_used_at timestamptz[], all_requests bigint[], all_expired bigint[], all_scope bigint[],
    all_addresses inet[], all_agents text[], all_client_lengths integer[]
) RETURNS boolean
LANGUAGE plpgsql
SET jit = off
AS $$
DECLARE
    first        integer := 1;
    last         integer;
    first_client integer := 1;
    last_client  integer;
BEGIN
    INSERT INTO usage_writers AS w (id, last_batch, written_at) VALUES (writer, batch, now())
        ON CONFLICT (id) DO UPDATE SET last_batch = batch, written_at = now() WHERE w.last_batch < batch;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    FOR part IN 1 .. coalesce(cardinality(tenants), 0) LOOP
        last := first + lengths[part] - 1;
        last_client := first_client + client_counts[part] - 1;
        PERFORM set_config('rally.tenant_id', tenants[part]::text, true);
        INSERT INTO api_key_usage_notes
                (tenant_id, hour, digests, used_at, requests, denied_expired, denied_scope, addresses, agents,
                 client_lengths)
            VALUES (tenants[part], hours[part], all_digests[first:last], all_used_at[first:last],
                    all_requests[first:last], all_expired[first:last], all_scope[first:last],
                    all_addresses[first_client:last_client], all_agents[first_client:last_client],
                    all_client_lengths[first_client:last_client]);
        first := last + 1;
        first_client := last_client + 1;
    END LOOP;
    IF first <= cardinality(all_digests) OR first_client <= cardinality(all_addresses) THEN
        RAISE EXCEPTION 'a batch of usage has more than its parts';
    END IF;
    RETURN true;
END
$$;

-- The same as instances of the version before call it, which may still run.
CREATE OR REPLACE FUNCTION note_usage(
    writer uuid, batch bigint,
    tenants uuid[], all_digests bytea[], all_used_at timestamptz[], all_addresses inet[], all_agents text[],
    all_hours timestamptz[], all_requests bigint[], all_expired bigint[], all_scope bigint[]
) RETURNS boolean
LANGUAGE sql
SET jit = off
AS $$
    WITH notes AS (
        SELECT * FROM unnest(tenants, all_digests, all_used_at, all_addresses, all_agents, all_hours, all_requests,
                             all_expired, all_scope)
                      x (tenant, digest, used_at, address, agent, hour, requests, expired, scope)
    ), parts AS (
        SELECT tenant, hour, count(*)::integer AS length FROM notes GROUP BY tenant, hour ORDER BY tenant, hour
    ), sorted AS (
        SELECT * FROM notes ORDER BY tenant, hour
    )
    SELECT note_usage(
        writer, batch,
        (SELECT array_agg(tenant) FROM parts), (SELECT array_agg(hour) FROM parts),
        (SELECT array_agg(length) FROM parts), (SELECT array_agg(length) FROM parts),
        array_agg(encode(digest, 'hex')::uuid), array_agg(used_at), array_agg(requests), array_agg(expired),
        array_agg(scope), array_agg(address), array_agg(agent), array_agg(1)
    ) FROM sorted
$$;

-- Of versions before there were notes.
DROP FUNCTION record_use;

-- Sums up what was noted of these tenants. Afterwards it is in api_key_secrets and api_key_usage, whoever
-- did it.
CREATE OR REPLACE FUNCTION sum_up_usage(tenants uuid[]) RETURNS void
LANGUAGE plpgsql
-- A look-up by its primary key for each secret, whatever PostgreSQL estimates: of arrays it can only guess, and
-- with statistics from when each tenant had a key or two, to join 5,000 notes took 43 s. So where a secret is looked
-- for, nothing is left to choose: a loop, and a subquery that OFFSET keeps apart. JIT would take longer than what it
-- compiles. Memory: a minute of some thousand busy keys is sorted in it. Nobody waits for others for long.
SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off SET jit = off
SET plan_cache_mode = force_generic_plan SET work_mem = '32MB' SET lock_timeout = '1s'
AS $$
DECLARE
    tenant   uuid;
    last_use record;
BEGIN
    FOR tenant IN SELECT DISTINCT t FROM unnest(tenants) t ORDER BY t LOOP
        PERFORM set_config('rally.tenant_id', tenant::text, true);
        CONTINUE WHEN NOT EXISTS (SELECT FROM api_key_usage_notes WHERE tenant_id = tenant);
        -- One at a time in a tenant, and tenants in one order: no two wait for each other. Whoever waited
        -- finds nothing left, and may read.
        PERFORM pg_advisory_xact_lock(hashtextextended('rally-api-keys usage ' || tenant, 0));
        FOR last_use IN
            WITH taken AS (
                DELETE FROM api_key_usage_notes n WHERE n.tenant_id = tenant RETURNING n.*
            ), noted AS MATERIALIZED (
                SELECT n.*, t.hour
                FROM taken t,
                     unnest(t.digests, t.used_at, t.requests, t.denied_expired, t.denied_scope,
                            ARRAY(SELECT address FROM unnest(t.addresses, t.client_lengths) WITH ORDINALITY
                                                      c (address, length, n), generate_series(1, length) ORDER BY n),
                            ARRAY(SELECT agent FROM unnest(t.agents, t.client_lengths) WITH ORDINALITY
                                                    c (agent, length, n), generate_series(1, length) ORDER BY n))
                         n (digest, used_at, requests, expired, scope, address, agent)
            ), counted AS (
                INSERT INTO api_key_usage AS u (tenant_id, key_id, hour, requests, denied_expired, denied_scope)
                    SELECT tenant, s.key_id, c.hour, sum(c.requests), coalesce(sum(c.expired), 0),
                           coalesce(sum(c.scope), 0)
                    FROM (SELECT digest, hour, sum(requests) AS requests, sum(expired) AS expired, sum(scope) AS scope
                          FROM noted
                          GROUP BY digest, hour
                          HAVING sum(requests) > 0 OR sum(expired) > 0 OR sum(scope) > 0) c,
                         LATERAL (SELECT key_id FROM api_key_secrets
                                  WHERE tenant_id = tenant AND lookup_digest = uuid_send(c.digest)
                                  OFFSET 0) s
                    GROUP BY s.key_id, c.hour
                    ORDER BY s.key_id, c.hour
                    ON CONFLICT (tenant_id, key_id, hour) DO UPDATE
                    SET requests       = u.requests + excluded.requests,
                        denied_expired = u.denied_expired + excluded.denied_expired,
                        denied_scope   = u.denied_scope + excluded.denied_scope
            )
            SELECT DISTINCT ON (noted.digest) uuid_send(noted.digest) AS digest, used_at, address, agent
            FROM noted
            WHERE used_at IS NOT NULL
            ORDER BY noted.digest, used_at DESC, address NULLS LAST
        LOOP
            UPDATE api_key_secrets
                SET last_used_at    = last_use.used_at,
                    last_address    = coalesce(last_use.address, last_address),
                    last_user_agent = coalesce(last_use.agent, last_user_agent)
                WHERE tenant_id = tenant
                  AND lookup_digest = last_use.digest
                  AND (last_used_at IS NULL OR last_used_at <= last_use.used_at);
        END LOOP;
    END LOOP;
END
$$;

-- The same of one tenant, for who goes on to read its figures in the same transaction. Where it cannot be done, or not
-- in time, that transaction goes on; the answer is why.
CREATE OR REPLACE FUNCTION try_to_sum_up_usage(tenant uuid) RETURNS text
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM sum_up_usage(ARRAY[tenant]);
    RETURN NULL;
EXCEPTION WHEN query_canceled OR OTHERS THEN
    RETURN SQLERRM;
END
$$;
