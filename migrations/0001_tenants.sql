-- Tenants, and the two roles of the service. Neither role owns anything:
--   rally_app       the service. Row-level security shows it one tenant at a time, and no rows while no tenant is set.
--   rally_operator  the command line. It manages tenants and sees no keys. It deletes keys and all else of a tenant that it
--                   deletes in the same transaction, and nothing else.
--
-- The tenant of a transaction is the setting rally.tenant_id. It is set by SET LOCAL or set_config(…, true), never for
-- the session: a pooled connection must not carry it to the next transaction.
--
-- Rules for all files in this folder:
--   * search_path is empty while a file runs, so that an operator or a function that another login created in `public`
--     is never chosen. Tables are named with their schema. RESET at the end: sqlx writes _sqlx_migrations afterwards.
--   * Every function has SET search_path = '' and exact types (tenant_id::text, 0::bigint), and only the role that
--     calls it may execute it. Functions are SECURITY INVOKER, so that row-level security holds beneath them.
--   * The service sets its role in each transaction, never for the session: a pooler may give each transaction another
--     connection. What it calls outside a transaction sets the role by itself (SET role = rally_app).
--   * Until the first release these files are edited in place.

SET LOCAL search_path = '';

DO $$
DECLARE
    wanted text;
BEGIN
    FOREACH wanted IN ARRAY ARRAY['rally_app', 'rally_operator'] LOOP
        -- Roles belong to the cluster: a migration of another database may have created them, or may be doing so now.
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = wanted::name) THEN
            BEGIN
                EXECUTE format('CREATE ROLE %I NOLOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE', wanted);
            EXCEPTION WHEN duplicate_object OR unique_violation THEN
                NULL;
            END;
        END IF;
        -- The login that migrates can also work under them. A superuser needs no grant.
        IF NOT pg_has_role(current_user, wanted::name, 'USAGE') THEN
            EXECUTE format('GRANT %I TO %I', wanted, current_user);
        END IF;
    END LOOP;

    -- Before PostgreSQL 15 every login may create objects in `public`.
    IF has_schema_privilege('public'::name, 'public', 'CREATE') THEN
        IF pg_has_role(current_user, (SELECT nspowner FROM pg_namespace WHERE nspname = 'public'::name), 'USAGE') THEN
            REVOKE CREATE ON SCHEMA public FROM PUBLIC;
        ELSE
            RAISE NOTICE 'every login may create objects in schema public; as its owner, run: REVOKE CREATE ON SCHEMA public FROM PUBLIC';
        END IF;
    END IF;
END
$$;

GRANT USAGE ON SCHEMA public TO rally_app, rally_operator;

-- A customer of the CRM, known by the first label of its host.
CREATE TABLE public.tenants (
    id           uuid        PRIMARY KEY,
    slug         text        NOT NULL UNIQUE
                             CHECK (slug ~ '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$')
                             -- A token names its tenant by slug or by id: no slug has the form of an id.
                             CHECK (replace(slug, '-', '') !~ '^[0-9a-f]{32}$'),
    name         text        NOT NULL CHECK (char_length(name) BETWEEN 1 AND 200),
    created_at   timestamptz NOT NULL,
    -- While set, requests for the tenant are answered as if it did not exist.
    suspended_at timestamptz,
    -- How an issuer of tokens names the tenant. Different from every other tenant's slug and id: see refuse_ambiguous_name.
    external_id  text        UNIQUE CHECK (external_id ~ '^[!-~]{1,200}$')
);

-- For refuse_ambiguous_name.
CREATE INDEX tenants_by_folded_external_id ON public.tenants (lower(external_id));

ALTER TABLE public.tenants ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
-- A tenant is found by its slug, before its id is known: see find_tenants.
-- nullif: a setting that was local to an ended transaction reads as '' and not as absent.
CREATE POLICY one_slug ON public.tenants FOR SELECT TO rally_app
    USING (slug = nullif(current_setting('rally.tenant_slug', true), ''));
CREATE POLICY all_tenants ON public.tenants TO rally_operator USING (true) WITH CHECK (true);
GRANT SELECT                         ON public.tenants TO rally_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON public.tenants TO rally_operator;

-- ---------------------------------------------------------------------------------------------------------------------
-- Invalidation: every change that affects a cached result is notified to all instances at commit, also a change by the
-- command line or by psql. A payload holds ids alone, since any role may notify: a receiver drops what it has cached
-- and trusts nothing in the payload.
--
--   key <tenant id> <key id>     a key, or one of its secrets
--   tenant <tenant id> <slug>    a tenant
--   all                          anything

CREATE FUNCTION public.notify_tenant_change() RETURNS trigger
LANGUAGE plpgsql SET search_path = '' AS $$
BEGIN
    PERFORM pg_notify('rally_changes', 'tenant ' || OLD.id::text || ' ' || OLD.slug);
    RETURN NULL;
END
$$;

CREATE FUNCTION public.notify_any_change() RETURNS trigger
LANGUAGE plpgsql SET search_path = '' AS $$
BEGIN
    PERFORM pg_notify('rally_changes', 'all');
    RETURN NULL;
END
$$;

REVOKE EXECUTE ON FUNCTION public.notify_tenant_change(), public.notify_any_change() FROM PUBLIC;

