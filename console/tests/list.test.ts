import assert from 'node:assert/strict';
import { test } from 'node:test';
import { assertNoComplaints, look, openConsole } from './support/browser.js';
import { service } from './support/context.js';

const day = 86_400_000;
const inDays = (days: number): string => new Date(Date.now() + days * day).toISOString();

test('a_tenant_without_keys_sees_what_keys_are_and_how_to_begin', async () => {
  const tenant = await service.tenant();
  const { page, context } = await openConsole(tenant);
  await page.getByRole('heading', { name: 'No API key yet' }).waitFor();
  await look(page, 'list-empty');
  await page.getByRole('button', { name: 'Create key' }).click();
  await page.getByRole('dialog', { name: 'Create an API key' }).waitFor();
  await context.close();
});

test('the_list_marks_filters_searches_sorts_and_counts', async () => {
  const tenant = await service.tenant();
  const used = await tenant.create({ name: 'Used', description: 'Nightly sync of deals', scopes: 'read,write', expiresAt: inDays(200) });
  await tenant.create({ name: 'Unused', expiresAt: inDays(200) });
  const idle = await tenant.create({ name: 'Idle', expiresAt: inDays(200) });
  await tenant.create({ name: 'Ending', expiresAt: inDays(10), scopes: 'admin' });
  const suspended = await tenant.create({ name: 'Suspended key' });
  const revoked = await tenant.create({ name: 'Revoked key' });
  const rotated = await tenant.create({ name: 'Rotated' }, tenant.token({ email: 'kim@acme.com' }));
  await tenant.use(used, 'etl/2.1', { times: 3 });
  await tenant.call('POST', `/api/v1/api-keys/${suspended.id}/suspend`, { body: {} });
  await tenant.call('DELETE', `/api/v1/api-keys/${revoked.id}`);
  await tenant.call('POST', `/api/v1/api-keys/${rotated.id}/rotate`, { body: {} });
  service.sql(`UPDATE public.api_keys SET created_at = created_at - interval '100 days' WHERE id = '${idle.id}'`);

  const { page, context } = await openConsole(tenant);
  const rows = page.locator('tbody tr');
  const names = async (): Promise<string[]> => page.locator('.key-name').allTextContents();
  await rows.nth(6).waitFor();
  assert.deepEqual(await names(), ['Rotated', 'Revoked key', 'Suspended key', 'Ending', 'Unused', 'Used', 'Idle']);

  const row = (name: string) => rows.filter({ has: page.getByRole('link', { name, exact: true }) });
  await row('Used').getByRole('img', { name: '3 requests in the last 30 days' }).waitFor();
  assert.match((await row('Used').textContent()) ?? '', /rk_live_….{4}/);
  assert.match((await row('Used').textContent()) ?? '', /by dana@acme\.com/);
  await row('Unused').getByText('Never used', { exact: true }).waitFor();
  await row('Idle').getByText('Idle', { exact: true }).last().waitFor();
  await row('Ending').getByText('Expires soon').waitFor();
  await row('Rotated').getByText('Old secret works').waitFor();
  await look(page, 'list');

  for (const [filter, expected] of [
    [/^Active 5/, ['Rotated', 'Ending', 'Unused', 'Used', 'Idle']],
    [/^Suspended 1/, ['Suspended key']],
    [/^Expired 0/, []],
    [/^Revoked 1/, ['Revoked key']],
    [/^Old secret still works 1/, ['Rotated']],
    [/^Expires within 30 days 1/, ['Ending']],
    [/^Idle for 90 days 1/, ['Idle']],
    [/^Never used 5/, ['Idle', 'Unused', 'Ending', 'Suspended key', 'Rotated']],
    [/^All 7/, ['Rotated', 'Revoked key', 'Suspended key', 'Ending', 'Unused', 'Used', 'Idle']],
  ] as const) {
    const button = page.getByRole('button', { name: filter });
    await button.click();
    assert.equal(await button.getAttribute('aria-pressed'), 'true');
    await page.waitForFunction(
      (count) => {
        const list = document.querySelector('rally-console')?.shadowRoot?.querySelector('rally-api-keys')?.shadowRoot;
        return list?.querySelector('.busy') === null && list.querySelectorAll('tbody tr').length === count;
      },
      expected.length,
    );
    assert.deepEqual((await names()).sort(), [...expected].sort(), String(filter));
    if (filter.source.startsWith('^Never used')) {
      // The order that these have, not the one that was chosen before.
      assert.equal(await page.getByLabel('Order').inputValue(), 'lastUsedAt');
      await page.locator('th[aria-sort=ascending]', { hasText: 'Last used' }).waitFor();
    }
  }
  await page.getByRole('button', { name: /^Expired/ }).click();
  await page.getByRole('heading', { name: 'No key matches' }).waitFor();
  await look(page, 'list-nothing-found');
  await page.getByRole('button', { name: 'Clear search and filters' }).click();
  await rows.nth(6).waitFor();

  // In the description, by the last 4 digits, and nothing.
  const search = page.getByRole('searchbox', { name: 'Search' });
  for (const text of ['sync of DEALS', used.keyHint.slice(-4)]) {
    await search.fill(text);
    await rows.nth(1).waitFor({ state: 'detached' });
    assert.deepEqual(await names(), ['Used']);
  }
  await search.fill('');
  await rows.nth(6).waitFor();

  await page.getByLabel('Permission').selectOption('Administer');
  await rows.nth(1).waitFor({ state: 'detached' });
  assert.deepEqual(await names(), ['Ending']);
  await page.getByLabel('Permission').selectOption('Any');
  await page.getByLabel('Created by').selectOption('kim@acme.com');
  await rows.nth(1).waitFor({ state: 'detached' });
  assert.deepEqual(await names(), ['Rotated']);
  await page.getByLabel('Created by').selectOption('Anyone');
  await rows.nth(6).waitFor();

  await page.getByRole('button', { name: 'Name', exact: true }).click();
  await page.locator('th[aria-sort=ascending]', { hasText: 'Name' }).waitFor();
  await page.waitForTimeout(200);
  assert.deepEqual(await names(), ['Ending', 'Idle', 'Revoked key', 'Rotated', 'Suspended key', 'Unused', 'Used']);
  assert.equal(await page.getByLabel('Order').inputValue(), 'name');
  // Chosen by hand, left for a list with an order of its own, and back.
  await page.getByLabel('Order').selectOption('-name');
  for (const order of ['lastUsedAt', '-name']) {
    await page.getByRole('button', { name: /^Never used/ }).click();
    await page.waitForTimeout(500);
    assert.equal(await page.getByLabel('Order').inputValue(), order);
  }
  assertNoComplaints(page);
  await context.close();
});

