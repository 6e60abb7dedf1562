// openapi-generator, typescript-fetch.
import assert from 'node:assert/strict';
import {
  APIKeysApi,
  Configuration,
  ProblemCode,
  ResponseError,
  RotationApi,
  UsageAndEventsApi,
  UsageInterval,
} from './generated/openapi-generator';
import { token, url } from './service';

const admin = new Configuration({ basePath: url, accessToken: token });
const keys = new APIKeysApi(admin);
const made = await keys.createApiKey({ createApiKeyRequest: { name: 'openapi-generator', expiresAt: new Date(Date.now() + 86_400_000) } });
assert.equal(made.scopes, 'read');
assert(made.expiresAt instanceof Date);
const { id, key } = made;

const caller = new APIKeysApi(new Configuration({ basePath: url, apiKey: key }));
const list = await caller.listApiKeys({ limit: 1, search: 'openapi-gen' });
assert.equal(list[0].id, id);
// A program that sets both, to one value.
const both = new APIKeysApi(new Configuration({ basePath: url, apiKey: key, accessToken: key }));
assert.equal((await both.getApiKey({ id })).id, id);

const changed = await keys.updateApiKey({ id, updateApiKeyRequest: { scopes: 'read,write', expiresAt: null } });
assert.deepEqual([changed.scopes, changed.expiresAt], ['read,write', null]);
const rotated = await new RotationApi(admin).rotateApiKey({ id, rotateApiKeyRequest: { overlapSeconds: 60 } });
assert.notEqual(rotated.key, key);
assert.equal((await keys.getApiKey({ id })).rotation?.previousKeyHint, made.keyHint);
const reports = new UsageAndEventsApi(admin);
assert.equal((await reports.getApiKeyUsage({ id, interval: UsageInterval.Hour })).secrets.length, 2);

async function codeOf(call: Promise<unknown>): Promise<string> {
  const error = await call.then(() => assert.fail('was not refused'), (error: unknown) => error);
  assert(error instanceof ResponseError);
  return (await error.response.json()).code;
}
assert.equal(await codeOf(caller.createApiKey({ createApiKeyRequest: { name: 'refused' } })), ProblemCode.InsufficientScope);
await keys.revokeApiKey({ id });
assert.equal(await codeOf(caller.listApiKeys()), ProblemCode.KeyRevoked);

const events = await reports.listApiKeyEvents({ id });
const rotation = events.find((event) => event.type === 'rotated');
assert.equal(rotation?.details.overlapSeconds, 60);
