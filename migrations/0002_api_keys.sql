-- API keys and their secrets.

SET LOCAL search_path = '';

-- An API key. A revoked one stays, for the record; rows are deleted with their tenant alone.
CREATE TABLE public.api_keys (
    -- Deferrable: a tenant is deleted before what belongs to it.
    tenant_id           uuid        NOT NULL REFERENCES public.tenants DEFERRABLE,
    id                  uuid        NOT NULL,
    name                text        NOT NULL
                                    CHECK (char_length(name) BETWEEN 1 AND 100)
                                    CHECK (name = btrim(name))
                                    CHECK (name !~ '[\u0001-\u001f\u007f-\u009f]'),
    -- The name without the distinctions of case, as the service folds it, so that a search finds the same under every
    -- locale of the database.
    folded_name         text        COLLATE "C" NOT NULL,
    -- As granted: without duplicates, in this order.
    scopes              text        NOT NULL
                                    CHECK (scopes IN ('read', 'write', 'admin', 'read,write', 'read,admin',
                                                      'write,admin', 'read,write,admin')),
    expires_at          timestamptz,
    created_at          timestamptz NOT NULL,
    created_by          text        CHECK (char_length(created_by) BETWEEN 1 AND 320),
    revoked_at          timestamptz,
    -- Free text, which may have several lines: tabs and other control characters than U+000A are refused.
    description         text        CHECK (char_length(description) BETWEEN 1 AND 500)
                                    CHECK (description !~ '[\u0001-\u0009\u000b-\u001f\u007f-\u009f]'),
    -- As folded_name.
    folded_description  text        COLLATE "C",
    -- While it is suspended, the key does not work: until suspended_until, or until it is resumed.
    suspended_at        timestamptz,
    suspended_until     timestamptz,
    suspension_reason   text        CHECK (char_length(suspension_reason) BETWEEN 1 AND 200),
    -- When a request last ended a suspension. It counts as a use for the rule of idle keys.
    resumed_at          timestamptz,
    -- When the last event `idle_notice` was recorded. Later uses and changes of the rule make it void.
    idle_notice_at      timestamptz,
    -- Where the key may be used from; empty: anywhere.
    allowed_addresses   cidr[]      NOT NULL DEFAULT '{}'
                                    CHECK (cardinality(allowed_addresses) <= 50 AND array_ndims(allowed_addresses) IS NOT DISTINCT FROM
                                               CASE WHEN cardinality(allowed_addresses) > 0 THEN 1 END)
                                    CHECK (array_position(allowed_addresses, NULL) IS NULL),
    rate_limit_requests       integer CHECK (rate_limit_requests BETWEEN 1 AND 1000000),
    rate_limit_window_seconds integer CHECK (rate_limit_window_seconds BETWEEN 1 AND 86400),
    quota_requests      bigint      CHECK (quota_requests BETWEEN 1 AND 1000000000000),
    quota_period        text        CHECK (quota_period IN ('day', 'month')),
    -- It never works, and the use of its secret is recorded. Set when it is created, and never changed.
    is_decoy            boolean     NOT NULL DEFAULT false,
    -- Counts the changes; a part of the entity tag (ETag).
    version             bigint      NOT NULL DEFAULT 1 CHECK (version > 0),
    -- Copies from api_key_secrets: of the current secret, and of the one that the last rotation replaced, unless that has
    -- been ended (ended_at there). With them, listing keys reads one row per key (with a join, a list took three times as long),
    -- and a statement that waited for the key's lock sees the secrets as they are under that lock.
    last4               text        NOT NULL CHECK (last4 ~ '^[0-9a-f]{4}$'),
    previous_digest     bytea       CHECK (octet_length(previous_digest) = 16),
    previous_last4      text        CHECK (previous_last4 ~ '^[0-9a-f]{4}$'),
    previous_expires_at timestamptz,
    PRIMARY KEY (tenant_id, id),
    CHECK (num_nulls(previous_digest, previous_last4, previous_expires_at) IN (0, 3)),
    CHECK (suspended_at IS NOT NULL OR num_nonnulls(suspended_until, suspension_reason) = 0),
    CHECK (suspended_until > suspended_at),
    CHECK (num_nulls(rate_limit_requests, rate_limit_window_seconds) IN (0, 2)),
    CHECK (num_nulls(quota_requests, quota_period) IN (0, 2))
);

