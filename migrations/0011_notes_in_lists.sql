-- PostgreSQL takes notes of usage in, and puts them away, without looking at each. Arrays it reads element by element,
-- and once more where a tenant's part is cut out: a third of what notes cost it, and most of them are summed up only
-- once a minute. Now each part comes as what is to be kept, lists in text, and is read where it is summed up.
--
-- As in 0009: what was noted until now is summed up first, so that there is one form of it.

LOCK TABLE api_key_usage_notes IN ACCESS EXCLUSIVE MODE;
ANALYZE api_key_secrets;
ALTER FUNCTION sum_up_usage(uuid[]) SET lock_timeout = '5s';
SELECT set_config('rally.usage_before', 'infinity', true);
SELECT sum_up_usage(ARRAY(SELECT DISTINCT tenant_id FROM api_key_usage_notes));
SELECT set_config('rally.usage_before', '', true), set_config('rally.tenant_id', '', true);

-- A row is what secrets of a tenant were used for in an hour. `digests`: their lookup digests, 16 bytes each, one behind
-- the other. The others are lists in text, in the same order: when a secret was used last, in microseconds since the
-- hour began (empty: it was not used); how many requests were made with it; and how many of them were refused, either
-- way (null: none of all). Who used them last is told once for those of one client, which lie together: its address
-- (empty: as before), its program, in a line each (a tab: as before), and for how many secrets that is told.
ALTER TABLE api_key_usage_notes
    DROP COLUMN digests, DROP COLUMN used_at, DROP COLUMN requests, DROP COLUMN denied_expired,
    DROP COLUMN denied_scope, DROP COLUMN addresses, DROP COLUMN agents, DROP COLUMN client_lengths;
ALTER TABLE api_key_usage_notes
    ADD COLUMN digests        bytea NOT NULL CHECK (octet_length(digests) > 0 AND octet_length(digests) % 16 = 0),
    ADD COLUMN used_at        text  NOT NULL,
    ADD COLUMN requests       text  NOT NULL,
    ADD COLUMN denied_expired text,
    ADD COLUMN denied_scope   text,
    ADD COLUMN addresses      text  NOT NULL,
    ADD COLUMN agents         text  NOT NULL,
    ADD COLUMN client_lengths text  NOT NULL;
-- As they are: to compress them would take longer than to write them.
ALTER TABLE api_key_usage_notes
    ALTER COLUMN digests SET STORAGE EXTERNAL, ALTER COLUMN used_at SET STORAGE EXTERNAL,
    ALTER COLUMN requests SET STORAGE EXTERNAL, ALTER COLUMN denied_expired SET STORAGE EXTERNAL,
    ALTER COLUMN denied_scope SET STORAGE EXTERNAL, ALTER COLUMN addresses SET STORAGE EXTERNAL,
    ALTER COLUMN agents SET STORAGE EXTERNAL, ALTER COLUMN client_lengths SET STORAGE EXTERNAL;

-- Notes a batch in one statement: for each tenant and hour a part, which becomes a row. Each tenant is set in turn, so
-- that row-level security holds here too. False: that batch was noted before.
CREATE FUNCTION note_usage(
    writer uuid, batch bigint,
    tenants uuid[], hours timestamptz[], digests bytea[], used_at text[], requests text[], denied_expired text[],
    denied_scope text[], addresses text[], agents text[], client_lengths text[]
) RETURNS boolean
LANGUAGE plpgsql
SET jit = off
AS $$
BEGIN
    INSERT INTO usage_writers AS w (id, last_batch, written_at) VALUES (writer, batch, now())
        ON CONFLICT (id) DO UPDATE SET last_batch = batch, written_at = now() WHERE w.last_batch < batch;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    FOR part IN 1 .. coalesce(cardinality(tenants), 0) LOOP
        PERFORM set_config('rally.tenant_id', tenants[part]::text, true);
        INSERT INTO api_key_usage_notes
                (tenant_id, hour, digests, used_at, requests, denied_expired, denied_scope, addresses, agents,
                 client_lengths)
            VALUES (tenants[part], hours[part], digests[part], used_at[part], requests[part], denied_expired[part],
                    denied_scope[part], addresses[part], agents[part], client_lengths[part]);
    END LOOP;
    RETURN true;
END
$$;

