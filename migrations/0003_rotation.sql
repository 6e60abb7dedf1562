-- Rotation: a key keeps its identity and gets a new secret, while the previous one still works
-- for a while.

-- When a newer secret took this one's place; it then works until expires_at.
ALTER TABLE api_key_secrets
    ADD COLUMN retired_at timestamptz,
    ADD CHECK (retired_at IS NULL OR expires_at IS NOT NULL);
GRANT UPDATE (retired_at) ON api_key_secrets TO rally_app;

-- One secret of a key is the current one.
CREATE UNIQUE INDEX api_key_secrets_one_current ON api_key_secrets (tenant_id, key_id) WHERE retired_at IS NULL;

ALTER TABLE api_key_events
    DROP CONSTRAINT api_key_events_kind_check,
    ADD CONSTRAINT api_key_events_kind_check
        CHECK (kind IN ('created', 'updated', 'rotated', 'previous_secret_ended', 'revoked'));

DROP TRIGGER notify_update ON api_key_secrets;
CREATE TRIGGER notify_update AFTER UPDATE ON api_key_secrets
    FOR EACH ROW WHEN (
        (OLD.tenant_id, OLD.lookup_digest, OLD.key_id, OLD.phc, OLD.stamp, OLD.pepper_id, OLD.last4, OLD.expires_at,
         OLD.retired_at)
        IS DISTINCT FROM
        (NEW.tenant_id, NEW.lookup_digest, NEW.key_id, NEW.phc, NEW.stamp, NEW.pepper_id, NEW.last4, NEW.expires_at,
         NEW.retired_at))
    EXECUTE FUNCTION notify_secret_change();
ALTER TABLE api_key_secrets ENABLE ALWAYS TRIGGER notify_update;

DROP FUNCTION find_api_key_secret(uuid, bytea);
CREATE FUNCTION find_api_key_secret(wanted_tenant uuid, wanted_digest bytea)
RETURNS TABLE (
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
BEGIN
    PERFORM set_config('rally.tenant_id', wanted_tenant::text, true);
    RETURN QUERY
        SELECT k.id, k.scopes, k.expires_at, k.revoked_at,
               s.phc, s.stamp, s.pepper_id, s.expires_at, s.retired_at, s.last4
        FROM api_key_secrets s
        JOIN api_keys k ON k.tenant_id = s.tenant_id AND k.id = s.key_id
        WHERE s.tenant_id = wanted_tenant AND s.lookup_digest = wanted_digest;
END
$$;
