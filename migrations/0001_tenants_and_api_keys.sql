-- Tenants, their API keys, the secrets of those keys, and the audit trail.
--
-- Two roles work on these tables, and neither owns anything:
--   rally_app       what the service works under; sees one tenant at a time, by row-level
--                   security, and nothing while no tenant is set
--   rally_operator  what the command line works under; manages the tenants themselves
--
-- The tenant of a transaction is the setting rally.tenant_id, set by SET LOCAL or
-- set_config(…, true), never for the session: a pooled connection must not carry it on.

DO $$
DECLARE
    wanted text;
BEGIN
    FOREACH wanted IN ARRAY ARRAY['rally_app', 'rally_operator'] LOOP
        -- Roles belong to the cluster, not to the database: another database of it may have
        -- made them, or may be making them right now.
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = wanted) THEN
            BEGIN
                EXECUTE format('CREATE ROLE %I NOLOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE', wanted);
            EXCEPTION WHEN duplicate_object OR unique_violation THEN
                NULL;
            END;
        END IF;
        -- So that whoever migrates can also work under them. A superuser needs no grant.
        IF NOT pg_has_role(current_user, wanted, 'USAGE') THEN
            EXECUTE format('GRANT %I TO %I', wanted, current_user);
        END IF;
    END LOOP;
END
$$;

GRANT USAGE ON SCHEMA public TO rally_app, rally_operator;
-- At start the service compares what is migrated with what it was built for.
GRANT SELECT ON _sqlx_migrations TO rally_app, rally_operator;

-- ---------------------------------------------------------------------------------------
-- A customer of the CRM, known by the first label of its host.
CREATE TABLE tenants (
    id           uuid        PRIMARY KEY,
    slug         text        NOT NULL UNIQUE
                             CHECK (slug ~ '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$')
                             -- A token names its tenant by slug or by id: no slug is an id.
                             CHECK (replace(slug, '-', '') !~ '^[0-9a-f]{32}$'),
    name         text        NOT NULL CHECK (char_length(name) BETWEEN 1 AND 200),
    created_at   timestamptz NOT NULL,
    -- While set, every request for the tenant is answered as if it did not exist.
    suspended_at timestamptz
);

-- ---------------------------------------------------------------------------------------
-- What a key is. Rows are never deleted: a revoked key stays, for the record.
CREATE TABLE api_keys (
    tenant_id  uuid        NOT NULL REFERENCES tenants,
    id         uuid        NOT NULL,
    name       text        NOT NULL
                           CHECK (char_length(name) BETWEEN 1 AND 100)
                           CHECK (name = btrim(name))
                           CHECK (name !~ '[\u0001-\u001f\u007f-\u009f]'),
    -- As granted, in one spelling: without duplicates, in this order.
    scopes     text        NOT NULL
                           CHECK (scopes IN ('read', 'write', 'admin', 'read,write', 'read,admin',
                                             'write,admin', 'read,write,admin')),
    expires_at timestamptz CHECK (expires_at > created_at),
    created_at timestamptz NOT NULL,
    created_by text        CHECK (char_length(created_by) BETWEEN 1 AND 320),
    revoked_at timestamptz,
    -- Counts what an admin changed; the entity tag (ETag) is made of it.
    version    bigint      NOT NULL DEFAULT 1 CHECK (version > 0),
    PRIMARY KEY (tenant_id, id)
);

-- Revoked is for good, whoever asks.
CREATE FUNCTION api_keys_refuse_change_of_revoked() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'a revoked API key does not change' USING ERRCODE = 'check_violation';
END
$$;

CREATE TRIGGER revoked_is_final BEFORE UPDATE ON api_keys
    FOR EACH ROW WHEN (OLD.revoked_at IS NOT NULL AND NEW IS DISTINCT FROM OLD)
    EXECUTE FUNCTION api_keys_refuse_change_of_revoked();
ALTER TABLE api_keys ENABLE ALWAYS TRIGGER revoked_is_final;

-- The list's order: newest first.
CREATE INDEX api_keys_newest_first ON api_keys (tenant_id, created_at DESC, id DESC);

-- ---------------------------------------------------------------------------------------
-- A key's secrets: one, or two while a rotation overlaps. Never the secret itself.
CREATE TABLE api_key_secrets (
    tenant_id     uuid        NOT NULL,
    -- The first 16 bytes of SHA-256 over a label and the secret: how a check finds the row.
    lookup_digest bytea       NOT NULL CHECK (octet_length(lookup_digest) = 16),
    key_id        uuid        NOT NULL,
    -- Argon2id in PHC form. Checked where there is no stamp under a known pepper.
    phc           text        NOT NULL CHECK (phc LIKE '$argon2id$v=19$%'),
    -- HMAC-SHA-256 under a key derived from the pepper, over key, tenant and secret; with the
    -- pepper's id. The pepper is not in the database, so a row that was copied or forged
    -- here verifies nowhere.
    stamp         bytea       CHECK (octet_length(stamp) = 32),
    pepper_id     text        CHECK (char_length(pepper_id) BETWEEN 1 AND 32),
    -- Shown so that people can tell keys apart.
    last4         text        NOT NULL CHECK (last4 ~ '^[0-9a-f]{4}$'),
    created_at    timestamptz NOT NULL,
    -- The end of this secret, where it is before the key's own.
    expires_at    timestamptz,
    last_used_at  timestamptz,
    PRIMARY KEY (tenant_id, lookup_digest),
    FOREIGN KEY (tenant_id, key_id) REFERENCES api_keys,
    CHECK ((stamp IS NULL) = (pepper_id IS NULL))
);

