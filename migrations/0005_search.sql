-- The texts that a search looks through, and their index.

SET LOCAL search_path = '';

-- What can be searched of a key, as the service folds it: the name and, on a line of its own, the description. In a table of
-- its own for the policy below.
CREATE TABLE public.api_key_texts (
    tenant_id uuid NOT NULL,
    key_id    uuid NOT NULL,
    text      text COLLATE "C" NOT NULL,
    PRIMARY KEY (tenant_id, key_id),
    FOREIGN KEY (tenant_id, key_id) REFERENCES public.api_keys
);

ALTER TABLE public.api_key_texts ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
-- The pattern of a search is the setting rally.search, set for one transaction; without it, every row of the tenant is seen.
-- LIKE is not leakproof, so in a statement's own WHERE it is evaluated after the policies, on every row of the tenant. As a part
-- of the policy it may use the index. It is safe there: what LIKE tells of a row is whether it is returned.
CREATE POLICY one_tenant ON public.api_key_texts TO rally_app
    USING      (tenant_id = nullif(current_setting('rally.tenant_id', true), '')::uuid
                AND text LIKE coalesce(nullif(current_setting('rally.search', true), ''), '%'))
    WITH CHECK (tenant_id = nullif(current_setting('rally.tenant_id', true), '')::uuid);
CREATE POLICY of_deleted_tenant ON public.api_key_texts FOR DELETE TO rally_operator
    USING (tenant_id = (SELECT nullif(current_setting('rally.deleted_tenant', true), '')::uuid)
           AND NOT EXISTS (SELECT FROM public.tenants t
                           WHERE t.id = nullif(current_setting('rally.deleted_tenant', true), '')::uuid));
GRANT SELECT, INSERT, UPDATE (text) ON public.api_key_texts TO rally_app;
GRANT DELETE                        ON public.api_key_texts TO rally_operator;

CREATE FUNCTION public.write_key_text() RETURNS trigger
LANGUAGE plpgsql SET search_path = '' AS $$
BEGIN
    INSERT INTO public.api_key_texts AS t (tenant_id, key_id, text)
        VALUES (NEW.tenant_id, NEW.id, NEW.folded_name || coalesce(E'\n' || NEW.folded_description, ''))
        ON CONFLICT (tenant_id, key_id) DO UPDATE SET text = excluded.text WHERE t.text <> excluded.text;
    RETURN NULL;
END
$$;
REVOKE EXECUTE ON FUNCTION public.write_key_text() FROM PUBLIC;

CREATE TRIGGER write_text AFTER INSERT OR UPDATE OF folded_name, folded_description ON public.api_keys
    FOR EACH ROW EXECUTE FUNCTION public.write_key_text();

-- An index of trigrams, where the extension pg_trgm is installed or may be. Without it, a search reads the texts of all keys of
-- the tenant. In a schema of its own, so that `public` has no functions but ours.
DO $$
DECLARE
    home text;
    installing CONSTANT text := 'the search index was not created, so that a search reads the texts of all keys of a tenant: %s';
BEGIN
    IF NOT EXISTS (SELECT FROM pg_extension WHERE extname = 'pg_trgm'::name) THEN
        BEGIN
            -- Not a schema that another login has prepared: the extension's script would use what is in it.
            CREATE SCHEMA rally_extensions;
            CREATE EXTENSION pg_trgm SCHEMA rally_extensions;
        EXCEPTION WHEN insufficient_privilege OR duplicate_schema OR undefined_file OR feature_not_supported THEN
            RAISE NOTICE USING MESSAGE = format(installing, SQLERRM);
        END;
    END IF;
    SELECT n.nspname::text INTO home
        FROM pg_extension e
        JOIN pg_depend d ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid AND d.deptype = 'e'
        JOIN pg_opclass o ON d.classid = 'pg_opclass'::regclass AND o.oid = d.objid AND o.opcname = 'gin_trgm_ops'::name
        JOIN pg_namespace n ON n.oid = o.opcnamespace
        WHERE e.extname = 'pg_trgm'::name;
    IF home IS NOT NULL THEN
        -- Without the list of pending entries, which one unlucky creation would have to work off.
        EXECUTE format('CREATE INDEX api_key_texts_trigrams ON public.api_key_texts USING gin (text %I.gin_trgm_ops) '
                       'WITH (fastupdate = off)', home);
    END IF;
END
$$;

RESET search_path;
