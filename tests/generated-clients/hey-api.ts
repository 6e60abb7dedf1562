// @hey-api/openapi-ts, with its bundled fetch client.
import assert from 'node:assert/strict';
import {
  createApiKey,
  getApiKey,
  getApiKeyUsage,
  listApiKeyEvents,
  listApiKeys,
  revokeApiKey,
  rotateApiKey,
  updateApiKey,
} from './generated/hey-api';
import { client } from './generated/hey-api/client.gen';
import { token, url } from './service';

// One value for both security schemes: it is sent in the header of each, which the service accepts.
client.setConfig({ baseUrl: url, auth: token });
const made = await createApiKey({ body: { name: 'hey-api' } });
assert.equal(made.data?.scopes, 'read');
const { id, key } = made.data;
const path = { id };

const list = await listApiKeys({ auth: key, query: { limit: 1, search: 'hey' } });
assert.equal(list.data?.[0].id, id);
// A user has no API key.
const byScheme = await listApiKeys({ auth: ({ scheme }) => (scheme === 'bearer' ? token : undefined) });
assert.equal(byScheme.response?.status, 200);

const changed = await updateApiKey({ path, body: { scopes: 'read,write' } });
assert.equal(changed.data?.scopes, 'read,write');
const rotated = await rotateApiKey({ path, body: { overlapSeconds: 60 } });
assert.notEqual(rotated.data?.key, key);
const rotatedAgain = await rotateApiKey({ path });
assert(rotatedAgain.data, 'the body is optional');
const shown = await getApiKey({ path });
assert.equal(shown.data?.rotation?.previousKeyHint, rotated.data?.keyHint);
const usage = await getApiKeyUsage({ path, query: { interval: 'hour' } });
assert.equal(usage.data?.secrets.length, 3);

const current = rotatedAgain.data.key;
const refused = await createApiKey({ auth: current, body: { name: 'refused' } });
assert.equal(refused.error?.code, 'insufficient_scope');
assert.equal((await revokeApiKey({ path })).response?.status, 204);
const after = await listApiKeys({ auth: current });
assert.equal(after.error?.code, 'key_revoked');

const events = await listApiKeyEvents({ path, throwOnError: true });
const rotation = events.data.find((event) => event.type === 'rotated');
assert.equal(rotation?.details.overlapSeconds, 86400);