-- The orders of the list, and the search for the last digits of a secret. (See 0004_usage.sql for the order by last use.)
CREATE INDEX api_keys_newest_first ON public.api_keys (tenant_id, created_at DESC, id DESC);
CREATE INDEX api_keys_by_name      ON public.api_keys (tenant_id, folded_name, id);
CREATE INDEX api_keys_by_end       ON public.api_keys (tenant_id, expires_at, id);
-- Without the tenant: beside it, plans from when the table was small looked keys up by the tenant alone, and read all of them.
CREATE INDEX api_keys_by_last4     ON public.api_keys (last4);

-- A secret of a key, never in plain text. A key has one that works, or two while a rotation overlaps; those that have
-- ended stay, so that their use is noticed.
CREATE TABLE public.api_key_secrets (
    tenant_id      uuid        NOT NULL,
    -- The first 16 bytes of SHA-256 over a label and the secret: a check finds the row by it.
    lookup_digest  bytea       NOT NULL CHECK (octet_length(lookup_digest) = 16),
    key_id         uuid        NOT NULL,
    -- Argon2id in PHC form. Verified where there is no stamp under a known pepper.
    phc            text        NOT NULL CHECK (phc LIKE '$argon2id$v=19$%'),
    -- HMAC-SHA-256 under a key derived from the pepper, over key, tenant and secret; with the pepper's id. The pepper is
    -- not in the database, so a row that was copied or forged here verifies nowhere.
    stamp          bytea       CHECK (octet_length(stamp) = 32),
    pepper_id      text        CHECK (char_length(pepper_id) BETWEEN 1 AND 32),
    -- Shown, so that people can tell keys apart.
    last4          text        NOT NULL CHECK (last4 ~ '^[0-9a-f]{4}$'),
    created_at     timestamptz NOT NULL,
    -- The end of this secret, where it is before the key's own.
    expires_at     timestamptz,
    -- When a newer secret replaced this one, which then works until expires_at. NULL: the current secret.
    retired_at     timestamptz CHECK (retired_at IS NULL OR expires_at IS NOT NULL),
    -- When this secret was ended for good. Not NULL: it does not work, whatever any clock says. (expires_at is for an end
    -- that lies ahead: each instance compares it with its own clock.)
    ended_at       timestamptz,
    -- When the last event `secret_reused` was recorded: this secret was used after its end.
    reuse_recorded_at timestamptz,
    -- When the last event `leaked` about this secret was recorded.
    leak_recorded_at  timestamptz,
    -- When the last event `exposed` about this secret was recorded.
    exposure_recorded_at timestamptz,
    PRIMARY KEY (tenant_id, lookup_digest),
    FOREIGN KEY (tenant_id, key_id) REFERENCES public.api_keys,
    CHECK ((stamp IS NULL) = (pepper_id IS NULL))
);

-- key_id first: an index that begins with the tenant would be chosen for lookups by digest too, while statistics are
-- from when each tenant had one key, and would read all keys of the tenant for each.
CREATE INDEX api_key_secrets_by_key ON public.api_key_secrets (key_id, tenant_id, created_at DESC);
CREATE UNIQUE INDEX api_key_secrets_one_current ON public.api_key_secrets (tenant_id, key_id) WHERE retired_at IS NULL;
-- For remove_ended_secrets.
CREATE INDEX api_key_secrets_by_end ON public.api_key_secrets (least(expires_at, ended_at)) WHERE retired_at IS NOT NULL;

-- The tenant's rules for all of its keys; NULL: no rule. Each tenant has a row, so that calls that a rule binds can lock it.
CREATE TABLE public.api_key_policies (
    tenant_id                         uuid    PRIMARY KEY REFERENCES public.tenants DEFERRABLE,
    max_lifetime_days                 integer CHECK (max_lifetime_days BETWEEN 1 AND 3650),
    max_active_keys                   integer CHECK (max_active_keys BETWEEN 1 AND 1000000),
    idle_suspend_days                 integer CHECK (idle_suspend_days BETWEEN 1 AND 3650),
    -- When that was last changed: notices from before are void.
    idle_suspend_set_at               timestamptz,
    allowed_scopes                    text    CHECK (allowed_scopes IN ('read', 'write', 'admin', 'read,write', 'read,admin',
                                                                        'write,admin', 'read,write,admin')),
    require_allowed_addresses         boolean,
    on_leak                           text    NOT NULL DEFAULT 'revoke' CHECK (on_leak IN ('revoke', 'suspend', 'notify')),
    default_rate_limit_requests       integer CHECK (default_rate_limit_requests BETWEEN 1 AND 1000000),
    default_rate_limit_window_seconds integer CHECK (default_rate_limit_window_seconds BETWEEN 1 AND 86400),
    CHECK (num_nulls(default_rate_limit_requests, default_rate_limit_window_seconds) IN (0, 2)),
    CHECK (num_nulls(idle_suspend_days, idle_suspend_set_at) IN (0, 2))
);

