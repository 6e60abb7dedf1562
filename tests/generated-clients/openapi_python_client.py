"""openapi-python-client."""

import datetime
import os

from rally_crm_api_keys_client import AuthenticatedClient, Client
from rally_crm_api_keys_client.api.api_keys import create_api_key, get_api_key, list_api_keys, revoke_api_key, update_api_key
from rally_crm_api_keys_client.api.rotation import rotate_api_key
from rally_crm_api_keys_client.api.usage_and_events import get_api_key_usage, list_api_key_events
from rally_crm_api_keys_client.models import (
    ApiKeyCreatedResponse,
    ApiKeyResponse,
    CreateApiKeyRequest,
    KeyRevokedEvent,
    KeyRotatedEvent,
    Problem,
    ProblemCode,
    RotateApiKeyRequest,
    UpdateApiKeyRequest,
    UsageInterval,
)

URL = os.environ["SERVICE_TENANT_URL"]
admin = AuthenticatedClient(base_url=URL, token=os.environ["SERVICE_TOKEN"])

end = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=1)
made = create_api_key.sync(client=admin, body=CreateApiKeyRequest(name="openapi-python-client", expires_at=end))
assert isinstance(made, ApiKeyCreatedResponse) and made.scopes == "read" and made.expires_at == end

caller = AuthenticatedClient(base_url=URL, token=made.key, auth_header_name="X-Api-Key", prefix="")
listed = list_api_keys.sync_detailed(client=caller, limit=1, search="python-client")
assert isinstance(listed.parsed, list) and listed.parsed[0].id == made.id
assert listed.headers["X-Total-Count"] == "1"

changed = update_api_key.sync(made.id, client=admin, body=UpdateApiKeyRequest(scopes="read,write", expires_at=None))
assert isinstance(changed, ApiKeyResponse) and changed.scopes == "read,write" and changed.expires_at is None
rotated = rotate_api_key.sync(made.id, client=admin, body=RotateApiKeyRequest(overlap_seconds=60))
assert isinstance(rotated, ApiKeyCreatedResponse) and rotated.key != made.key
shown = get_api_key.sync(made.id, client=admin)
assert isinstance(shown, ApiKeyResponse) and shown.rotation and shown.rotation.previous_key_hint == made.key_hint
usage = get_api_key_usage.sync(made.id, client=admin, interval=UsageInterval.HOUR)
assert len(usage.secrets) == 2

refused = create_api_key.sync(client=caller, body=CreateApiKeyRequest(name="refused"))
assert isinstance(refused, Problem) and refused.code == ProblemCode.INSUFFICIENT_SCOPE
assert revoke_api_key.sync_detailed(made.id, client=admin).status_code == 204
after = list_api_keys.sync(client=caller)
assert isinstance(after, Problem) and after.code == ProblemCode.KEY_REVOKED
assert list_api_keys.sync(client=Client(base_url=URL)).code == ProblemCode.MISSING_CREDENTIALS

events = list_api_key_events.sync(made.id, client=admin)
assert any(isinstance(event, KeyRevokedEvent) for event in events)
[rotation] = (event for event in events if isinstance(event, KeyRotatedEvent))
assert rotation.details.overlap_seconds == 60
