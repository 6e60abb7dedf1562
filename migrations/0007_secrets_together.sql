-- The look-up of presented secrets, for several at once: under load, what a check costs is mostly the
-- round trip and the statement around it. Element n of the one array belongs to element n of the
-- other; so does `place` of what is found. Each tenant is set in turn, so that row-level security holds
-- here too; sorted by tenant, that is done once for each.
--
-- find_api_key_secret stays for instances of the version before, which may still run.
CREATE FUNCTION find_api_key_secrets(wanted_tenants uuid[], wanted_digests bytea[])
RETURNS TABLE (
    place             integer,
    key_id            uuid,
    scopes            text,
    key_expires_at    timestamptz,
    revoked_at        timestamptz,
    phc               text,
    stamp             bytea,
    pepper_id         text,
    secret_expires_at timestamptz,
    secret_retired_at timestamptz,
    last4             text
)
LANGUAGE plpgsql
-- Plans are kept, and may be from when the tables were small enough for any: joined, and with 100,000 keys since,
-- such a one took 12 ms a secret. So each table is asked for one row by its primary key, and never read through.
SET enable_seqscan = off
AS $$
DECLARE
    tenant uuid;
    digest bytea;
    is_set uuid;
    secret record;
BEGIN
    FOR n IN 1 .. cardinality(wanted_tenants) LOOP
        tenant := wanted_tenants[n];
        digest := wanted_digests[n];
        IF tenant IS DISTINCT FROM is_set THEN
            PERFORM set_config('rally.tenant_id', tenant::text, true);
            is_set := tenant;
        END IF;
        SELECT s.key_id, s.phc, s.stamp, s.pepper_id, s.expires_at, s.retired_at, s.last4
            INTO secret
            FROM api_key_secrets s
            WHERE s.tenant_id = tenant AND s.lookup_digest = digest;
        CONTINUE WHEN NOT FOUND;
        -- Read after it, so that what was revoked is revoked.
        RETURN QUERY
            SELECT n, k.id, k.scopes, k.expires_at, k.revoked_at, secret.phc, secret.stamp, secret.pepper_id,
                   secret.expires_at, secret.retired_at, secret.last4
            FROM api_keys k
            WHERE k.tenant_id = tenant AND k.id = secret.key_id;
    END LOOP;
END
$$;
