-- Records of the requests with an Idempotency-Key that made a secret, so that a repetition gets the same response.

SET LOCAL search_path = '';

-- Neither the secret nor the Idempotency-Key is here. The secret is derived again from the pepper, which is not in the database,
-- the salt, tenant, principal and Idempotency-Key.
CREATE TABLE public.api_key_idempotency_records (
    tenant_id      uuid        NOT NULL REFERENCES public.tenants DEFERRABLE,
    -- SHA-256 over a label, tenant, principal and Idempotency-Key.
    key_digest     bytea       NOT NULL CHECK (octet_length(key_digest) = 32),
    -- SHA-256 over a label, method, path and body: another request under the same Idempotency-Key is refused.
    request_digest bytea       NOT NULL CHECK (octet_length(request_digest) = 32),
    created_at     timestamptz NOT NULL,
    salt           bytea       NOT NULL CHECK (octet_length(salt) = 32),
    -- NULL: the secret was derived without a pepper.
    pepper_id      text        CHECK (char_length(pepper_id) BETWEEN 1 AND 32),
    -- Of the secret that the request made.
    lookup_digest  bytea       NOT NULL CHECK (octet_length(lookup_digest) = 16),
    -- The response's JSON without the secret. Empty until the request is done, in the transaction that inserts the row.
    response       text        NOT NULL DEFAULT '',
    PRIMARY KEY (tenant_id, key_digest)
);

-- For remove_old_idempotency_records.
CREATE INDEX api_key_idempotency_records_by_age ON public.api_key_idempotency_records (created_at);

ALTER TABLE public.api_key_idempotency_records ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY one_tenant ON public.api_key_idempotency_records TO rally_app
    USING      (tenant_id = nullif(current_setting('rally.tenant_id', true), '')::uuid)
    WITH CHECK (tenant_id = nullif(current_setting('rally.tenant_id', true), '')::uuid);
-- Only the function below deletes: without its record a request would be made twice.
CREATE POLICY usage_worker_sees ON public.api_key_idempotency_records FOR SELECT TO rally_app
    USING ((SELECT current_setting('rally.usage_worker', true) = 'on'));
CREATE POLICY usage_worker_removes ON public.api_key_idempotency_records FOR DELETE TO rally_app
    USING ((SELECT current_setting('rally.usage_worker', true) = 'on'));
CREATE POLICY usage_worker_alone ON public.api_key_idempotency_records AS RESTRICTIVE FOR DELETE TO rally_app
    USING ((SELECT current_setting('rally.usage_worker', true) = 'on'));
CREATE POLICY of_deleted_tenant ON public.api_key_idempotency_records FOR DELETE TO rally_operator
    USING (tenant_id = (SELECT nullif(current_setting('rally.deleted_tenant', true), '')::uuid)
           AND NOT EXISTS (SELECT FROM public.tenants t
                           WHERE t.id = nullif(current_setting('rally.deleted_tenant', true), '')::uuid));
GRANT SELECT, INSERT, UPDATE (response), DELETE ON public.api_key_idempotency_records TO rally_app;
GRANT DELETE                                    ON public.api_key_idempotency_records TO rally_operator;

-- Removes up to `at_most` records of all tenants from before that time. Returns their number; NULL: another instance is
-- removing them.
CREATE FUNCTION public.remove_old_idempotency_records(before timestamptz, at_most integer) RETURNS integer
LANGUAGE plpgsql
SET role = rally_app
SET search_path = ''
SET lock_timeout = '1s'
AS $$
DECLARE
    removed integer;
BEGIN
    IF NOT pg_try_advisory_xact_lock(x'72616c6c79696472'::bigint) THEN -- any number that is always the same
        RETURN NULL;
    END IF;
    PERFORM set_config('rally.usage_worker', 'on', true);
    DELETE FROM public.api_key_idempotency_records
        WHERE ctid = ANY (ARRAY(SELECT r.ctid FROM public.api_key_idempotency_records r
                                WHERE r.created_at < before LIMIT at_most));
    GET DIAGNOSTICS removed = ROW_COUNT;
    PERFORM set_config('rally.usage_worker', '', true);
    RETURN removed;
END
$$;
REVOKE EXECUTE ON FUNCTION public.remove_old_idempotency_records(timestamptz, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION public.remove_old_idempotency_records(timestamptz, integer) TO rally_app;

RESET search_path;
