-- Secrets that are reported as leaked, of whichever tenant.

SET LOCAL search_path = '';

-- A report names no tenant. A hash index is half as large as a B-tree, and nothing is sorted or compared here.
CREATE INDEX api_key_secrets_by_digest ON public.api_key_secrets USING hash (lookup_digest);

-- Only while find_reported_secrets runs, and then of one secret at a time: who does not know a secret sees no row of it.
-- Without a sub-select, which each look-up of a secret would pay for.
CREATE POLICY reported_secret ON public.api_key_secrets FOR SELECT TO rally_app
    USING (lookup_digest = decode(nullif(current_setting('rally.reported_digest', true), ''), 'hex'));

-- Finds the tenants and keys of reported secrets, in whatever state they are. `place` is the digest's index in the array,
-- from 1; a secret that is unknown has no row. Each digest is set in turn for the policy.
CREATE FUNCTION public.find_reported_secrets(digests bytea[])
RETURNS TABLE (place integer, tenant_id uuid, key_id uuid)
LANGUAGE plpgsql
SET role = rally_app
SET search_path = ''
SET lock_timeout = '1500ms' -- see find_tenants
SET enable_seqscan = off
AS $$
BEGIN
    FOR n IN 1 .. cardinality(digests) LOOP
        PERFORM set_config('rally.reported_digest', encode(digests[n], 'hex'), true);
        RETURN QUERY
            SELECT n, s.tenant_id, s.key_id FROM public.api_key_secrets s WHERE s.lookup_digest = digests[n];
    END LOOP;
    PERFORM set_config('rally.reported_digest', '', true);
END
$$;
REVOKE EXECUTE ON FUNCTION public.find_reported_secrets(bytea[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION public.find_reported_secrets(bytea[]) TO rally_app;

RESET search_path;
