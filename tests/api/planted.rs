//! Objects that another login created: operators, functions, tables and schemas by which it would make others run its
//! code. None of them is chosen by a statement of the service, of the command line, or of a migration.

use rally_api_keys::store::{self, ConnectError, DatabaseUrl};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};

use crate::{
    binary::Home,
    client::{Credential, PATH},
    every_call::{call_everything, run_every_command},
    harness::{TestDatabase, TestServer, open, wait_until},
};

/// What each planted object runs. It leaves a line in the server's log and, where the current role may do that, makes
/// the planter a superuser and takes over all tenants' keys.
const SPRING: &str = r"
CREATE SCHEMA traps;
GRANT USAGE ON SCHEMA traps TO PUBLIC;
CREATE FUNCTION traps.spring(what text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    RAISE WARNING 'sprung: % as %', what, current_user;
    BEGIN
        ALTER ROLE {planter} SUPERUSER;
    EXCEPTION WHEN insufficient_privilege OR read_only_sql_transaction THEN NULL;
    END;
    BEGIN
        UPDATE public.api_keys SET name = 'Taken over' WHERE revoked_at IS NULL;
    EXCEPTION WHEN insufficient_privilege OR read_only_sql_transaction OR undefined_table THEN NULL;
    END;
END
$$;
CREATE FUNCTION traps.rows(what text) RETURNS SETOF integer LANGUAGE plpgsql AS $$
BEGIN
    PERFORM traps.spring(what);
END
$$;
CREATE FUNCTION traps.on_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM traps.spring('trigger on ' || TG_TABLE_SCHEMA || '.' || TG_TABLE_NAME);
    RETURN NEW;
END
$$;
";

/// In `public`: an operator for each pair of types for which PostgreSQL has none, and PostgreSQL's functions for other
/// types of arguments. An expression whose types do not match exactly would choose one of them.
const IN_PUBLIC: &str = r"
DO $plant$
DECLARE
    types CONSTANT text[] := ARRAY['text', 'varchar', 'name', 'uuid', 'int4', 'int8', 'timestamptz', 'interval', 'bytea',
                                   'bool', 'inet', 'jsonb', 'oid', 'regclass', 'text[]', 'uuid[]', 'bytea[]'];
    a text; b text; op text; f record; n integer := 0;
BEGIN
    FOREACH a IN ARRAY types LOOP
        FOREACH b IN ARRAY types LOOP
            n := n + 1;
            EXECUTE format('CREATE FUNCTION public.trap_c%s(%s, %s) RETURNS bool LANGUAGE plpgsql AS
                $f$ BEGIN PERFORM traps.spring(''comparison of %2$s and %3$s''); RETURN true; END $f$', n, a, b);
            EXECUTE format('CREATE FUNCTION public.trap_v%s(%s, %s) RETURNS %2$s LANGUAGE plpgsql AS
                $f$ BEGIN PERFORM traps.spring(''operator on %2$s and %3$s''); RETURN $1; END $f$', n, a, b);
            FOREACH op IN ARRAY ARRAY['=', '<>', '<', '<=', '>', '>=', '~~', '~~*', '~', '!~', '||', '+', '-', '*'] LOOP
                CONTINUE WHEN EXISTS (
                    SELECT FROM pg_operator o WHERE o.oprname = op::name AND o.oprleft = a::regtype
                        AND o.oprright = b::regtype AND o.oprnamespace = 'pg_catalog'::regnamespace);
                EXECUTE format('CREATE OPERATOR public.%s (FUNCTION = public.trap_%s%s, LEFTARG = %s, RIGHTARG = %s)',
                    op, CASE WHEN op IN ('||', '+', '-', '*') THEN 'v' ELSE 'c' END, n, a, b);
            END LOOP;
        END LOOP;
    END LOOP;
    FOR f IN
        SELECT p.proname, format_type(p.prorettype, NULL) AS result, other.args
        FROM pg_proc p
        CROSS JOIN LATERAL (
            SELECT string_agg(CASE t WHEN 'text' THEN 'varchar' WHEN 'bigint' THEN 'integer' WHEN 'integer' THEN 'bigint'
                                     WHEN 'name' THEN 'text' WHEN 'oid' THEN 'integer' ELSE t END, ', ' ORDER BY i) AS args
            FROM (SELECT i, format_type(arg, NULL) AS t FROM unnest(p.proargtypes::oid[]) WITH ORDINALITY a (arg, i)) named
        ) other
        WHERE p.pronamespace = 'pg_catalog'::regnamespace AND p.prokind = 'f' AND NOT p.proretset AND p.pronargs > 0
          AND p.proname IN ('set_config', 'current_setting', 'pg_notify', 'date_trunc', 'octet_length', 'char_length',
                            'btrim', 'lower', 'strpos', 'to_regclass', 'has_schema_privilege', 'pg_has_role', 'format',
                            'quote_ident', 'hashtextextended', 'pg_try_advisory_lock', 'pg_advisory_unlock',
                            'pg_try_advisory_xact_lock', 'pg_get_userbyid', 'acldefault', 'format_type', 'replace')
    LOOP
        BEGIN
            EXECUTE format('CREATE FUNCTION public.%I(%s) RETURNS %s LANGUAGE plpgsql AS
                $f$ BEGIN PERFORM traps.spring(''function %1$s(%2$s)''); %4$s END $f$', f.proname, f.args, f.result,
                CASE f.result WHEN 'void' THEN '' ELSE 'RETURN NULL;' END);
        EXCEPTION WHEN duplicate_function OR invalid_function_definition OR feature_not_supported THEN NULL;
        END;
    END LOOP;
END
$plant$;
CREATE FUNCTION public.find_tenants(slugs varchar[]) RETURNS TABLE (place integer, id uuid, suspended boolean)
LANGUAGE plpgsql AS $$ BEGIN PERFORM traps.spring('find_tenants(varchar[])'); END $$;
";

/// In schemas named like the roles, which come first in the usual search_path: the tables, and the functions that the
/// service calls. They have the names and types of the real ones.
const IN_SCHEMAS_OF_ROLES: &str = r"
DO $plant$
DECLARE
    home text; f record; t record;
BEGIN
    FOREACH home IN ARRAY ARRAY['rally_app', 'rally_operator', 'rally_owner'] LOOP
        EXECUTE format('CREATE SCHEMA %I', home);
        EXECUTE format('GRANT USAGE ON SCHEMA %I TO PUBLIC', home);
        FOR t IN
            SELECT c.relname::text AS name,
                   string_agg(format('NULL::%s AS %I', format_type(a.atttypid, a.atttypmod), a.attname), ', ') AS columns
            FROM pg_class c
            JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
            WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r'
            GROUP BY c.relname
        LOOP
            EXECUTE format('CREATE VIEW %I.%I AS SELECT %s FROM traps.rows(%L)', home, t.name, t.columns,
                           'view ' || home || '.' || t.name);
            EXECUTE format('GRANT ALL ON %I.%I TO PUBLIC', home, t.name);
            EXECUTE format('CREATE TRIGGER trap INSTEAD OF INSERT OR UPDATE OR DELETE ON %I.%I
                            FOR EACH ROW EXECUTE FUNCTION traps.on_change()', home, t.name);
        END LOOP;
        FOR f IN
            SELECT p.proname, pg_get_function_arguments(p.oid) AS args, pg_get_function_result(p.oid) AS result
            FROM pg_proc p
            WHERE p.pronamespace = 'public'::regnamespace AND 'role=rally_app' = ANY (p.proconfig)
        LOOP
            EXECUTE format('CREATE FUNCTION %I.%I(%s) RETURNS %s LANGUAGE plpgsql AS
                $f$ BEGIN PERFORM traps.spring(''function %1$s.%2$s''); %5$s END $f$', home, f.proname, f.args, f.result,
                CASE WHEN f.result LIKE 'TABLE%' OR f.result LIKE 'SETOF%' OR f.result = 'record' THEN '' ELSE 'RETURN NULL;' END);
        END LOOP;
    END LOOP;
END
$plant$;
";

/// A login that may create objects, in the database and in `public`, until [`Planter::revoke`].
struct Planter {
    name: String,
    database: TestDatabase,
}

impl Planter {
    async fn create(database: &TestDatabase) -> Self {
        let name = format!("planter_{}", database.name);
        database
            .execute(&format!(
                "CREATE ROLE {name} LOGIN; GRANT CREATE ON SCHEMA public TO {name};
                 GRANT CREATE ON DATABASE {} TO {name}",
                database.name
            ))
            .await;
        Self { name, database: database.clone() }
    }

    async fn plant(&self, scripts: &[&str]) {
        let mut connection = PgConnection::connect(&self.database.url_text(Some(&self.name)).await).await.unwrap();
        for script in scripts {
            let script = script.replace("{planter}", &self.name);
            connection.execute(AssertSqlSafe(script)).await.unwrap();
        }
        connection.close().await.unwrap();
    }

    /// What a refused start or migration says to do.
    async fn revoke(&self) {
        self.database.execute(&format!("REVOKE CREATE ON SCHEMA public FROM {}", self.name)).await;
    }

    async fn is_superuser(&self) -> bool {
        let sql = format!("SELECT count(*) FROM pg_catalog.pg_roles WHERE rolname = '{}' AND rolsuper", self.name);
        self.database.count(&sql).await == 1
    }

    /// The traps that have run under another role than the planter's own, by the server's log.
    async fn sprung(&self) -> Vec<String> {
        let own = format!(" as {}", self.name);
        let log = self.database.own_log().await;
        log.into_iter().filter(|line| line.contains("sprung: ") && !line.ends_with(&own)).collect()
    }

    async fn assert_that_none_ran(&self) {
        assert_eq!(self.sprung().await, [""; 0]);
        assert!(!self.is_superuser().await);
        assert_eq!(self.database.count("SELECT count(*) FROM public.api_keys WHERE name = 'Taken over'").await, 0);
    }

    /// The negative control: each kind of trap runs where the search_path is the usual one and a statement names no
    /// schema, or has types that do not match exactly.
    async fn assert_that_they_would_run(&self, are_tables_planted: bool) {
        let mut owner = self.database.connect().await;
        let mut expected = vec!["operator on text and uuid", "comparison of text and int4"];
        owner.execute("SELECT 'a'::text || gen_random_uuid()").await.unwrap();
        owner.execute("SELECT 'a'::text = 1").await.unwrap();
        if are_tables_planted {
            expected.extend([
                "view rally_owner.tenants",
                "view rally_app.api_keys",
                "function rally_owner.find_tenants",
            ]);
            owner.execute("SELECT id FROM tenants").await.unwrap();
            owner.execute("SELECT id FROM find_tenants(ARRAY['acme'])").await.unwrap();
            owner.execute("BEGIN; SET LOCAL ROLE rally_app").await.unwrap();
            owner.execute("SELECT id FROM api_keys").await.unwrap();
            owner.execute("COMMIT").await.unwrap();
        }
        let sprung = self.sprung().await;
        for what in expected {
            assert!(sprung.iter().any(|line| line.contains(what)), "{what} in {sprung:?}");
        }
        assert!(self.is_superuser().await, "the owner's statements made the planter a superuser");
        // The same with an empty search_path chooses PostgreSQL's own.
        owner.execute("SET search_path = ''").await.unwrap();
        owner.execute("SELECT 'a'::text || gen_random_uuid()").await.unwrap();
        assert_eq!(self.sprung().await.len(), sprung.len());
    }

    async fn drop(self) {
        self.database.execute(&format!("DROP OWNED BY {0} CASCADE; DROP ROLE {0}", self.name)).await;
    }
}

#[tokio::test]
async fn objects_that_another_login_plants_are_never_chosen() {
    let database = TestDatabase::create().await;
    // Connections from before, with statements that they prepared, and from after.
    let server = TestServer::on(database.clone(), &[]).await;
    call_everything(&server).await;
    let others = server.admin("globex").create("Theirs", "read").await;
    let planter = Planter::create(&database).await;
    planter.plant(&[SPRING, IN_PUBLIC, IN_SCHEMAS_OF_ROLES]).await;
    call_everything(&server).await;
    planter.revoke().await;

    let old = "INSERT INTO public.api_key_usage
               SELECT tenant_id, id, date_trunc('hour', now(), 'UTC') - interval '10 years', 1, 0, 0, 0 FROM public.api_keys";
    database.execute(&format!("SET search_path = ''; {old}")).await;
    let sibling = server.sibling(&[]).await;
    call_everything(&sibling).await;
    let left = "SELECT count(*) FROM public.api_key_usage WHERE hour < '2020-01-01Z'::timestamptz";
    wait_until(async || database.count(left).await == 0).await;
    run_every_command(&Home::new("planted"), &database, &database.url_text(None).await).await;
    sibling.client("globex", Credential::ApiKey(others.secret.clone())).get(PATH).await.expect(200);
    planter.assert_that_none_ran().await;
    planter.assert_that_they_would_run(true).await;
    planter.drop().await;
}

#[tokio::test]
async fn objects_planted_before_the_migration_are_never_chosen() {
    TestDatabase::create().await; // its migrations create the roles of the cluster
    let database = TestDatabase::unmigrated().await;
    let url = database.url().await;
    let planter = Planter::create(&database).await;
    let table = "CREATE TABLE public._sqlx_migrations (version bigint PRIMARY KEY, description text NOT NULL,
                     installed_on timestamptz NOT NULL DEFAULT now(), success boolean NOT NULL, checksum bytea NOT NULL,
                     execution_time bigint NOT NULL);
                 CREATE TRIGGER trap BEFORE INSERT OR UPDATE ON public._sqlx_migrations
                     FOR EACH ROW EXECUTE FUNCTION traps.on_change();";
    planter.plant(&[SPRING, IN_PUBLIC, table]).await;
    let error = store::migrate(&url).await.expect_err("a refusal");
    assert!(matches!(&error, ConnectError::ForeignObject { owner, .. } if *owner == planter.name), "{error}");
    assert!(error.to_string().contains("DROP TABLE public._sqlx_migrations"), "{error}");
    assert!(open(&url).await.is_err(), "a start migrates too");
    database.execute("SET search_path = ''; DROP TABLE public._sqlx_migrations").await;

    let error = store::migrate(&url).await.expect_err("the planter may still create objects");
    assert!(matches!(&error, ConnectError::OthersMayCreate(who) if *who == planter.name), "{error}");
    planter.revoke().await;
    let home = Home::new("planted-before");
    let text = database.url_text(None).await;
    for args in [&["migrate"][..], &["tenant", "create", "acme"]] {
        home.succeed(args, &[("DATABASE_URL", &text)]).await;
    }
    let server = TestServer::on(database.clone(), &[]).await;
    call_everything(&server).await;
    run_every_command(&home, &database, &text).await;
    planter.assert_that_none_ran().await;
    planter.assert_that_they_would_run(false).await;
    planter.drop().await;
}

/// Whatever else the planter owns, and also after the REVOKE.
#[tokio::test]
async fn a_view_planted_in_place_of_the_migrations_is_refused_and_never_read() {
    TestDatabase::create().await; // its migrations create the roles of the cluster
    for others in ["", "CREATE TABLE public.api_keys (name text, revoked_at timestamptz)"] {
        let database = TestDatabase::unmigrated().await;
        let (url, home) = (database.url().await, Home::new("planted-view"));
        let planter = Planter::create(&database).await;
        let view = "CREATE VIEW public._sqlx_migrations AS
                        SELECT 1::bigint AS version, ''::bytea AS checksum, true AS success FROM traps.rows('migrations');
                    GRANT ALL ON public._sqlx_migrations TO PUBLIC";
        planter.plant(&[SPRING, view, others]).await;
        for _ in ["with CREATE", "without"] {
            let refusals =
                [store::migrate(&url).await.expect_err("a refusal"), open(&url).await.err().expect("a refusal")];
            for error in refusals {
                assert!(
                    matches!(&error, ConnectError::ForeignObject { owner, .. } if *owner == planter.name),
                    "{error}"
                );
            }
            let text = database.url_text(None).await;
            for args in [&["migrate"][..], &["doctor"], &["tenant", "create", "acme"], &["tenant", "list"]] {
                let output = home.run(args, &[("DATABASE_URL", &text)]).await;
                assert!(!output.status.success(), "{args:?}");
            }
            planter.revoke().await;
        }
        assert_eq!(planter.sprung().await, [""; 0]);
        assert!(!planter.is_superuser().await);
        // The negative control.
        database.execute("SELECT * FROM public._sqlx_migrations").await;
        assert!(planter.is_superuser().await);
        planter.drop().await;
    }
}

/// By somebody who read the migrations: everything is as it should be but the owner, who may then change it.
#[tokio::test]
async fn tables_and_functions_of_another_role_are_refused_with_what_to_run() {
    let (database, home) = (TestDatabase::create().await, Home::new("planted-owner"));
    let (url, text) = (database.url().await, database.url_text(None).await);
    let planter = Planter::create(&database).await;
    planter.revoke().await;
    let objects = "SELECT 'TABLE public.' || relname FROM pg_class
                   WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'
                   UNION ALL
                   SELECT 'FUNCTION public.' || oid::regprocedure::text FROM pg_proc
                   WHERE pronamespace = 'public'::regnamespace AND 'role=rally_app' = ANY (proconfig)";
    let objects = database.texts(objects).await;
    assert_eq!(objects.len(), 15 + 9, "{objects:?}");
    for object in objects {
        database.execute(&format!("ALTER {object} OWNER TO {}", planter.name)).await;
        let error = open(&url).await.err().expect("a refusal").to_string();
        assert!(error.starts_with(&format!("the {object} belongs to role \"{}\"", planter.name)), "{error}");
        assert!(error.contains(&format!("as a superuser run: DROP {object}")), "{error}");
        database.execute(&format!("ALTER {object} OWNER TO CURRENT_USER")).await;
    }
    database.execute(&format!("ALTER TABLE public.api_keys OWNER TO {}", planter.name)).await;
    let printed = String::from_utf8(home.run(&["doctor"], &[("DATABASE_URL", &text)]).await.stdout).unwrap();
    assert!(printed.contains("FAIL  migrations: the TABLE public.api_keys belongs to"), "{printed}");
    // A role that is told to migrate.
    database.execute(&format!("GRANT rally_operator TO {}", planter.name)).await;
    open(&url).await.unwrap_or_else(|error| panic!("{error}")).close().await;
    planter.drop().await;
}

#[tokio::test]
async fn a_schema_in_which_others_may_create_objects_is_refused_with_what_to_run() {
    let database = TestDatabase::create().await;
    let (login, home) = (format!("login_{}", database.name), Home::new("creators"));
    database.execute(&format!("CREATE ROLE {login} LOGIN; GRANT rally_app TO {login}")).await;
    let plain = DatabaseUrl::parse(&database.url_text(Some(&login)).await).unwrap();
    let text = database.url_text(None).await;
    for (grantee, named) in [("PUBLIC", "PUBLIC"), ("rally_app", "rally_app"), (&login, &login)] {
        database.execute(&format!("GRANT CREATE ON SCHEMA public TO {grantee}")).await;
        let remedy = format!("REVOKE CREATE ON SCHEMA public FROM {named}");
        for url in [&database.url().await, &plain] {
            let error = open(url).await.err().expect("a refusal");
            assert!(matches!(error, ConnectError::OthersMayCreate(_)), "{error}");
            assert!(error.to_string().ends_with(&remedy), "{error}");
        }
        let printed = home.run(&["doctor"], &[("DATABASE_URL", &text)]).await.stdout;
        let printed = String::from_utf8(printed).unwrap();
        assert!(printed.contains("FAIL  schema: other roles than the owner"), "{printed}");
        assert!(printed.contains(&remedy), "{printed}");
        database.execute(&remedy).await;
        for url in [&database.url().await, &plain] {
            open(url).await.unwrap_or_else(|error| panic!("{error}")).close().await;
        }
    }
    let printed = String::from_utf8(home.run(&["doctor"], &[("DATABASE_URL", &text)]).await.stdout).unwrap();
    assert!(printed.contains("ok    schema: only its owner may create objects"), "{printed}");
    database.execute(&format!("DROP OWNED BY {login}; DROP ROLE {login}")).await;
}