-- For tenants_with_idle_rule.
CREATE INDEX api_key_policies_of_idle_keys ON public.api_key_policies (tenant_id) WHERE idle_suspend_days IS NOT NULL;

CREATE FUNCTION public.start_policy() RETURNS trigger
LANGUAGE plpgsql SET search_path = '' AS $$
BEGIN
    INSERT INTO public.api_key_policies (tenant_id) VALUES (NEW.id);
    RETURN NULL;
END
$$;
REVOKE EXECUTE ON FUNCTION public.start_policy() FROM PUBLIC;
CREATE TRIGGER start_policy AFTER INSERT ON public.tenants FOR EACH ROW EXECUTE FUNCTION public.start_policy();

-- ---------------------------------------------------------------------------------------------------------------------
-- FORCE: the tables' owner is bound too. (A superuser never is, so the service never works as one.)
ALTER TABLE public.api_keys        ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE public.api_key_secrets ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE public.api_key_policies ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;

CREATE POLICY one_tenant ON public.api_keys TO rally_app
    USING      (tenant_id = nullif(current_setting('rally.tenant_id', true), '')::uuid)
    WITH CHECK (tenant_id = nullif(current_setting('rally.tenant_id', true), '')::uuid);
CREATE POLICY one_tenant ON public.api_key_secrets TO rally_app
    USING      (tenant_id = nullif(current_setting('rally.tenant_id', true), '')::uuid)
    WITH CHECK (tenant_id = nullif(current_setting('rally.tenant_id', true), '')::uuid);
CREATE POLICY one_tenant ON public.api_key_policies TO rally_app
    USING      (tenant_id = nullif(current_setting('rally.tenant_id', true), '')::uuid)
    WITH CHECK (tenant_id = nullif(current_setting('rally.tenant_id', true), '')::uuid);
CREATE POLICY without_rules ON public.api_key_policies FOR INSERT TO rally_operator WITH CHECK (true);
-- Nothing but a secret that was replaced and has ended can be deleted.
CREATE POLICY ended_alone ON public.api_key_secrets AS RESTRICTIVE FOR DELETE TO rally_app
    USING (retired_at IS NOT NULL AND (ended_at IS NOT NULL OR expires_at < now() - interval '1 day'));

-- The rest of a tenant whose row was deleted before, in the transaction of rally.deleted_tenant.
CREATE POLICY of_deleted_tenant ON public.api_keys FOR DELETE TO rally_operator
    USING (tenant_id = (SELECT nullif(current_setting('rally.deleted_tenant', true), '')::uuid)
           AND NOT EXISTS (SELECT FROM public.tenants t
                           WHERE t.id = nullif(current_setting('rally.deleted_tenant', true), '')::uuid));
CREATE POLICY of_deleted_tenant ON public.api_key_secrets FOR DELETE TO rally_operator
    USING (tenant_id = (SELECT nullif(current_setting('rally.deleted_tenant', true), '')::uuid)
           AND NOT EXISTS (SELECT FROM public.tenants t
                           WHERE t.id = nullif(current_setting('rally.deleted_tenant', true), '')::uuid));
CREATE POLICY of_deleted_tenant ON public.api_key_policies FOR DELETE TO rally_operator
    USING (tenant_id = (SELECT nullif(current_setting('rally.deleted_tenant', true), '')::uuid)
           AND NOT EXISTS (SELECT FROM public.tenants t
                           WHERE t.id = nullif(current_setting('rally.deleted_tenant', true), '')::uuid));
GRANT DELETE ON public.api_keys, public.api_key_secrets, public.api_key_policies TO rally_operator;
GRANT INSERT (tenant_id) ON public.api_key_policies TO rally_operator;
GRANT SELECT ON public.api_key_policies TO rally_app;
GRANT UPDATE (max_lifetime_days, max_active_keys, idle_suspend_days, idle_suspend_set_at, allowed_scopes,
              require_allowed_addresses, on_leak, default_rate_limit_requests, default_rate_limit_window_seconds)
    ON public.api_key_policies TO rally_app;

