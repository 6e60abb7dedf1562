// openapi-typescript and openapi-fetch.
import assert from 'node:assert/strict';
import createClient from 'openapi-fetch';
import type { components, paths } from './generated/openapi-typescript/schema';
import { token, url } from './service';

type ApiKeyEvent = components['schemas']['ApiKeyEventResponse'];

const admin = createClient<paths>({ baseUrl: url, headers: { Authorization: `Bearer ${token}` } });

// `scopes` is optional.
const made = await admin.POST('/api/v1/api-keys', { body: { name: 'openapi-typescript' } });
assert.equal(made.data?.scopes, 'read');
const { id, key } = made.data;
const path = { id };

const caller = createClient<paths>({ baseUrl: url, headers: { 'X-Api-Key': key } });
const list = await caller.GET('/api/v1/api-keys', { params: { query: { limit: 1, search: 'typescript' } } });
assert.equal(list.data?.[0].id, id);
assert.equal(list.response.headers.get('X-Total-Count'), '1');

const changed = await admin.PATCH('/api/v1/api-keys/{id}', { params: { path }, body: { scopes: 'read,write' } });
assert.equal(changed.data?.scopes, 'read,write');
const rotated = await admin.POST('/api/v1/api-keys/{id}/rotate', { params: { path }, body: { overlapSeconds: 60 } });
assert.notEqual(rotated.data?.key, key);
const shown = await admin.GET('/api/v1/api-keys/{id}', { params: { path } });
assert.equal(shown.data?.rotation?.previousKeyHint, made.data.keyHint);
const usage = await admin.GET('/api/v1/api-keys/{id}/usage', { params: { path, query: { interval: 'hour' } } });
assert.equal(usage.data?.secrets.length, 2);

const refused = await caller.POST('/api/v1/api-keys', { body: { name: 'refused' } });
assert.equal(refused.error?.code, 'insufficient_scope' satisfies components['schemas']['ProblemCode']);
assert.equal(refused.error.requiredScope, 'admin');

const revoked = await admin.DELETE('/api/v1/api-keys/{id}', { params: { path } });
assert.equal(revoked.response.status, 204);
const after = await caller.GET('/api/v1/api-keys');
assert.equal(after.error?.code, 'key_revoked');

const events = await admin.GET('/api/v1/api-keys/{id}/events', { params: { path } });
const told = (events.data ?? []).map((event: ApiKeyEvent) => {
  switch (event.type) {
    case 'created':
      return event.details.scopes;
    case 'updated':
      return event.details.scopes?.to;
    case 'rotated':
      return event.details.overlapSeconds;
    default:
      return event.type;
  }
});
// The use of the revoked key is written later than its revocation.
assert.deepEqual(told.filter((what) => what !== 'secret_reused'), ['revoked', 60, 'read,write', 'read']);