test('a_list_of_more_keys_than_a_page_is_turned_page_by_page', async () => {
  const tenant = await service.tenant();
  for (let count = 1; count <= 55; count++) await tenant.create({ name: `Key ${String(count).padStart(3, '0')}` });
  const { page, context } = await openConsole(tenant);
  await page.getByText('1–50 of 55').waitFor();
  assert.equal(await page.getByRole('button', { name: 'Previous' }).isDisabled(), true);
  await page.getByRole('button', { name: 'Next' }).click();
  await page.getByText('51–55 of 55').waitFor();
  assert.deepEqual(await page.locator('.key-name').allTextContents(), ['Key 005', 'Key 004', 'Key 003', 'Key 002', 'Key 001']);
  assert.equal(await page.getByRole('button', { name: 'Next' }).isDisabled(), true);

  // From a key back to the same page, with the focus where it was.
  await page.getByRole('link', { name: 'Key 003' }).click();
  await page.getByRole('heading', { name: 'Key 003' }).waitFor();
  await page.getByRole('link', { name: 'All keys' }).click();
  await page.getByText('51–55 of 55').waitFor();
  await page.waitForFunction(() => {
    const root = document.querySelector('rally-console')?.shadowRoot?.querySelector('rally-api-keys')?.shadowRoot;
    return root?.activeElement?.textContent === 'Key 003';
  });
  await page.getByRole('button', { name: 'Previous' }).click();
  await page.getByText('1–50 of 55').waitFor();
  assertNoComplaints(page);
  await context.close();
});

test('a_reader_is_offered_no_change', async () => {
  const tenant = await service.tenant();
  const key = await tenant.create({ name: 'Zapier Sync' });
  const { page, context } = await openConsole(tenant, { token: tenant.token({ scopes: 'read', email: 'reader@acme.com' }) });
  await page.getByRole('link', { name: 'Zapier Sync' }).waitFor();
  await page.getByText('You can look at everything').waitFor();
  assert.equal(await page.getByRole('button', { name: 'Create key' }).count(), 0);
  await look(page, 'list-reader');
  await page.getByRole('link', { name: 'Zapier Sync' }).click();
  await page.getByRole('heading', { name: 'What happened' }).waitFor();
  for (const action of ['Edit', 'Rotate', 'Suspend', 'Revoke']) {
    assert.equal(await page.getByRole('button', { name: action, exact: true }).count(), 0, action);
  }
  await page.goto(`${tenant.origin}/console#token=${tenant.token({ scopes: 'read' })}`);
  await page.getByRole('link', { name: 'Policy' }).click();
  await page.getByText('Changing the policy needs the admin permission.').waitFor();
  assert.equal(await page.getByRole('button', { name: /policy|changes/i }).count(), 0);
  assert.equal(await page.getByLabel('Longest life of a key').isDisabled(), true);
  assert.ok(key.id);
  await context.close();
});

test('times_are_in_the_readers_zone_with_the_exact_instant_on_hover', async () => {
  const tenant = await service.tenant();
  await tenant.create({ name: 'Zapier Sync', expiresAt: '2031-01-15T23:30:00Z' });
  const titles: (string | null)[] = [];
  for (const [timezone, shown] of [
    ['Asia/Tokyo', '16 Jan 2031'],
    ['America/New_York', '15 Jan 2031'],
  ] as const) {
    const { page, context } = await openConsole(tenant, { timezone });
    const expires = page.locator('time[datetime="2031-01-15T23:30:00Z"]');
    await expires.waitFor();
    assert.equal(await expires.textContent(), shown);
    titles.push(await expires.getAttribute('title'));
    await context.close();
  }
  assert.match(titles[0] ?? '', /16 January 2031.*08:30:00 (GMT\+9|JST)/);
  assert.match(titles[1] ?? '', /15 January 2031.*18:30:00 (GMT-5|EST)/);
});

test('the_page_is_mirrored_where_the_language_is_written_from_right_to_left', async () => {
  const tenant = await service.tenant();
  await tenant.create({ name: 'Zapier Sync' });
  const { page, context } = await openConsole(tenant);
  const name = page.getByRole('link', { name: 'Zapier Sync' });
  await name.waitFor();
  const left = (await name.boundingBox())?.x ?? 0;
  await page.evaluate(() => document.documentElement.setAttribute('dir', 'rtl'));
  const box = await name.boundingBox();
  assert(box !== null && box.x > left + 600, 'the name is on the right');
  await look(page, 'list-right-to-left', { widths: [1280] });
  await context.close();
});