GRANT SELECT, INSERT ON public.api_keys TO rally_app;
GRANT UPDATE (name, folded_name, scopes, expires_at, revoked_at, version, last4, previous_digest, previous_last4,
              previous_expires_at, description, folded_description, suspended_at, suspended_until, suspension_reason, resumed_at,
              idle_notice_at, allowed_addresses, rate_limit_requests, rate_limit_window_seconds, quota_requests, quota_period) ON public.api_keys TO rally_app;
GRANT SELECT, INSERT, DELETE ON public.api_key_secrets TO rally_app;
GRANT UPDATE (stamp, pepper_id, expires_at, retired_at, ended_at, reuse_recorded_at, leak_recorded_at, exposure_recorded_at) ON public.api_key_secrets TO rally_app;

-- ---------------------------------------------------------------------------------------------------------------------
-- A revoked key never works again: the row cannot be changed by any role.
CREATE FUNCTION public.api_keys_refuse_change_of_revoked() RETURNS trigger
LANGUAGE plpgsql SET search_path = '' AS $$
BEGIN
    RAISE EXCEPTION 'a revoked API key does not change' USING ERRCODE = 'check_violation';
END
$$;

-- See 0001_tenants.sql for the payloads.
CREATE FUNCTION public.notify_key_change() RETURNS trigger
LANGUAGE plpgsql SET search_path = '' AS $$
BEGIN
    PERFORM pg_notify('rally_changes', 'key ' || OLD.tenant_id::text || ' ' || OLD.id::text);
    RETURN NULL;
END
$$;

CREATE FUNCTION public.notify_secret_change() RETURNS trigger
LANGUAGE plpgsql SET search_path = '' AS $$
BEGIN
    PERFORM pg_notify('rally_changes', 'key ' || OLD.tenant_id::text || ' ' || OLD.key_id::text);
    RETURN NULL;
END
$$;

REVOKE EXECUTE ON FUNCTION public.api_keys_refuse_change_of_revoked(), public.notify_key_change(),
    public.notify_secret_change() FROM PUBLIC;

CREATE TRIGGER revoked_is_final BEFORE UPDATE ON public.api_keys
    FOR EACH ROW WHEN (OLD.revoked_at IS NOT NULL AND NEW IS DISTINCT FROM OLD)
    EXECUTE FUNCTION public.api_keys_refuse_change_of_revoked();
CREATE TRIGGER notify_update AFTER UPDATE ON public.api_keys
    FOR EACH ROW WHEN (OLD IS DISTINCT FROM NEW) EXECUTE FUNCTION public.notify_key_change();
CREATE TRIGGER notify_delete AFTER DELETE ON public.api_keys
    FOR EACH ROW EXECUTE FUNCTION public.notify_key_change();
CREATE TRIGGER notify_truncate AFTER TRUNCATE ON public.api_keys
    FOR EACH STATEMENT EXECUTE FUNCTION public.notify_any_change();

-- Not for reuse_recorded_at, leak_recorded_at and exposure_recorded_at, on which no check depends.
CREATE TRIGGER notify_update
    AFTER UPDATE OF tenant_id, lookup_digest, key_id, phc, stamp, pepper_id, last4, expires_at, retired_at, ended_at
    ON public.api_key_secrets
    FOR EACH ROW WHEN (
        (OLD.tenant_id, OLD.lookup_digest, OLD.key_id, OLD.phc, OLD.stamp, OLD.pepper_id, OLD.last4, OLD.expires_at,
         OLD.retired_at, OLD.ended_at)
        IS DISTINCT FROM
        (NEW.tenant_id, NEW.lookup_digest, NEW.key_id, NEW.phc, NEW.stamp, NEW.pepper_id, NEW.last4, NEW.expires_at,
         NEW.retired_at, NEW.ended_at))
    EXECUTE FUNCTION public.notify_secret_change();
-- An ended secret was refused before, so that its removal changes no check.
CREATE TRIGGER notify_delete AFTER DELETE ON public.api_key_secrets
    FOR EACH ROW WHEN (OLD.retired_at IS NULL OR OLD.ended_at IS NULL AND OLD.expires_at > now() - interval '1 day')
    EXECUTE FUNCTION public.notify_secret_change();
CREATE TRIGGER notify_truncate AFTER TRUNCATE ON public.api_key_secrets
    FOR EACH STATEMENT EXECUTE FUNCTION public.notify_any_change();

