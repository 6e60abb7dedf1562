'use strict';

// Runs against a service: RALLY_URL, RALLY_API_KEY of a key with the scope `admin`, KEY_ID of a key to revoke.
const assert = require('node:assert/strict');
const { test } = require('node:test');
const zapier = require('zapier-platform-core');
const App = require('./index');

const appTester = zapier.createAppTester(App);
const { RALLY_URL: url, RALLY_API_KEY: apiKey, KEY_ID: id } = process.env;
const authData = { url, apiKey };

test('the definition is valid', async () => {
  const { results } = await zapier.createAppHandler(App)({ command: 'validate' });
  assert.deepEqual(results, []);
});

test('a key connects', async () => {
  const key = await appTester(App.authentication.test, { authData });
  assert.equal(key.isActive, true);
});

test('a wrong key asks the user to connect again', async () => {
  const wrong = { url, apiKey: `rk_live_${'0'.repeat(32)}` };
  await assert.rejects(appTester(App.authentication.test, { authData: wrong }), { name: 'ExpiredAuthError' });
});

test('a key is revoked, twice without harm', async () => {
  const { perform } = App.creates.revoke_key.operation;
  for (const _ of [1, 2]) {
    assert.deepEqual(await appTester(perform, { authData, inputData: { id } }), { id });
  }
});

test('an unknown key is refused with the code of its problem', async () => {
  const inputData = { id: '00000000-0000-0000-0000-000000000000' };
  await assert.rejects(appTester(App.creates.revoke_key.operation.perform, { authData, inputData }), (error) => {
    assert.equal(JSON.parse(error.message).code, 'key_not_found');
    return true;
  });
});

test('events trigger', async () => {
  const { perform } = App.triggers.new_event.operation;
  const all = await appTester(perform, { authData, inputData: {} });
  const revocations = await appTester(perform, { authData, inputData: { type: 'revoked' } });
  assert.deepEqual(revocations.map((event) => event.keyId), [id]);
  assert(all.length > revocations.length);
});
