-- The audit trail: who did what to which key, when, from where. Append-only; deleted as a whole with its tenant.

SET LOCAL search_path = '';

CREATE TABLE public.api_key_events (
    tenant_id     uuid        NOT NULL REFERENCES public.tenants DEFERRABLE,
    id            uuid        NOT NULL,
    -- NULL: an event of the tenant itself.
    key_id        uuid        CHECK ((key_id IS NULL) = (kind = 'policy_changed')),
    kind          text        NOT NULL
                              CHECK (kind IN ('created', 'updated', 'rotated', 'previous_secret_ended', 'suspended',
                                              'resumed', 'revoked', 'receipt', 'secret_reused', 'idle_notice',
                                              'policy_changed', 'leaked', 'decoy_used', 'exposed')),
    occurred_at   timestamptz NOT NULL,
    actor         text        CHECK (char_length(actor) <= 320),
    address       inet,
    request_id    text        NOT NULL CHECK (char_length(request_id) <= 200),
    details       jsonb       NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(details) = 'object'),
    -- The chain: each event carries the hash of its tenant's previous one, so that a change by somebody who gets past
    -- the triggers is found (`rally-api-keys events verify`). seq counts a tenant's events from 1, without gaps.
    seq           bigint      NOT NULL CHECK (seq > 0),
    previous_hash bytea       NOT NULL CHECK (octet_length(previous_hash) = 32),
    -- SHA-256 over the event's canonical form (RFC 8785), which contains its number and the previous hash.
    hash          bytea       NOT NULL CHECK (octet_length(hash) = 32),
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, key_id) REFERENCES public.api_keys
);

CREATE INDEX api_key_events_newest_first ON public.api_key_events (tenant_id, occurred_at DESC, id DESC);
CREATE UNIQUE INDEX api_key_events_chain ON public.api_key_events (tenant_id, seq);
-- The receipt of a revision, which is the id of the event of a change.
CREATE INDEX api_key_events_receipts ON public.api_key_events (tenant_id, (details ->> 'revision'))
    WHERE kind = 'receipt';

-- The last event of each tenant's chain. Appending an event locks this row until the commit: appends wait for one
-- another within a tenant, and for no other tenant.
CREATE TABLE public.api_key_event_heads (
    tenant_id uuid   PRIMARY KEY REFERENCES public.tenants DEFERRABLE,
    seq       bigint NOT NULL DEFAULT 0 CHECK (seq >= 0),
    hash      bytea  NOT NULL DEFAULT '\x0000000000000000000000000000000000000000000000000000000000000000'
                     CHECK (octet_length(hash) = 32),
    -- The number of the tenant's keys, in whatever state: counting them would read them all for each page of a list. Here,
    -- since a creation locks this row anyway.
    keys      bigint NOT NULL DEFAULT 0 CHECK (keys >= 0)
) WITH (fillfactor = 50);

ALTER TABLE public.api_key_events      ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE public.api_key_event_heads ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY one_tenant ON public.api_key_events TO rally_app
    USING      (tenant_id = nullif(current_setting('rally.tenant_id', true), '')::uuid)
    WITH CHECK (tenant_id = nullif(current_setting('rally.tenant_id', true), '')::uuid);
CREATE POLICY one_tenant ON public.api_key_event_heads TO rally_app
    USING      (tenant_id = nullif(current_setting('rally.tenant_id', true), '')::uuid)
    WITH CHECK (tenant_id = nullif(current_setting('rally.tenant_id', true), '')::uuid);
CREATE POLICY start_of_chain ON public.api_key_event_heads FOR INSERT TO rally_operator
    WITH CHECK (seq = 0::bigint);
CREATE POLICY of_deleted_tenant ON public.api_key_events FOR DELETE TO rally_operator
    USING (tenant_id = (SELECT nullif(current_setting('rally.deleted_tenant', true), '')::uuid)
           AND NOT EXISTS (SELECT FROM public.tenants t
                           WHERE t.id = nullif(current_setting('rally.deleted_tenant', true), '')::uuid));
CREATE POLICY of_deleted_tenant ON public.api_key_event_heads FOR DELETE TO rally_operator
    USING (tenant_id = (SELECT nullif(current_setting('rally.deleted_tenant', true), '')::uuid)
           AND NOT EXISTS (SELECT FROM public.tenants t
                           WHERE t.id = nullif(current_setting('rally.deleted_tenant', true), '')::uuid));
GRANT SELECT, INSERT            ON public.api_key_events      TO rally_app;
GRANT SELECT, UPDATE (seq, hash, keys) ON public.api_key_event_heads TO rally_app;
GRANT DELETE                    ON public.api_key_events      TO rally_operator;
GRANT INSERT, DELETE            ON public.api_key_event_heads TO rally_operator;

CREATE FUNCTION public.api_key_events_refuse_change() RETURNS trigger
LANGUAGE plpgsql SET search_path = '' AS $$
BEGIN
    -- Of the rows, the policy of_deleted_tenant leaves it those of a deleted tenant alone.
    IF TG_OP = 'DELETE' AND current_user = 'rally_operator'::name THEN
        RETURN NULL;
    END IF;
    RAISE EXCEPTION 'api_key_events is append-only' USING ERRCODE = 'insufficient_privilege';
END
$$;

-- A new tenant starts its chain, so that appending an event finds the row.
CREATE FUNCTION public.start_event_chain() RETURNS trigger
LANGUAGE plpgsql SET search_path = '' AS $$
BEGIN
    INSERT INTO public.api_key_event_heads (tenant_id) VALUES (NEW.id);
    RETURN NULL;
END
$$;

CREATE FUNCTION public.count_new_keys() RETURNS trigger
LANGUAGE plpgsql SET search_path = '' AS $$
BEGIN
    UPDATE public.api_key_event_heads h
    SET keys = h.keys + n.keys
    FROM (SELECT i.tenant_id, count(*) AS keys FROM inserted i GROUP BY i.tenant_id) n
    WHERE h.tenant_id = n.tenant_id;
    RETURN NULL;
END
$$;

REVOKE EXECUTE ON FUNCTION
    public.api_key_events_refuse_change(), public.start_event_chain(), public.count_new_keys() FROM PUBLIC;

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON public.api_key_events
    FOR EACH STATEMENT EXECUTE FUNCTION public.api_key_events_refuse_change();
-- Also where session_replication_role switches ordinary triggers off.
ALTER TABLE public.api_key_events ENABLE ALWAYS TRIGGER append_only;

CREATE TRIGGER start_event_chain AFTER INSERT ON public.tenants
    FOR EACH ROW EXECUTE FUNCTION public.start_event_chain();

CREATE TRIGGER count_new_keys AFTER INSERT ON public.api_keys REFERENCING NEW TABLE AS inserted
    FOR EACH STATEMENT EXECUTE FUNCTION public.count_new_keys();

RESET search_path;
