-- Usage is written by short statements over long arrays, whose costs PostgreSQL cannot know: it guesses
-- them to be high, and then compiles (JIT) each of them anew, which took longer than the writing.
ALTER FUNCTION record_use(
    uuid, bigint, uuid[], bytea[], timestamptz[], inet[], text[], uuid[], uuid[], timestamptz[], bigint[], bigint[],
    bigint[]
) SET jit = off;

-- The same rules, with the setting read once per statement and not once per row. Where one row is looked
-- up (api_key_secrets, USING), a sub-select would cost more than it saves.
ALTER POLICY one_tenant ON api_key_secrets
    WITH CHECK (tenant_id = (SELECT nullif(current_setting('rally.tenant_id', true), '')::uuid));
ALTER POLICY one_tenant ON api_key_usage
    USING      (tenant_id = (SELECT nullif(current_setting('rally.tenant_id', true), '')::uuid))
    WITH CHECK (tenant_id = (SELECT nullif(current_setting('rally.tenant_id', true), '')::uuid));
