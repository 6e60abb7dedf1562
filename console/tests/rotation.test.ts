import assert from 'node:assert/strict';
import { test } from 'node:test';
import { assertNoComplaints, dialog, look, openConsole } from './support/browser.js';
import { service } from './support/context.js';

test('a_rotation_is_watched_until_nobody_uses_the_old_secret_and_then_ended', async () => {
  const tenant = await service.tenant();
  const key = await tenant.create({ name: 'Zapier Sync' });
  await tenant.use(key, 'etl/2.1');
  await tenant.use(key, 'zapier/3.2');
  const { page, context } = await openConsole(tenant, { at: `#/keys/${key.id}` });
  await page.getByRole('button', { name: 'Rotate' }).click();
  await dialog(page).getByText('zapier/3.2').waitFor();
  await look(page, 'rotate', { full: false });
  await dialog(page).getByRole('radio', { name: '7 days' }).check();
  await dialog(page).getByRole('button', { name: 'Rotate' }).click();
  await page.getByText('Copy the new secret now').waitFor();
  const secret = await page.getByLabel('Secret', { exact: true }).inputValue();
  assert.match(secret, /^rk_live_[0-9a-f]{32}$/);
  assert.notEqual(secret, key.key);
  await page.getByLabel('I have stored the secret').check();
  await page.getByRole('button', { name: 'Done' }).click();

  const panel = page.getByRole('region', { name: 'Rotation in progress' });
  await panel.getByText('Nobody has used the old secret since the rotation.').waitFor();
  await panel.getByText('Not seen since the rotation').first().waitFor();
  await look(page, 'rotation-unused', { widths: [1280] });

  // One program still has the old secret, the other one has moved: the page learns it by itself.
  await tenant.use(key, 'zapier/3.2');
  await tenant.use(key, 'etl/2.1', { secret });
  await panel.locator('[data-state=used]').waitFor({ timeout: 30_000 });
  await panel.getByText(/Old secret last used .* by 127\.0\.0\.1 · zapier\/3\.2/).waitFor();
  await panel.locator('li', { hasText: 'zapier/3.2' }).getByText('Still on the old secret').waitFor({ timeout: 60_000 });
  await panel.locator('li', { hasText: 'etl/2.1' }).getByText('Uses the new secret').waitFor({ timeout: 60_000 });
  await look(page, 'rotation');

  await panel.getByRole('button', { name: 'End the old secret now' }).click();
  await dialog(page).getByText(/It was last used .* Whoever used it will be refused/).waitFor();
  await look(page, 'rotation-end', { full: false, widths: [1280] });
  await dialog(page).getByRole('button', { name: 'End the old secret now' }).click();
  await panel.waitFor({ state: 'detached' });
  assert.equal((await tenant.call('GET', '/api/v1/api-keys/self', { token: key.key })).status, 401);
  assert.equal((await tenant.call('GET', '/api/v1/api-keys/self', { token: secret })).status, 200);
  await page.getByText('dana@acme.com ended the old secret of the key').waitFor();
  assertNoComplaints(page);
  await context.close();
});

test('a_rotation_whose_response_is_lost_is_repeated_and_rotates_once', async () => {
  const tenant = await service.tenant();
  const key = await tenant.create({ name: 'Zapier Sync' });
  const { page, context } = await openConsole(tenant, { at: `#/keys/${key.id}` });
  await page.getByRole('button', { name: 'Rotate' }).click();
  service.proxy.faults.loseResponse = (request) => request.url?.endsWith('/rotate') === true;
  await dialog(page).getByRole('button', { name: 'Rotate' }).click();
  await dialog(page).locator('.problem').waitFor();
  service.proxy.faults.loseResponse = null;
  await look(page, 'rotate-response-lost', { full: false, widths: [1280] });
  await dialog(page).getByRole('button', { name: 'Rotate' }).click();
  const secret = await page.getByLabel('Secret', { exact: true }).inputValue();
  assert.equal((await tenant.call('GET', '/api/v1/api-keys/self', { token: secret })).status, 200);
  // The first secret is still the previous one, so there was one rotation.
  assert.equal((await tenant.call('GET', '/api/v1/api-keys/self', { token: key.key })).status, 200);
  await context.close();
});

test('a_rotation_without_overlap_ends_the_old_secret_at_once', async () => {
  const tenant = await service.tenant();
  const key = await tenant.create({ name: 'Leaked' });
  const { page, context } = await openConsole(tenant, { at: `#/keys/${key.id}` });
  await page.getByRole('button', { name: 'Rotate' }).click();
  await dialog(page).getByRole('radio', { name: 'Not at all' }).check();
  await dialog(page).getByText('Programs that use it fail at once.').waitFor();
  await dialog(page).getByRole('button', { name: 'Rotate' }).click();
  await page.getByLabel('Secret', { exact: true }).waitFor();
  assert.equal((await tenant.call('GET', '/api/v1/api-keys/self', { token: key.key })).status, 401);
  await context.close();
});
