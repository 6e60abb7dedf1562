import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { assertNoComplaints, dialog, look, openConsole } from './support/browser.js';
import { service } from './support/context.js';

test('a_policy_is_tried_before_it_is_saved', async () => {
  const tenant = await service.tenant();
  const used = await tenant.create({ name: 'Used', scopes: 'admin' });
  await tenant.create({ name: 'Unused', expiresAt: new Date(Date.now() + 20 * 86_400_000).toISOString() });
  await tenant.use(used, 'terraform/1.9');
  const stored = async (): Promise<Record<string, unknown>> => (await tenant.call<Record<string, unknown>>('GET', '/api/v1/api-keys/policy')).body;
  const { page, context } = await openConsole(tenant, { at: '#/policy' });
  const life = page.getByLabel('Longest life of a key');
  await life.fill('0');
  await page.getByText('Enter a whole number, 1 to 3,650.').waitFor();
  await life.fill('90');
  await page.getByLabel('Highest permission').selectOption('Read and write');
  await page.locator('[data-breaks="1"]').waitFor();
  const row = page.locator('form tbody tr');
  const text = (await row.innerText()).replace(/\s+/g, ' ');
  assert.match(text, /Used .*life too long.*too much permission.*127\.0\.0\.1 · terraform\/1\.9/);
  assert.equal((await stored()).maxLifetimeDays, null, 'nothing is saved yet');
  await look(page, 'policy');

  await page.getByRole('button', { name: 'Save policy' }).click();
  await dialog(page).getByText('1 key would break these rules').waitFor();
  await look(page, 'policy-confirm', { full: false, widths: [1280] });
  await dialog(page).getByRole('button', { name: 'Save all the same' }).click();
  await page.getByText('The policy is saved and in force.').waitFor();
  assert.deepEqual([(await stored()).maxLifetimeDays, (await stored()).allowedScopes], [90, 'read,write']);
  await page.getByText('1 key breaks the saved policy').waitFor();
  await look(page, 'policy-saved', { widths: [1280] });

  await life.fill('');
  await page.getByLabel('Highest permission').selectOption('No rule');
  await page.getByText('No key would break these rules').waitFor();
  await page.getByRole('button', { name: 'Save policy' }).click();
  await page.getByText('All keys follow the saved policy').waitFor();
  assert.equal((await stored()).maxLifetimeDays, null);
  assertNoComplaints(page);
  await context.close();
});

test('the_audit_trail_filters_and_exports_what_is_filtered', async () => {
  const tenant = await service.tenant();
  const key = await tenant.create({ name: '=cmd,"x"' });
  const other = await tenant.create({ name: 'Other' }, tenant.token({ email: 'kim@acme.com' }));
  await tenant.call('PATCH', `/api/v1/api-keys/${key.id}`, { body: { scopes: 'read,write' } });
  await tenant.call('POST', `/api/v1/api-keys/${key.id}/rotate`, { body: {} });
  await tenant.call('POST', `/api/v1/api-keys/${key.id}/suspend`, { body: { reason: 'Too many writes' } });
  await tenant.call('PUT', '/api/v1/api-keys/policy', { body: { maxLifetimeDays: 365 } });
  await tenant.call('DELETE', `/api/v1/api-keys/${other.id}`);

  const { page, context } = await openConsole(tenant, { at: '#/audit' });
  const events = page.locator('.event-list > li');
  await events.nth(6).waitFor();
  const text = (await page.locator('.event-list').innerText()).replace(/\s+/g, ' ');
  for (const sentence of [
    'dana@acme.com revoked the key “Other”',
    'dana@acme.com changed the policy Longest life in days: None → 365',
    'dana@acme.com suspended the key “=cmd,"x"” Reason: Too many writes',
    'dana@acme.com rotated the key “=cmd,"x"” New secret',
    'dana@acme.com changed the key “=cmd,"x"” Permission: Read → Read and write',
    'kim@acme.com created the key “Other”',
  ]) {
    assert(text.includes(sentence), `${sentence} in ${text}`);
  }
  await look(page, 'audit');

  await page.getByLabel('By', { exact: true }).fill('kim');
  await events.nth(1).waitFor({ state: 'detached' });
  const exported = async (format: string): Promise<string> => {
    const [download] = await Promise.all([page.waitForEvent('download'), page.getByRole('button', { name: `Export ${format}` }).click()]);
    return readFileSync(await download.path(), 'utf8');
  };
  const lines = (await exported('NDJSON')).trim().split('\n');
  assert.equal(lines.length, 1);
  assert.equal((JSON.parse(lines[0] ?? '') as { actor: string }).actor, 'kim@acme.com');
  await page.getByText('Exported 1 event.').waitFor();
  await page.getByRole('button', { name: 'Clear filters' }).click();
  await events.nth(6).waitFor();
  const csv = await exported('CSV');
  assert.equal(csv.trim().split('\r\n').length, 8);
  assert.match(csv, /^occurredAt,type,keyId,actor,address,requestId,id,details\r\n/);

  await page.getByLabel('What happened').selectOption('Changed');
  await events.nth(1).waitFor({ state: 'detached' });
  await page.getByRole('button', { name: 'Clear filters' }).click();
  await events.nth(6).waitFor();
  const today = await page.evaluate(() => new Date().toLocaleDateString('sv'));
  await page.getByLabel('To', { exact: true }).fill('2020-01-01');
  await page.getByText('No event matches.').waitFor();
  await page.getByLabel('To', { exact: true }).fill(today);
  await events.nth(6).waitFor();
  await page.getByLabel('From', { exact: true }).fill(today);
  await events.nth(6).waitFor();
  await page.getByLabel('To', { exact: true }).fill('');
  await page.getByLabel('From', { exact: true }).fill('2099-01-01');
  await page.getByText('No event matches.').waitFor();
  await page.getByRole('button', { name: 'Clear filters' }).click();
  await events.nth(6).waitFor();
  await events.first().getByRole('button', { name: /Only this key ?: Other/ }).click();
  await events.nth(2).waitFor({ state: 'detached' });
  assert.equal(await events.count(), 2);
  assertNoComplaints(page);
  await context.close();
});

test('the_usage_of_the_tenant_is_shown_with_the_keys_that_were_used_last', async () => {
  const tenant = await service.tenant();
  const key = await tenant.create({ name: 'Zapier Sync' });
  await tenant.create({ name: 'Never used' });
  await tenant.use(key, 'zapier/3.2', { times: 3 });
  const { page, context } = await openConsole(tenant, { at: '#/usage' });
  const latest = page.getByRole('region', { name: 'Last used keys' }).locator('tbody tr');
  await latest.first().waitFor();
  assert.deepEqual(await latest.locator('.key-name').allTextContents(), ['Zapier Sync']);
  await page.getByText('3 let in').waitFor();
  await look(page, 'usage');
  await latest.getByRole('link', { name: 'Zapier Sync' }).click();
  await page.getByRole('heading', { name: 'Zapier Sync' }).waitFor();
  assertNoComplaints(page);
  await context.close();
});
