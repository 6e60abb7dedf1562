import assert from 'node:assert/strict';
import { test } from 'node:test';
import { assertNoComplaints, dialog, dialogLeft, look, openConsole } from './support/browser.js';
import { service } from './support/context.js';

interface Stored {
  name: string;
  description: string | null;
  scopes: string;
  status: string;
  suspendedUntil: string | null;
}

test('a_key_shows_its_use_by_hour_and_day_with_refusals_and_callers_and_events_in_words', async () => {
  const tenant = await service.tenant();
  const key = await tenant.create({ name: 'Zapier Sync', description: 'Syncs deals every night.', scopes: 'read', rateLimit: { requests: 1000, windowSeconds: 60 }, quota: { requests: 100, per: 'day' } });
  await tenant.use(key, 'etl/2.1', { times: 4 });
  await tenant.use(key, 'zapier/3.2', { times: 2 });
  // A refusal: the key may not create keys.
  await tenant.call('POST', '/api/v1/api-keys', { token: key.key, body: { name: 'x' } });
  service.sql(`
    INSERT INTO public.api_key_usage (tenant_id, key_id, hour, requests, denied_expired, denied_scope, denied_revoked, denied_rate_limit)
    SELECT tenant_id, id, date_trunc('hour', now(), 'UTC') - make_interval(hours => h), 20 + h % 17, 0, CASE WHEN h % 5 = 0 THEN 3 ELSE 0 END, 0, CASE WHEN h BETWEEN 100 AND 110 THEN 9 ELSE 0 END
    FROM public.api_keys, generate_series(2, 600) h WHERE id = '${key.id}'`);
  await tenant.call('PATCH', `/api/v1/api-keys/${key.id}`, { body: { scopes: 'read,write' } });

  const { page, context } = await openConsole(tenant, { at: `#/keys/${key.id}` });
  await page.getByRole('heading', { name: 'Zapier Sync' }).waitFor();
  await page.getByText('dana@acme.com changed the key').waitFor();
  await page.getByText('Permission: Read → Read and write').waitFor();
  await page.getByText('1,000 requests in each minute').waitFor();
  const callers = page.getByRole('region', { name: 'Who used it in the last 30 days' });
  await callers.getByText('etl/2.1').waitFor();
  await callers.getByText('127.0.0.1').first().waitFor();
  const legend = page.locator('.legend');
  await legend.getByText('Permission missing').waitFor();
  await legend.getByText('Over the rate limit').waitFor();
  await page.getByText(/of 100 used/).waitFor();

  await page.getByRole('button', { name: '24 hours' }).click();
  await page.waitForFunction(() => document.querySelector('rally-console')?.shadowRoot?.querySelector('rally-api-keys')?.shadowRoot?.querySelectorAll('.bucket').length === 24);
  await page.getByRole('button', { name: '30 days' }).click();
  await page.waitForFunction(() => document.querySelector('rally-console')?.shadowRoot?.querySelector('rally-api-keys')?.shadowRoot?.querySelectorAll('.bucket').length === 30);

  // The numbers of a bar, by keyboard.
  await page.getByRole('img', { name: /Requests over time/ }).focus();
  await page.keyboard.press('End');
  await page.locator('.chart-readout').getByText(/requests/).waitFor();
  await page.getByText('Show as a table').click();
  assert((await page.locator('.chart-table tbody tr').count()) >= 20);
  await page.getByText('Show as a table').click();
  await look(page, 'key');
  await context.close();
});

test('an_edit_sends_only_what_changed', async () => {
  const tenant = await service.tenant();
  const key = await tenant.create({ name: 'Zapier Sync', scopes: 'admin', expiresAt: '2031-01-15T23:30:59Z' });
  const { page, context } = await openConsole(tenant, { at: `#/keys/${key.id}` });
  await page.getByRole('button', { name: 'Edit' }).click();
  await page.getByLabel('Name').fill('Zapier Sync 2');
  await look(page, 'edit', { full: false });
  await page.getByRole('radio', { name: /^Read Sees/ }).check();
  await page.getByRole('button', { name: 'Save changes' }).click();
  await page.getByRole('heading', { name: 'Zapier Sync 2' }).waitFor();
  const { body } = await tenant.call<{ type: string; details: object }[]>('GET', `/api/v1/api-keys/${key.id}/events?limit=1`);
  assert.deepEqual(Object.keys(body[0]?.details ?? {}).filter((name) => !name.startsWith('actor')).sort(), ['name', 'scopes']);
  // The focus is back on the button that opened the dialog.
  await page.waitForFunction(() => document.querySelector('rally-console')?.shadowRoot?.querySelector('rally-api-keys')?.shadowRoot?.activeElement?.getAttribute('data-action') === 'edit');
  assertNoComplaints(page);
  await context.close();
});

