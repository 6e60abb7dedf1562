-- Sums of usage in parts. Whoever summed up what was noted of 10,000 busy keys held the tenant's lock for about as long as
-- readers of its figures wait for it, and with 100,000 longer than a statement may take: readers were shown older
-- figures. Now a transaction sums up so many notes at most, and whoever wants to read does so again until none is left,
-- in turn with others who want to, and without a connection while it is their turn.

-- The functions of one argument stay for instances of the version before, which may still run.

-- Sums up what was noted of these tenants, in `at_most` notes or one row; true: none is left. Afterwards it is in
-- api_key_secrets and api_key_usage, whoever did it. False: more is left, or somebody else is at it.
CREATE FUNCTION sum_up_usage(tenants uuid[], at_most bigint) RETURNS boolean
LANGUAGE plpgsql
-- A secret is looked up by its primary key, or joined by hash, whatever PostgreSQL estimates: of lists it can only
-- guess, and with statistics from when each tenant had a key or two, to join 5,000 notes in a nested loop took 43 s. So
-- where secrets are looked for, nothing is left to choose: a subquery that OFFSET keeps apart, a loop, a hash join. JIT
-- would take longer than what it compiles. Memory: notes are sorted in it. Nobody waits for others' locks for long.
SET enable_nestloop = off SET enable_mergejoin = off SET enable_seqscan = off SET jit = off
SET plan_cache_mode = force_generic_plan SET work_mem = '32MB' SET lock_timeout = '1s'
AS $$
DECLARE
    tenant         uuid;
    rows           bigint[];
    size           bigint;
    is_done        boolean := true;
    used           integer;
    last_digests   bytea[]; -- in their order
    last_times     timestamptz[];
    last_addresses inet[];
    last_agents    text[];
BEGIN
    FOR tenant IN SELECT DISTINCT t FROM unnest(tenants) t ORDER BY t LOOP
        PERFORM set_config('rally.tenant_id', tenant::text, true);
        CONTINUE WHEN NOT EXISTS (SELECT FROM api_key_usage_notes WHERE tenant_id = tenant);
        -- One at a time in a tenant.
        IF at_most <= 0 OR NOT pg_try_advisory_xact_lock(hashtextextended('rally-api-keys usage ' || tenant, 0)) THEN
            is_done := false;
            CONTINUE;
        END IF;
        -- In the order of their first secrets: a large tenant's rows have a range of its secrets each, and those of one
        -- range cost less together. From the oldest row's on, so that each has its turn.
        SELECT coalesce(array_agg(n.id) FILTER (WHERE n.before < at_most), '{}'),
               coalesce(sum(n.size) FILTER (WHERE n.before < at_most), 0),
               is_done AND coalesce(bool_and(n.before < at_most), true)
            INTO rows, size, is_done
            FROM (SELECT o.id, o.size,
                         sum(o.size) OVER (ORDER BY o.first < o.oldest_first, o.first, o.id) - o.size AS before
                  FROM (SELECT id, octet_length(digests) / 16 AS size, substring(digests FOR 16) AS first,
                               first_value(substring(digests FOR 16)) OVER (ORDER BY id) AS oldest_first
                        FROM api_key_usage_notes
                        WHERE tenant_id = tenant) o) n;
        at_most := at_most - size;
        WITH taken AS (
            DELETE FROM api_key_usage_notes n WHERE n.tenant_id = tenant AND n.id = ANY (rows) RETURNING n.*
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
        ), last_uses AS (
            SELECT DISTINCT ON (n.digest) n.digest, n.used_at, n.address, n.agent
            FROM noted n
            WHERE n.used_at IS NOT NULL
            ORDER BY n.digest, n.used_at DESC, n.address NULLS LAST
        )
        SELECT array_agg(l.digest), array_agg(l.used_at), array_agg(l.address), array_agg(l.agent)
            INTO last_digests, last_times, last_addresses, last_agents
            FROM last_uses l;
        -- Each by itself; or, where that is less work, all of the tenant's secrets against them.
        used := coalesce(cardinality(last_digests), 0);
        IF used < 1000 OR used * 100 < (SELECT reltuples FROM pg_class WHERE oid = 'api_key_secrets'::regclass) THEN
            FOR n IN 1 .. used LOOP
                UPDATE api_key_secrets s
                    SET last_used_at    = last_times[n],
                        last_address    = coalesce(last_addresses[n], s.last_address),
                        last_user_agent = coalesce(last_agents[n], s.last_user_agent)
                    WHERE s.tenant_id = tenant
                      AND s.lookup_digest = last_digests[n]
                      AND (s.last_used_at IS NULL OR s.last_used_at <= last_times[n]);
            END LOOP;
        ELSE
            UPDATE api_key_secrets s
                SET last_used_at    = l.used_at,
                    last_address    = coalesce(l.address, s.last_address),
                    last_user_agent = coalesce(l.agent, s.last_user_agent)
                FROM unnest(last_digests, last_times, last_addresses, last_agents) l (digest, used_at, address, agent)
                WHERE s.tenant_id = tenant
                  AND s.lookup_digest BETWEEN last_digests[1] AND last_digests[used]
                  AND s.lookup_digest = l.digest
                  AND (s.last_used_at IS NULL OR s.last_used_at <= l.used_at);
        END IF;
    END LOOP;
    RETURN is_done;
END
$$;

-- All of it, in one transaction. Tenants in one order, so that no two wait for each other; nobody waits for long.
CREATE OR REPLACE FUNCTION sum_up_usage(tenants uuid[]) RETURNS void
LANGUAGE plpgsql
SET lock_timeout = '1s'
AS $$
DECLARE
    tenant uuid;
BEGIN
    FOR tenant IN SELECT DISTINCT t FROM unnest(tenants) t ORDER BY t LOOP
        PERFORM pg_advisory_xact_lock(hashtextextended('rally-api-keys usage ' || tenant, 0));
        WHILE NOT sum_up_usage(ARRAY[tenant], 40000) LOOP
        END LOOP;
    END LOOP;
END
$$;

-- The same for whoever is to read a tenant's figures, and reads older ones where that cannot be done: `problem` says
-- why.
CREATE FUNCTION try_to_sum_up_usage(tenant uuid, at_most bigint, OUT is_done boolean, OUT problem text)
LANGUAGE plpgsql AS $$
BEGIN
    is_done := sum_up_usage(ARRAY[tenant], at_most);
EXCEPTION WHEN query_canceled OR OTHERS THEN
    is_done := false;
    problem := SQLERRM;
END
$$;