CREATE TRIGGER notify_update AFTER UPDATE ON public.tenants
    FOR EACH ROW WHEN (OLD IS DISTINCT FROM NEW) EXECUTE FUNCTION public.notify_tenant_change();
CREATE TRIGGER notify_delete AFTER DELETE ON public.tenants
    FOR EACH ROW EXECUTE FUNCTION public.notify_tenant_change();
CREATE TRIGGER notify_truncate AFTER TRUNCATE ON public.tenants
    FOR EACH STATEMENT EXECUTE FUNCTION public.notify_any_change();
-- ALWAYS: also where session_replication_role switches ordinary triggers off.
ALTER TABLE public.tenants
    ENABLE ALWAYS TRIGGER notify_update, ENABLE ALWAYS TRIGGER notify_delete, ENABLE ALWAYS TRIGGER notify_truncate;

-- Instances notify one another too, on the channel rally_instances: heartbeats, and acknowledgements of changes. Any role
-- may notify, so these are authenticated by a key that is derived from this secret, which only the service's role reads.
CREATE TABLE public.instance_secrets (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    secret   bytea   NOT NULL CHECK (octet_length(secret) = 32)
);
-- 244 random bits.
INSERT INTO public.instance_secrets (secret)
VALUES (sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())));
GRANT SELECT ON public.instance_secrets TO rally_app;

-- ---------------------------------------------------------------------------------------------------------------------
-- A token names its tenant by slug, id or external id. So none of them may be another tenant's, of whichever kind.
CREATE FUNCTION public.refuse_ambiguous_name() RETURNS trigger
LANGUAGE plpgsql SET search_path = '' SET enable_seqscan = off AS $$
BEGIN
    -- Two transactions would not see each other's names.
    PERFORM pg_advisory_xact_lock(hashtextextended('rally names of tenants'::text, 0::bigint));
    -- Each by an index: with OR between them, all tenants would be read for each new one.
    IF EXISTS (SELECT FROM public.tenants t WHERE t.slug = NEW.external_id AND t.id <> NEW.id)
       OR EXISTS (SELECT FROM public.tenants t WHERE t.external_id = NEW.slug AND t.id <> NEW.id)
       OR EXISTS (SELECT FROM public.tenants t WHERE lower(t.external_id) = NEW.id::text AND t.id <> NEW.id)
       OR EXISTS (SELECT FROM public.tenants t
                  WHERE t.id = CASE WHEN lower(NEW.external_id) ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$'
                                    THEN NEW.external_id::uuid END
                    AND t.id <> NEW.id)
    THEN
        RAISE EXCEPTION 'another tenant has this name' USING ERRCODE = 'unique_violation';
    END IF;
    RETURN NEW;
END
$$;
REVOKE EXECUTE ON FUNCTION public.refuse_ambiguous_name() FROM PUBLIC;

CREATE TRIGGER refuse_ambiguous_name BEFORE INSERT OR UPDATE OF id, slug, external_id ON public.tenants
    FOR EACH ROW EXECUTE FUNCTION public.refuse_ambiguous_name();
ALTER TABLE public.tenants ENABLE ALWAYS TRIGGER refuse_ambiguous_name;

-- ---------------------------------------------------------------------------------------------------------------------
-- The server of this session, from its start to its end: after a restart, a promotion or a restore there is another text, and
-- no other server has the same. NULL: it is a standby. The timeline is that of the next record: pg_control_checkpoint()
-- has the old one for a while after a promotion.
CREATE FUNCTION public.server_identity() RETURNS text
LANGUAGE plpgsql
SET search_path = ''
AS $$
BEGIN
    IF pg_is_in_recovery() THEN
        RETURN NULL;
    END IF;
    RETURN concat_ws(':', (pg_control_system()).system_identifier,
                     substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8),
                     extract(epoch FROM pg_postmaster_start_time()),
                     (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database()));
END
$$;
REVOKE EXECUTE ON FUNCTION public.server_identity() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION public.server_identity() TO rally_app;

-- ---------------------------------------------------------------------------------------------------------------------
-- Looks tenants up, in one round trip for several. `place` is the slug's index in the array, from 1; a slug that is
-- unknown has no row. Each slug is set in turn for the policy.
CREATE FUNCTION public.find_tenants(slugs text[])
RETURNS TABLE (place integer, id uuid, suspended boolean, external_id text)
LANGUAGE plpgsql
SET role = rally_app
SET search_path = ''
-- The client gives up after 2 s. PostgreSQL does not notice while it waits for a lock, and would wait on: behind a
-- table that stays locked, abandoned sessions would use up all connections.
SET lock_timeout = '1500ms'
-- Plans are kept, and may be from when the table was small enough for a sequential scan.
SET enable_seqscan = off
AS $$
BEGIN
    FOR n IN 1 .. cardinality(slugs) LOOP
        PERFORM set_config('rally.tenant_slug', slugs[n], true);
        RETURN QUERY SELECT n, t.id, t.suspended_at IS NOT NULL, t.external_id FROM public.tenants t WHERE t.slug = slugs[n];
    END LOOP;
END
$$;
REVOKE EXECUTE ON FUNCTION public.find_tenants(text[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION public.find_tenants(text[]) TO rally_app;

-- At start the service compares the applied migrations with its own.
GRANT SELECT ON public._sqlx_migrations TO rally_app, rally_operator;

RESET search_path;
