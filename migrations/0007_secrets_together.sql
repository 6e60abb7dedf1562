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
LANGUAGE plpgsql AS $$
DECLARE
    tenant uuid;
    digest bytea;
    is_set uuid;
BEGIN
    FOR n IN 1 .. cardinality(wanted_tenants) LOOP
        tenant := wanted_tenants[n];
        digest := wanted_digests[n];
        IF tenant IS DISTINCT FROM is_set THEN
            PERFORM set_config('rally.tenant_id', tenant::text, true);
            is_set := tenant;
        END IF;
        RETURN QUERY
            SELECT n, k.id, k.scopes, k.expires_at, k.revoked_at,
                   s.phc, s.stamp, s.pepper_id, s.expires_at, s.retired_at, s.last4
            FROM api_key_secrets s
            JOIN api_keys k ON k.tenant_id = s.tenant_id AND k.id = s.key_id
            WHERE s.tenant_id = tenant AND s.lookup_digest = digest;
    END LOOP;
END
$$;
