"""Credentials for schemathesis: the demo tenant's admin; for paths about the calling key, a new key for
each call."""

import os

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