test('two_tabs_that_edit_one_key_see_what_the_other_changed', async () => {
  const tenant = await service.tenant();
  const key = await tenant.create({ name: 'Zapier Sync', description: 'One' });
  const stored = async (): Promise<Stored> => (await tenant.call<Stored>('GET', `/api/v1/api-keys/${key.id}`)).body;
  const { page: first, context } = await openConsole(tenant, { at: `#/keys/${key.id}` });
  const { page: second } = await openConsole(tenant, { at: `#/keys/${key.id}`, context, token: tenant.token({ email: 'kim@acme.com' }) });
  for (const page of [first, second]) await page.getByRole('button', { name: 'Edit' }).click();
  const edit = async (page: typeof first, description: string): Promise<void> => {
    await page.getByLabel('Description').fill(description);
    await page.getByRole('button', { name: 'Save changes' }).click();
  };

  await second.getByLabel('Name').fill('Renamed by Kim');
  await edit(second, 'Two, by Kim');
  await dialogLeft(second);
  await edit(first, 'Three, by Dana');
  await first.getByRole('dialog', { name: 'Somebody else has changed this key' }).waitFor();
  const conflict = dialog(first);
  await conflict.getByText('kim@acme.com changed it while you were editing').waitFor();
  const cells = await conflict.locator('tbody tr').allInnerTexts();
  assert.deepEqual(
    cells.map((row) => row.split('\t').map((cell) => cell.trim())),
    [
      ['Name', 'Zapier Sync', 'Renamed by Kim', 'not changed'],
      ['Description', 'One', 'Two, by Kim', 'Three, by Dana'],
    ],
  );
  await look(first, 'edit-412', { full: false });
  await first.getByRole('button', { name: 'Save mine all the same' }).click();
  await dialogLeft(first);
  // Mine goes over theirs only where I changed something.
  assert.deepEqual([(await stored()).name, (await stored()).description], ['Renamed by Kim', 'Three, by Dana']);

  // The other way round, and theirs is taken.
  for (const page of [first, second]) {
    await page.getByRole('button', { name: 'Edit' }).click();
  }
  await edit(first, 'Four, by Dana');
  await dialogLeft(first);
  await edit(second, 'Five, by Kim');
  await second.getByRole('button', { name: 'Take theirs' }).click();
  await dialogLeft(second);
  assert.equal((await stored()).description, 'Four, by Dana');
  await second.locator('.view-head').getByText('Four, by Dana').waitFor();
  assertNoComplaints(first);
  assertNoComplaints(second);
  await context.close();
});

test('a_key_that_was_revoked_meanwhile_cannot_be_edited_or_rotated_and_says_so', async () => {
  const tenant = await service.tenant();
  const key = await tenant.create({ name: 'Zapier Sync' });
  const { page, context } = await openConsole(tenant, { at: `#/keys/${key.id}` });
  await page.getByRole('button', { name: 'Rotate' }).click();
  await tenant.call('DELETE', `/api/v1/api-keys/${key.id}`);
  await dialog(page).getByRole('button', { name: 'Rotate' }).click();
  await page.locator('[data-code=key_revoked]').waitFor();
  await look(page, 'rotate-409', { full: false });
  await dialog(page).getByRole('button', { name: 'Cancel' }).click();
  await page.getByRole('button', { name: 'Edit' }).click();
  await page.getByLabel('Name').fill('Other');
  await page.getByRole('button', { name: 'Save changes' }).click();
  await page.getByText('was revoked in the meantime').waitFor();
  assert.equal(await page.getByRole('button', { name: 'Save mine all the same' }).count(), 0);
  await page.getByRole('button', { name: 'Take theirs' }).click();
  await page.getByText('This key was revoked for good.').waitFor();
  await context.close();
});

