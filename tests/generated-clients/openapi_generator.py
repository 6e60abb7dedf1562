"""openapi-generator, python."""

import datetime
import os

import openapi_client
from openapi_client import (
    APIKeysApi,
    ApiClient,
    Configuration,
    CreateApiKeyRequest,
    Problem,
    ProblemCode,
    RotateApiKeyRequest,
    RotationApi,
    UpdateApiKeyRequest,
    UsageAndEventsApi,
    UsageInterval,
)

URL = os.environ["SERVICE_TENANT_URL"]


def code_of(call) -> ProblemCode:
    try:
        call()
    except openapi_client.ApiException as error:
        return Problem.from_json(error.body).code
    raise AssertionError("was not refused")


admin = ApiClient(Configuration(host=URL, access_token=os.environ["SERVICE_TOKEN"]))
keys = APIKeysApi(admin)
end = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=1)
made = keys.create_api_key(CreateApiKeyRequest(name="openapi-generator-python", expires_at=end))
assert made.scopes == "read" and made.expires_at == end

caller = APIKeysApi(ApiClient(Configuration(host=URL, api_key={"apiKey": made.key})))
listed = caller.list_api_keys_with_http_info(limit=1, search="generator-python")
assert listed.data[0].id == made.id and listed.headers["x-total-count"] == "1"
# A program that sets both, to one value.
both = APIKeysApi(ApiClient(Configuration(host=URL, api_key={"apiKey": made.key}, access_token=made.key)))
assert both.get_api_key(made.id).id == made.id

changed = keys.update_api_key(made.id, UpdateApiKeyRequest(scopes="read,write", expires_at=None))
assert changed.scopes == "read,write" and changed.expires_at is None, changed
rotated = RotationApi(admin).rotate_api_key(made.id, rotate_api_key_request=RotateApiKeyRequest(overlap_seconds=60))
assert rotated.key != made.key
assert keys.get_api_key(made.id).rotation.previous_key_hint == made.key_hint
reports = UsageAndEventsApi(admin)
assert len(reports.get_api_key_usage(made.id, interval=UsageInterval.HOUR).secrets) == 2

assert code_of(lambda: caller.create_api_key(CreateApiKeyRequest(name="refused"))) == ProblemCode.INSUFFICIENT_SCOPE
keys.revoke_api_key(made.id)
assert code_of(caller.list_api_keys) == ProblemCode.KEY_REVOKED

events = [event.actual_instance for event in reports.list_api_key_events(made.id)]
assert any(isinstance(event, openapi_client.KeyRevokedEvent) for event in events)
[rotation] = (event for event in events if isinstance(event, openapi_client.KeyRotatedEvent))
assert rotation.details.overlap_seconds == 60
