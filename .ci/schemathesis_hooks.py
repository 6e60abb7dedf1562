"""Credentials for schemathesis: the demo tenant's admin; for paths about the calling key, a new key for
each call."""

import os
import unicodedata

import requests
import schemathesis

URL = os.environ["SERVICE_URL"]
ADMIN = {"Authorization": f"Bearer {os.environ['SERVICE_TOKEN']}"}


@schemathesis.auth(refresh_interval=None).apply_to(path_regex="/self")
class OwnKey:
    def get(self, case, context):
        body = {"name": "schemathesis", "scopes": "admin"}
        headers = ADMIN | {"Host": "acme.localhost"}
        # Without the rules that other calls have set.
        requests.put(f"{URL}/api/v1/api-keys/policy", json={}, headers=headers, timeout=10).raise_for_status()
        made = requests.post(f"{URL}/api/v1/api-keys", json=body, headers=headers, timeout=10)
        made.raise_for_status()
        return {"X-Api-Key": made.json()["key"]}

    def set(self, case, data, context):
        case.headers.update(data)


@schemathesis.auth(refresh_interval=None).skip_for(path_regex="/self|/openapi.json|/docs|/readyz|/healthz")
class Admin:
    def get(self, case, context):
        return ADMIN

    def set(self, case, data, context):
        case.headers.update(data)


# Invisible, and not of a category for that.
INVISIBLE = {*"\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0", *map(chr, range(0x180B, 0x1810)), *map(chr, range(0xFE00, 0xFE10))}


@schemathesis.hook
def filter_query(context, query):
    """Leaves out invisible characters: which of them a `reason` may have depends on their neighbours, so that the
    description says it in words and not by its pattern."""
    texts = [value for value in (query or {}).values() if isinstance(value, str)]
    hidden = (c in INVISIBLE or unicodedata.category(c) in ("Cf", "Cn", "Co", "Zl", "Zp") for text in texts for c in text)
    return not any(hidden)