CREATE INDEX api_key_secrets_of_key ON api_key_secrets (tenant_id, key_id, created_at DESC);

-- ---------------------------------------------------------------------------------------
-- The audit trail: who did what to which key, when, from where. Append-only.
CREATE TABLE api_key_events (
    tenant_id   uuid        NOT NULL REFERENCES tenants,
    id          uuid        NOT NULL,
    key_id      uuid        NOT NULL,
    kind        text        NOT NULL CHECK (kind IN ('created', 'updated', 'revoked')),
    occurred_at timestamptz NOT NULL,
    actor       text        CHECK (char_length(actor) <= 320),
    address     inet,
    request_id  text        NOT NULL CHECK (char_length(request_id) <= 200),
    details     jsonb       NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(details) = 'object'),
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, key_id) REFERENCES api_keys
);

CREATE INDEX api_key_events_newest_first ON api_key_events (tenant_id, occurred_at DESC, id DESC);

CREATE FUNCTION api_key_events_refuse_change() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'api_key_events is append-only' USING ERRCODE = 'insufficient_privilege';
END
$$;

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON api_key_events
    FOR EACH STATEMENT EXECUTE FUNCTION api_key_events_refuse_change();
-- Also where session_replication_role switches ordinary triggers off.
ALTER TABLE api_key_events ENABLE ALWAYS TRIGGER append_only;

-- ---------------------------------------------------------------------------------------
-- One tenant never sees another's rows, also when a query forgets to say so. FORCE: the
-- tables' owner is held to it as well (a superuser is not, so the service never works as one).

ALTER TABLE tenants         ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE api_keys        ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE api_key_secrets ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE api_key_events  ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;

-- nullif: a setting that was local to an ended transaction reads as '' and not as absent.
CREATE POLICY one_tenant ON api_keys TO rally_app
    USING      (tenant_id = nullif(current_setting('rally.tenant_id', true), '')::uuid)
    WITH CHECK (tenant_id = nullif(current_setting('rally.tenant_id', true), '')::uuid);
CREATE POLICY one_tenant ON api_key_secrets TO rally_app
    USING      (tenant_id = nullif(current_setting('rally.tenant_id', true), '')::uuid)
    WITH CHECK (tenant_id = nullif(current_setting('rally.tenant_id', true), '')::uuid);
CREATE POLICY one_tenant ON api_key_events TO rally_app
    USING      (tenant_id = nullif(current_setting('rally.tenant_id', true), '')::uuid)
    WITH CHECK (tenant_id = nullif(current_setting('rally.tenant_id', true), '')::uuid);

-- A tenant is found by its slug before its id is known; see find_tenant.
CREATE POLICY one_slug ON tenants FOR SELECT TO rally_app
    USING (slug = nullif(current_setting('rally.tenant_slug', true), ''));
CREATE POLICY all_tenants ON tenants TO rally_operator
    USING (true) WITH CHECK (true);

GRANT SELECT                 ON tenants         TO rally_app;
GRANT SELECT, INSERT         ON api_keys        TO rally_app;
GRANT UPDATE (name, scopes, expires_at, revoked_at, version)     ON api_keys        TO rally_app;
GRANT SELECT, INSERT         ON api_key_secrets TO rally_app;
GRANT UPDATE (stamp, pepper_id, expires_at, last_used_at)        ON api_key_secrets TO rally_app;
GRANT SELECT, INSERT         ON api_key_events  TO rally_app;
GRANT SELECT, INSERT, UPDATE ON tenants         TO rally_operator;

-- ---------------------------------------------------------------------------------------
-- The two look-ups on the way of every request, each in one round trip: the setting is local
-- to the statement's own transaction, and the policies hold beneath (SECURITY INVOKER).

CREATE FUNCTION find_tenant(wanted_slug text)
RETURNS TABLE (id uuid, suspended boolean)
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('rally.tenant_slug', wanted_slug, true);
    RETURN QUERY
        SELECT t.id, t.suspended_at IS NOT NULL
        FROM tenants t
        WHERE t.slug = wanted_slug;
END
$$;

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
    last4             text
)
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('rally.tenant_id', wanted_tenant::text, true);
    RETURN QUERY
        SELECT k.id, k.scopes, k.expires_at, k.revoked_at,
               s.phc, s.stamp, s.pepper_id, s.expires_at, s.last4
        FROM api_key_secrets s
        JOIN api_keys k ON k.tenant_id = s.tenant_id AND k.id = s.key_id
        WHERE s.tenant_id = wanted_tenant AND s.lookup_digest = wanted_digest;
END
$$;