-- The same as instances of the version before call it, which may still run.
CREATE OR REPLACE FUNCTION note_usage(
    writer uuid, batch bigint,
    tenants uuid[], hours timestamptz[], lengths integer[], client_counts integer[],
    all_digests uuid[], all_used_at timestamptz[], all_requests bigint[], all_expired bigint[], all_scope bigint[],
    all_addresses inet[], all_agents text[], all_client_lengths integer[]
) RETURNS boolean
LANGUAGE sql
SET jit = off
AS $$
    WITH parts AS (
        SELECT part, tenant, hour,
               sum(length) OVER before - length + 1 AS first, sum(length) OVER before AS last,
               sum(client_count) OVER before - client_count + 1 AS first_client,
               sum(client_count) OVER before AS last_client
        FROM unnest(tenants, hours, lengths, client_counts) WITH ORDINALITY
             p (tenant, hour, length, client_count, part)
        WINDOW before AS (ORDER BY part)
    ), told AS (
        SELECT part, tenant, hour,
               (SELECT string_agg(uuid_send(digest), '' ORDER BY n)
                FROM unnest(all_digests[first:last]) WITH ORDINALITY u (digest, n)) AS digests,
               (SELECT string_agg(coalesce((extract(epoch FROM at - hour) * 1000000)::bigint::text, ''), ',' ORDER BY n)
                FROM unnest(all_used_at[first:last]) WITH ORDINALITY u (at, n)) AS used_at,
               array_to_string(all_requests[first:last], ',') AS requests,
               array_to_string(all_expired[first:last], ',') AS expired,
               array_to_string(all_scope[first:last], ',') AS scope,
               array_to_string(all_addresses[first_client:last_client], ',', '') AS addresses,
               array_to_string(all_agents[first_client:last_client], E'\n', E'\t') || E'\n' AS agents,
               array_to_string(all_client_lengths[first_client:last_client], ',') AS client_lengths
        FROM parts
    )
    SELECT note_usage(
        writer, batch,
        array_agg(tenant ORDER BY part), array_agg(hour ORDER BY part), array_agg(digests ORDER BY part),
        array_agg(used_at ORDER BY part), array_agg(requests ORDER BY part), array_agg(expired ORDER BY part),
        array_agg(scope ORDER BY part), array_agg(addresses ORDER BY part), array_agg(agents ORDER BY part),
        array_agg(client_lengths ORDER BY part)
    ) FROM told
$$;

-- Sums up what was noted of these tenants. Afterwards it is in api_key_secrets and api_key_usage, whoever
-- did it.
CREATE OR REPLACE FUNCTION sum_up_usage(tenants uuid[]) RETURNS void
LANGUAGE plpgsql
-- A look-up by its primary key for each secret, whatever PostgreSQL estimates: of lists it can only guess, and
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
            ), parts AS (
                SELECT hour, digests || '' AS digests, -- fetched once, and not for each of them
                       string_to_array(used_at, ',', '')::bigint[] AS used_at,
                       string_to_array(requests, ',')::bigint[] AS requests,
                       string_to_array(denied_expired, ',')::bigint[] AS expired,
                       string_to_array(denied_scope, ',')::bigint[] AS scope,
                       string_to_array(addresses, ',', '')::inet[] AS addresses,
                       string_to_array(agents, E'\n', E'\t') AS agents,
                       string_to_array(client_lengths, ',')::integer[] AS client_lengths
                FROM taken
                OFFSET 0
            ), noted AS MATERIALIZED (
                SELECT substring(p.digests FROM 16 * n.place::integer - 15 FOR 16) AS digest, p.hour,
                       p.hour + n.micros * interval '1 microsecond' AS used_at, n.requests, n.expired, n.scope,
                       n.address, n.agent
                FROM parts p,
                     unnest(p.used_at, p.requests, p.expired, p.scope,
                            ARRAY(SELECT address FROM unnest(p.addresses, p.client_lengths) WITH ORDINALITY
                                                      c (address, length, n), generate_series(1, length) ORDER BY n),
                            ARRAY(SELECT agent FROM unnest(p.agents, p.client_lengths) WITH ORDINALITY
                                                    c (agent, length, n), generate_series(1, length) ORDER BY n))
                         WITH ORDINALITY n (micros, requests, expired, scope, address, agent, place)
            ), counted AS (
                INSERT INTO api_key_usage AS u (tenant_id, key_id, hour, requests, denied_expired, denied_scope)
                    SELECT tenant, s.key_id, c.hour, sum(c.requests), coalesce(sum(c.expired), 0),
                           coalesce(sum(c.scope), 0)
                    FROM (SELECT digest, hour, sum(requests) AS requests, sum(expired) AS expired, sum(scope) AS scope
                          FROM noted
                          GROUP BY digest, hour
                          HAVING sum(requests) > 0 OR sum(expired) > 0 OR sum(scope) > 0) c,
                         LATERAL (SELECT key_id FROM api_key_secrets
                                  WHERE tenant_id = tenant AND lookup_digest = c.digest
                                  OFFSET 0) s
                    GROUP BY s.key_id, c.hour
                    ORDER BY s.key_id, c.hour
                    ON CONFLICT (tenant_id, key_id, hour) DO UPDATE
                    SET requests       = u.requests + excluded.requests,
                        denied_expired = u.denied_expired + excluded.denied_expired,
                        denied_scope   = u.denied_scope + excluded.denied_scope
            )
            SELECT DISTINCT ON (digest) digest, used_at, address, agent
            FROM noted
            WHERE used_at IS NOT NULL
            ORDER BY digest, used_at DESC, address NULLS LAST
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
