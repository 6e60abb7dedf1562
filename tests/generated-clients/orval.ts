// orval, with its default client, axios.
import assert from 'node:assert/strict';
import axios, { AxiosError } from 'axios';
import {
  createApiKey,
  getApiKey,
  getApiKeyUsage,
  listApiKeyEvents,
  listApiKeys,
  revokeApiKey,
  rotateApiKey,
  updateApiKey,
  type Problem,
} from './generated/orval/api';
import { token, url } from './service';

axios.defaults.baseURL = url;
axios.defaults.headers.common.Authorization = `Bearer ${token}`;

async function problemOf(call: Promise<unknown>): Promise<Problem> {
  const error = await call.then(() => assert.fail('was not refused'), (error: unknown) => error);
  assert(error instanceof AxiosError && error.response);
  return error.response.data as Problem;
}

const made = await createApiKey({ name: 'orval' });
assert.equal(made.data.scopes, 'read');
const { id, key } = made.data;
const caller = { headers: { Authorization: undefined, 'X-Api-Key': key } };

const list = await listApiKeys({ limit: 1, search: 'orval' }, caller);
assert.equal(list.data[0].id, id);
assert.equal(list.headers['x-total-count'], '1');

assert.equal((await updateApiKey(id, { scopes: 'read,write' })).data.scopes, 'read,write');
const rotated = await rotateApiKey(id, { overlapSeconds: 60 });
assert.notEqual(rotated.data.key, key);
assert.equal((await getApiKey(id)).data.rotation?.previousKeyHint, made.data.keyHint);
assert.equal((await getApiKeyUsage(id, { interval: 'hour' })).data.secrets.length, 2);

assert.equal((await problemOf(createApiKey({ name: 'refused' }, caller))).code, 'insufficient_scope');
assert.equal((await revokeApiKey(id)).status, 204);
assert.equal((await problemOf(listApiKeys(undefined, caller))).code, 'key_revoked');

const events = await listApiKeyEvents(id);
const rotation = events.data.find((event) => event.type === 'rotated');
assert.equal(rotation?.details.overlapSeconds, 60);
