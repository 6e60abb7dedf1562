import assert from 'node:assert/strict';
import { test } from 'node:test';
import { assertNoComplaints, dialog, dialogLeft, look, openConsole } from './support/browser.js';
import { service } from './support/context.js';

test('a_key_is_created_by_keyboard_alone_and_its_secret_is_shown_once', async () => {
  const tenant = await service.tenant();
  await tenant.create({ name: 'Other' });
  const { page, context } = await openConsole(tenant);
  await context.grantPermissions(['clipboard-read', 'clipboard-write'], { origin: tenant.origin });
  const open = page.getByRole('button', { name: 'Create key' });
  await open.waitFor();
  await open.focus();
  await page.keyboard.press('Enter');
  await dialog(page).waitFor();
  assert.equal(await page.getByLabel('Name').evaluate((field) => field === (field.getRootNode() as ShadowRoot).activeElement), true, 'the name has the focus');
  await look(page, 'create', { full: false });
  await page.getByLabel('Name').focus();

  await page.keyboard.type('Zapier Sync');
  await page.keyboard.press('Tab');
  await page.keyboard.type('Syncs deals');
  await page.keyboard.press('Tab');
  await page.keyboard.press('ArrowDown');
  assert.equal(await page.getByRole('radio', { name: 'Read and write' }).isChecked(), true);
  await page.keyboard.press('Tab');
  await page.keyboard.press('ArrowLeft');
  assert.equal(await page.getByRole('radio', { name: '30 days' }).isChecked(), true);
  await page.keyboard.press('Enter');

  const secret = page.getByLabel('Secret', { exact: true });
  await secret.waitFor();
  const value = await secret.inputValue();
  assert.match(value, /^rk_live_[0-9a-f]{32}$/);
  assert.equal(await secret.evaluate((field) => field === (field.getRootNode() as ShadowRoot).activeElement), true, 'the secret has the focus');
  await page.getByRole('button', { name: 'Copy secret' }).click();
  assert.equal(await page.evaluate(() => navigator.clipboard.readText()), value);
  await page.getByText('Copied').first().waitFor();

  // The snippets name the real host and hold no secret; the first one works as it stands.
  await page.getByText(`curl ${tenant.origin}/api/v1/api-keys/self`).waitFor();
  for (const tab of ['Python', 'Node.js']) {
    await page.keyboard.press('Tab');
    await page.getByRole('tab', { name: tab }).click();
    const snippet = (await page.getByRole('tabpanel').textContent()) ?? '';
    assert(snippet.includes(`${tenant.origin}/api/v1/api-keys/self`), tab);
    assert(!snippet.includes(value));
  }
  await look(page, 'secret', { full: false });

  // It cannot be closed by accident.
  await page.keyboard.press('Escape');
  await page.keyboard.press('Escape');
  await page.getByText('Store the secret first').waitFor();
  assert.equal(await secret.inputValue(), value);
  assert.equal(await page.getByRole('button', { name: 'Done' }).isDisabled(), true);
  await page.getByLabel('I have stored the secret').check();
  await page.getByRole('button', { name: 'Done' }).click();
  await dialogLeft(page);
  assert.equal(await open.evaluate((button) => button === (button.getRootNode() as ShadowRoot).activeElement), true, 'the focus is back');

  await page.getByRole('link', { name: 'Zapier Sync' }).waitFor();
  const { body } = await tenant.call<{ name: string; scopes: string; expiresAt: string; description: string }[]>('GET', '/api/v1/api-keys?search=Zapier');
  assert.equal(body.length, 1);
  assert.equal(body[0]?.scopes, 'read,write');
  assert.equal(body[0]?.description, 'Syncs deals');
  const days = (Date.parse(body[0]?.expiresAt ?? '') - Date.now()) / 86_400_000;
  assert(days > 29.9 && days <= 30, `${days}`);
  assertNoComplaints(page);
  await context.close();
});

test('limits_and_a_custom_end_are_stored_as_entered', async () => {
  const tenant = await service.tenant();
  const { page, context } = await openConsole(tenant);
  await page.getByRole('button', { name: 'Create key' }).click();
  await page.getByLabel('Name').fill('Limited');
  await page.getByRole('radio', { name: 'Other' }).check();
  await page.getByLabel('Ends at').fill('2031-05-01T12:30');
  await page.getByText('Limits', { exact: true }).click();
  await page.getByLabel('Allowed addresses').fill('203.0.113.7\n2001:db8::/32');
  await page.getByLabel('Rate limit').fill('600');
  await page.getByLabel('Quota').fill('100000');
  await page.locator('[id$=quota-per]').selectOption('month');
  await look(page, 'create-limits', { full: false });
  await page.getByRole('button', { name: 'Create key' }).last().click();
  await page.getByLabel('Secret', { exact: true }).waitFor();
  const { body } = await tenant.call<Record<string, unknown>[]>('GET', '/api/v1/api-keys');
  assert.deepEqual(body[0]?.allowedAddresses, ['203.0.113.7', '2001:db8::/32']);
  assert.deepEqual(body[0]?.rateLimit, { requests: 600, windowSeconds: 60 });
  assert.deepEqual(body[0]?.quota, { requests: 100_000, per: 'month' });
  // Berlin, in summer.
  assert.equal(body[0]?.expiresAt, '2031-05-01T10:30:00Z');
  await context.close();
});

test('a_key_without_an_end_comes_with_a_warning', async () => {
  const tenant = await service.tenant();
  const { page, context } = await openConsole(tenant);
  await page.getByRole('button', { name: 'Create key' }).click();
  await page.getByRole('radio', { name: 'Never' }).check();
  await page.getByText('works until somebody revokes it').waitFor();
  await look(page, 'create-never', { full: false, widths: [1280] });
  await context.close();
});