test('a_key_is_suspended_until_a_time_and_resumed', async () => {
  const tenant = await service.tenant();
  const key = await tenant.create({ name: 'Zapier Sync' });
  const stored = async (): Promise<Stored> => (await tenant.call<Stored>('GET', `/api/v1/api-keys/${key.id}`)).body;
  const { page, context } = await openConsole(tenant, { at: `#/keys/${key.id}` });
  await page.getByRole('button', { name: 'Suspend' }).click();
  await page.getByRole('radio', { name: '1 day' }).check();
  await page.getByLabel('Reason').fill('Too many writes');
  await look(page, 'suspend', { full: false });
  await dialog(page).getByRole('button', { name: 'Suspend' }).click();
  await page.getByText('This key is suspended until').waitFor();
  await page.getByText('Reason: Too many writes').waitFor();
  const { status, suspendedUntil } = await stored();
  assert.equal(status, 'suspended');
  assert(Math.abs(Date.parse(suspendedUntil ?? '') - Date.now() - 86_400_000) < 60_000);
  assert.equal((await tenant.call<{ code: string }>('GET', '/api/v1/api-keys/self', { token: key.key })).body.code, 'key_suspended');
  await look(page, 'key-suspended');

  await page.getByRole('button', { name: 'Resume' }).click();
  await look(page, 'resume', { full: false, widths: [1280] });
  await dialog(page).getByRole('button', { name: 'Resume' }).click();
  await page.getByRole('button', { name: 'Suspend' }).waitFor();
  assert.equal((await stored()).status, 'active');
  // The button that had the focus is gone: the heading has it.
  await page.waitForFunction(() => document.querySelector('rally-console')?.shadowRoot?.querySelector('rally-api-keys')?.shadowRoot?.activeElement !== null);
  assertNoComplaints(page);
  await context.close();
});

test('a_key_in_use_is_revoked_only_after_its_callers_are_shown_and_its_name_is_typed', async () => {
  const tenant = await service.tenant();
  const key = await tenant.create({ name: 'Zapier Sync' });
  await tenant.use(key, 'zapier/3.2');
  const { page, context } = await openConsole(tenant, { at: `#/keys/${key.id}` });
  await page.getByRole('button', { name: 'Revoke' }).click();
  await dialog(page).getByText('zapier/3.2').waitFor();
  await look(page, 'revoke', { full: false });
  const revoke = dialog(page).getByRole('button', { name: 'Revoke for good' });
  await revoke.click();
  await dialog(page).getByText('This is not the name of the key.').waitFor();
  assert.equal((await tenant.call<Stored>('GET', `/api/v1/api-keys/${key.id}`)).body.status, 'active');

  // "Suspend first" leads there.
  await dialog(page).getByRole('button', { name: 'Suspend instead' }).click();
  await page.getByRole('dialog', { name: 'Suspend “Zapier Sync”' }).waitFor();
  await dialog(page).getByRole('button', { name: 'Cancel' }).click();

  await page.getByRole('button', { name: 'Revoke' }).click();
  await dialog(page).getByLabel(/Type its name/).fill('Zapier Sync');
  await dialog(page).getByLabel(/Reason/).fill(`leaked: ${key.key}`);
  await revoke.click();
  await dialog(page).locator('.field-error').filter({ hasText: 'secret' }).waitFor();
  await dialog(page).getByLabel(/Reason/).fill('Replaced & retired');
  await revoke.click();
  await dialog(page).getByText(/^Proven: no instance of the service accepts it any more\. Instances: 1, the slowest within [\d.,]+ ms\.$/).waitFor();
  await look(page, 'revoke-proven', { full: false, widths: [1280] });
  await dialog(page).locator('.dialog-foot').getByRole('button', { name: 'Close' }).click();
  await dialogLeft(page);
  await page.getByText('This key was revoked for good.').waitFor();
  await page.getByText('Reason: Replaced & retired').waitFor();
  await page.getByText(/^Instances: 1, the slowest within/).waitFor();
  assert.equal((await tenant.call<Stored>('GET', `/api/v1/api-keys/${key.id}`)).body.status, 'revoked');
  assert.equal(await page.getByRole('button', { name: 'Edit' }).count(), 0);
  await page.waitForFunction(() => document.querySelector('rally-console')?.shadowRoot?.querySelector('rally-api-keys')?.shadowRoot?.activeElement?.classList.contains('title'));
  await look(page, 'key-revoked');
  // The list knows it too.
  await page.getByRole('link', { name: 'All keys' }).click();
  await page.locator('tbody').getByText('Revoked').waitFor();
  await context.close();
});

test('a_key_that_nobody_uses_is_revoked_without_typing', async () => {
  const tenant = await service.tenant();
  const key = await tenant.create({ name: 'Unused' });
  const { page, context } = await openConsole(tenant, { at: `#/keys/${key.id}` });
  await page.getByRole('button', { name: 'Revoke' }).click();
  await dialog(page).getByText('No use is recorded in the last 24 hours.').waitFor();
  assert.equal(await dialog(page).getByLabel(/Type its name/).count(), 0);
  await look(page, 'revoke-unused', { full: false, widths: [1280] });
  await dialog(page).getByRole('button', { name: 'Revoke for good' }).click();
  await dialog(page).getByText(/^Proven: /).waitFor();
  await dialog(page).locator('.dialog-foot').getByRole('button', { name: 'Close' }).click();
  await dialogLeft(page);
  await page.getByText('This key was revoked for good.').waitFor();
  await context.close();
});