ALTER TABLE public.api_keys
    ENABLE ALWAYS TRIGGER revoked_is_final, ENABLE ALWAYS TRIGGER notify_update,
    ENABLE ALWAYS TRIGGER notify_delete, ENABLE ALWAYS TRIGGER notify_truncate;
ALTER TABLE public.api_key_secrets
    ENABLE ALWAYS TRIGGER notify_update, ENABLE ALWAYS TRIGGER notify_delete, ENABLE ALWAYS TRIGGER notify_truncate;

-- ---------------------------------------------------------------------------------------------------------------------
-- Looks presented secrets up, in one round trip for several: under load, most of what a check costs is the round trip
-- and the statement around it. Element n of the one array belongs to element n of the other; `place` is n, from 1; a
-- secret that is unknown has no row. Each tenant is set in turn for the policies, once where the arrays are sorted by
-- tenant.
CREATE FUNCTION public.find_api_key_secrets(wanted_tenants uuid[], wanted_digests bytea[])
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
    secret_ended_at   timestamptz,
    last4             text,
    suspended_at      timestamptz,
    suspended_until   timestamptz,
    allowed_addresses cidr[],
    rate_limit_requests       integer,
    rate_limit_window_seconds integer,
    quota_requests    bigint,
    quota_period      text,
    -- Of the quota's period that was last written.
    quota_start       timestamptz,
    quota_used        bigint,
    is_decoy          boolean
)
LANGUAGE plpgsql
SET role = rally_app
SET search_path = ''
SET lock_timeout = '1500ms' -- see find_tenants
-- Plans are kept, and may be from when the tables were small enough for any plan: a join from then took 12 ms per secret
-- once there were 100,000 keys. So each table is read by its primary key, and never sequentially.
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
        SELECT s.key_id, s.phc, s.stamp, s.pepper_id, s.expires_at, s.retired_at, s.ended_at, s.last4
            INTO secret
            FROM public.api_key_secrets s
            WHERE s.tenant_id = tenant AND s.lookup_digest = digest;
        CONTINUE WHEN NOT FOUND;
        -- Read after the secret, so that a revocation that has been committed is seen.
        RETURN QUERY
            SELECT n, k.id, k.scopes, k.expires_at, k.revoked_at, secret.phc, secret.stamp, secret.pepper_id,
                   secret.expires_at, secret.retired_at, secret.ended_at, secret.last4, k.suspended_at, k.suspended_until,
                   k.allowed_addresses, k.rate_limit_requests, k.rate_limit_window_seconds, k.quota_requests, k.quota_period,
                   q.period_start, q.requests, k.is_decoy
            FROM public.api_keys k
            LEFT JOIN LATERAL (SELECT u.period_start, u.requests
                               FROM public.api_key_quota_usage u
                               WHERE k.quota_period IS NOT NULL AND u.tenant_id = tenant AND u.key_id = k.id
                                 AND u.period = k.quota_period) q ON true
            WHERE k.tenant_id = tenant AND k.id = secret.key_id;
    END LOOP;
END
$$;
REVOKE EXECUTE ON FUNCTION public.find_api_key_secrets(uuid[], bytea[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION public.find_api_key_secrets(uuid[], bytea[]) TO rally_app;

-- ---------------------------------------------------------------------------------------------------------------------
-- The tenants, apart from suspended ones, whose idle keys are suspended. Only while it runs are the rules of all tenants
-- visible.
CREATE FUNCTION public.tenants_with_idle_rule() RETURNS SETOF uuid
LANGUAGE plpgsql
SET role = rally_app
SET search_path = ''
SET lock_timeout = '1s'
AS $$
BEGIN
    PERFORM set_config('rally.idle_key_job', 'on', true);
    RETURN QUERY
        SELECT p.tenant_id
        FROM public.api_key_policies p
        JOIN public.tenants t ON t.id = p.tenant_id
        WHERE p.idle_suspend_days IS NOT NULL AND t.suspended_at IS NULL;
    PERFORM set_config('rally.idle_key_job', '', true);
END
$$;
REVOKE EXECUTE ON FUNCTION public.tenants_with_idle_rule() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION public.tenants_with_idle_rule() TO rally_app;

CREATE POLICY idle_key_job ON public.api_key_policies FOR SELECT TO rally_app
    USING ((SELECT current_setting('rally.idle_key_job', true) = 'on'));
CREATE POLICY idle_key_job ON public.tenants FOR SELECT TO rally_app
    USING ((SELECT current_setting('rally.idle_key_job', true) = 'on'));

RESET search_path;