test('bad_input_is_shown_at_its_field_in_the_words_of_the_service', async () => {
  const tenant = await service.tenant();
  const { page, context } = await openConsole(tenant);
  await page.getByRole('button', { name: 'Create key' }).click();
  const submit = page.getByRole('button', { name: 'Create key' }).last();
  await submit.click();
  await page.getByText('Enter a name.').waitFor();
  assert.equal(await page.getByLabel('Name').getAttribute('aria-invalid'), 'true');

  await page.getByLabel('Name').fill(`rk_live_${'0'.repeat(32)}`);
  await page.getByText('Limits', { exact: true }).click();
  await page.getByLabel('Allowed addresses').fill('203.0.113.7\n10.1.2.3/8\nnonsense');
  await page.getByLabel('Rate limit').fill('9999999');
  await submit.click();
  await page.getByText(/Line 2 \(10\.1\.2\.3\/8\): .*10\.0\.0\.0\/8/).waitFor();
  await page.getByText(/Line 3 \(nonsense\)/).waitFor();
  assert.equal(await page.getByLabel('Name').getAttribute('aria-invalid'), 'true');
  assert.equal(await page.getByLabel('Rate limit').getAttribute('aria-invalid'), 'true');
  await look(page, 'create-bad-input', { full: false });
  assert.equal((await tenant.call<unknown[]>('GET', '/api/v1/api-keys')).body.length, 0);
  await context.close();
});

test('the_policy_narrows_what_is_offered_and_what_breaks_it_is_shown', async () => {
  const tenant = await service.tenant();
  await tenant.call('PUT', '/api/v1/api-keys/policy', { body: { maxLifetimeDays: 60, allowedScopes: 'read,write', requireAllowedAddresses: true, maxActiveKeys: 1 } });
  const { page, context } = await openConsole(tenant);
  await page.getByRole('button', { name: 'Create key' }).click();
  await page.getByText('keys end within 60 days').waitFor();
  assert.equal(await page.getByRole('radio', { name: '30 days' }).isChecked(), true);
  for (const preset of ['90 days', '1 year', 'Never']) assert.equal(await page.getByRole('radio', { name: preset }).isDisabled(), true, preset);
  assert.equal(await page.getByRole('radio', { name: 'Administer' }).isDisabled(), true);
  await look(page, 'create-policy', { full: false });

  await page.getByLabel('Name').fill('First');
  await page.getByRole('button', { name: 'Create key' }).last().click();
  await page.locator('.field-error').first().waitFor();
  assert.equal(await page.getByLabel('Allowed addresses').getAttribute('aria-invalid'), 'true');
  await tenant.create({ name: 'Meanwhile', expiresAt: new Date(Date.now() + 86_400_000).toISOString(), allowedAddresses: ['203.0.113.7'] });
  await page.getByLabel('Allowed addresses').fill('203.0.113.7');
  await page.getByRole('button', { name: 'Create key' }).last().click();
  const problem = page.locator('[data-code=policy_violation]');
  await problem.waitFor();
  assert.match((await problem.textContent()) ?? '', /Your policy does not allow this.*Request id/s);
  await look(page, 'create-422', { full: false });
  await context.close();
});

test('a_creation_whose_response_is_lost_is_repeated_and_creates_one_key', async () => {
  const tenant = await service.tenant();
  const { page, context } = await openConsole(tenant);
  await page.getByRole('button', { name: 'Create key' }).click();
  await page.getByLabel('Name').fill('Lost');
  const isCreation = (request: { method?: string; url?: string }): boolean => request.method === 'POST' && request.url === '/api/v1/api-keys';
  let lost = 0;
  // Chromium itself repeats a POST whose connection breaks, where the connection was used before.
  service.proxy.faults.loseResponse = (request) => isCreation(request) && ++lost <= 2;
  await page.getByRole('button', { name: 'Create key' }).last().click();
  const secret = page.getByLabel('Secret', { exact: true });
  const failed = page.locator('.problem');
  await secret.or(failed).waitFor();
  service.proxy.faults.loseResponse = null;
  if (await failed.isVisible()) await page.getByRole('button', { name: 'Create key' }).last().click();
  await secret.waitFor();
  assert(lost >= 1);
  const { body } = await tenant.call<{ name: string }[]>('GET', '/api/v1/api-keys');
  assert.deepEqual(body.map(({ name }) => name), ['Lost']);
  assert.equal((await tenant.call('GET', '/api/v1/api-keys/self', { token: await secret.inputValue() })).status, 200);
  await context.close();
});

test('another_draft_after_a_lost_response_is_another_creation', async () => {
  const tenant = await service.tenant();
  const { page, context } = await openConsole(tenant);
  await page.getByRole('button', { name: 'Create key' }).click();
  await page.getByLabel('Name').fill('First');
  service.proxy.faults.loseResponse = (request) => request.method === 'POST' && request.url === '/api/v1/api-keys';
  await page.getByRole('button', { name: 'Create key' }).last().click();
  await page.locator('.problem').waitFor();
  service.proxy.faults.loseResponse = null;
  await look(page, 'create-response-lost', { full: false });
  await page.getByLabel('Name').fill('Second');
  await page.getByRole('button', { name: 'Create key' }).last().click();
  await page.getByLabel('Secret', { exact: true }).waitFor();
  const { body } = await tenant.call<{ name: string }[]>('GET', '/api/v1/api-keys');
  assert.deepEqual(body.map(({ name }) => name), ['Second', 'First']);
  await context.close();
});
