-- What changes a verdict is told to every instance, at commit, by whoever changed it: the
-- service, its command line, or psql. A payload holds ids alone, since any role may listen and
-- any may notify: whoever receives one forgets what it has cached, and trusts nothing in it.
--
--   key <tenant id> <key id>     a key, or one of its secrets
--   tenant <tenant id> <slug>    a tenant
--   all                          anything
--
-- last_used_at is no change: it is written all the time, and no verdict depends on it.

CREATE FUNCTION notify_key_change() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('rally_changes', 'key ' || OLD.tenant_id || ' ' || OLD.id);
    RETURN NULL;
END
$$;

CREATE FUNCTION notify_secret_change() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('rally_changes', 'key ' || OLD.tenant_id || ' ' || OLD.key_id);
    RETURN NULL;
END
$$;

CREATE FUNCTION notify_tenant_change() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('rally_changes', 'tenant ' || OLD.id || ' ' || OLD.slug);
    RETURN NULL;
END
$$;

CREATE FUNCTION notify_any_change() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('rally_changes', 'all');
    RETURN NULL;
END
$$;

CREATE TRIGGER notify_update AFTER UPDATE ON api_keys
    FOR EACH ROW WHEN (OLD IS DISTINCT FROM NEW) EXECUTE FUNCTION notify_key_change();
CREATE TRIGGER notify_delete AFTER DELETE ON api_keys
    FOR EACH ROW EXECUTE FUNCTION notify_key_change();
CREATE TRIGGER notify_truncate AFTER TRUNCATE ON api_keys
    FOR EACH STATEMENT EXECUTE FUNCTION notify_any_change();

CREATE TRIGGER notify_update AFTER UPDATE ON api_key_secrets
    FOR EACH ROW WHEN (
        (OLD.tenant_id, OLD.lookup_digest, OLD.key_id, OLD.phc, OLD.stamp, OLD.pepper_id, OLD.last4, OLD.expires_at)
        IS DISTINCT FROM
        (NEW.tenant_id, NEW.lookup_digest, NEW.key_id, NEW.phc, NEW.stamp, NEW.pepper_id, NEW.last4, NEW.expires_at))
    EXECUTE FUNCTION notify_secret_change();
CREATE TRIGGER notify_delete AFTER DELETE ON api_key_secrets
    FOR EACH ROW EXECUTE FUNCTION notify_secret_change();
CREATE TRIGGER notify_truncate AFTER TRUNCATE ON api_key_secrets
    FOR EACH STATEMENT EXECUTE FUNCTION notify_any_change();

CREATE TRIGGER notify_update AFTER UPDATE ON tenants
    FOR EACH ROW WHEN (OLD IS DISTINCT FROM NEW) EXECUTE FUNCTION notify_tenant_change();
CREATE TRIGGER notify_delete AFTER DELETE ON tenants
    FOR EACH ROW EXECUTE FUNCTION notify_tenant_change();
CREATE TRIGGER notify_truncate AFTER TRUNCATE ON tenants
    FOR EACH STATEMENT EXECUTE FUNCTION notify_any_change();

-- Also where session_replication_role switches ordinary triggers off.
ALTER TABLE api_keys
    ENABLE ALWAYS TRIGGER notify_update, ENABLE ALWAYS TRIGGER notify_delete, ENABLE ALWAYS TRIGGER notify_truncate;
ALTER TABLE api_key_secrets
    ENABLE ALWAYS TRIGGER notify_update, ENABLE ALWAYS TRIGGER notify_delete, ENABLE ALWAYS TRIGGER notify_truncate;
ALTER TABLE tenants
    ENABLE ALWAYS TRIGGER notify_update, ENABLE ALWAYS TRIGGER notify_delete, ENABLE ALWAYS TRIGGER notify_truncate;

-- ---------------------------------------------------------------------------------------
-- When secrets were last used: one statement for a batch over many tenants, each of them set in
-- turn, so that row-level security holds here too.

-- Room on each page for the rows' next versions, so that no index changes with them (HOT).
ALTER TABLE api_key_secrets SET (fillfactor = 80);

CREATE FUNCTION record_use(tenants uuid[], digests bytea[], times timestamptz[]) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    current_tenant uuid;
BEGIN
    FOR current_tenant IN SELECT DISTINCT t FROM unnest(tenants) t ORDER BY t LOOP
        PERFORM set_config('rally.tenant_id', current_tenant::text, true);
        -- In one order in every instance, so that two of them cannot wait for each other.
        PERFORM FROM api_key_secrets s
            WHERE s.tenant_id = current_tenant AND s.lookup_digest = ANY (digests)
            ORDER BY s.lookup_digest
            FOR NO KEY UPDATE;
        UPDATE api_key_secrets s
            SET last_used_at = u.used_at
            FROM unnest(tenants, digests, times) u (tenant_id, lookup_digest, used_at)
            WHERE s.tenant_id = current_tenant
              AND u.tenant_id = current_tenant
              AND s.lookup_digest = u.lookup_digest
              AND (s.last_used_at IS NULL OR s.last_used_at < u.used_at);
    END LOOP;
END
$$;
