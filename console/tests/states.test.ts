import assert from 'node:assert/strict';
import { test } from 'node:test';
import { assertNoComplaints, dialog, look, openConsole } from './support/browser.js';
import { service } from './support/context.js';

test('without_a_token_the_page_explains_and_takes_a_pasted_one', async () => {
  const tenant = await service.tenant();
  await tenant.create({ name: 'Zapier Sync' });
  const { page, context } = await openConsole(tenant, { token: '' });
  await page.getByRole('heading', { name: 'Open the console with a token' }).waitFor();
  await look(page, 'sign-in-paste');
  await page.getByRole('button', { name: 'Open console' }).click();
  await page.getByText('Paste a token.').waitFor();
  await page.getByLabel('Token').fill(tenant.token());
  await page.keyboard.press('Enter');
  await page.getByRole('link', { name: 'Zapier Sync' }).waitFor();
  assert.equal(new URL(page.url()).hash, '');
  await page.getByRole('button', { name: 'Sign out' }).click();
  await page.getByRole('heading', { name: 'Open the console with a token' }).waitFor();
  assert.equal(await page.getByText('Zapier Sync').count(), 0);
  assertNoComplaints(page);
  await context.close();
});

test('a_session_that_ends_in_the_middle_of_a_form_loses_nothing', async () => {
  const tenant = await service.tenant();
  const { page, context } = await openConsole(tenant, { token: tenant.token({ seconds: 4 }) });
  await page.getByRole('button', { name: 'Create key' }).click();
  await page.getByLabel('Name').fill('Half entered');
  await page.waitForTimeout(4_200);
  await page.getByRole('button', { name: 'Create key' }).last().click();
  const session = page.getByRole('dialog', { name: 'Your session has ended' });
  await session.waitFor();
  await look(page, 'session-ended', { full: false });
  await session.getByLabel('Token').fill(tenant.token());
  await page.keyboard.press('Enter');
  await session.waitFor({ state: 'detached' });
  assert.equal(await page.getByLabel('Name').inputValue(), 'Half entered');
  await page.getByRole('button', { name: 'Create key' }).last().click();
  await page.getByLabel('Secret', { exact: true }).waitFor();
  await context.close();
});

test('a_token_that_the_service_refuses_is_401_with_a_way_to_sign_in_again', async () => {
  const tenant = await service.tenant();
  const now = Math.floor(Date.now() / 1000);
  const forged = service.sign({ sub: 'eve', email: 'eve@acme.com', iat: now, exp: now + 3_600, tenant: tenant.slug, scope: 'admin' }, 'another secret of more than 32 bytes');
  const { page, context } = await openConsole(tenant, { token: forged });
  const problem = page.locator('[data-code=invalid_token]');
  await problem.first().waitFor();
  assert.match((await problem.first().textContent()) ?? '', /Request id/);
  await look(page, 'list-401');
  await problem.first().getByRole('button', { name: 'Sign in again' }).click();
  await page.getByRole('dialog', { name: 'Your session has ended' }).waitFor();
  await context.close();
});

test('a_token_of_another_tenant_is_403', async () => {
  const [tenant, other] = [await service.tenant(), await service.tenant()];
  const { page, context } = await openConsole(tenant, { token: other.token() });
  const problem = page.locator('[data-code=wrong_tenant]').first();
  await problem.waitFor();
  assert.match((await problem.textContent()) ?? '', /You may not do this.*Request id/s);
  await look(page, 'list-403');
  await context.close();
});

test('an_unknown_key_is_404_and_leads_back', async () => {
  const tenant = await service.tenant();
  await tenant.create({ name: 'Zapier Sync' });
  const { page, context } = await openConsole(tenant, { at: '#/keys/a1b2c3d4-e5f6-7890-abcd-ef1234567890' });
  await page.locator('[data-code=key_not_found]').waitFor();
  await look(page, 'key-404');
  await page.getByRole('link', { name: 'All keys' }).click();
  await page.getByRole('link', { name: 'Zapier Sync' }).waitFor();
  await context.close();
});

test('a_caller_beyond_its_rate_limit_sees_when_it_may_go_on', async () => {
  const tenant = await service.tenant();
  const key = await tenant.create({ name: 'Limited', scopes: 'admin', rateLimit: { requests: 1, windowSeconds: 30 } });
  await tenant.call('GET', '/api/v1/api-keys/self', { token: key.key });
  const { page, context } = await openConsole(tenant, { token: key.key });
  const problem = page.locator('[data-code=rate_limited]').first();
  await problem.waitFor();
  await problem.getByRole('button', { name: /Next attempt in \d+ s/ }).waitFor();
  await look(page, 'list-429');
  await context.close();
});

test('a_frozen_database_is_slow_then_503_and_the_page_recovers_by_itself', async () => {
  const tenant = await service.tenant();
  await tenant.create({ name: 'Zapier Sync' });
  const { page, context } = await openConsole(tenant);
  await page.getByRole('link', { name: 'Zapier Sync' }).waitFor();
  await service.withoutDatabase(async () => {
    await page.getByRole('button', { name: /^Active/ }).click();
    await page.getByText('This takes longer than usual').waitFor();
    await look(page, 'list-slow', { widths: [1280] });
    const problem = page.locator('[data-code=database_unavailable]').first();
    await problem.waitFor({ timeout: 30_000 });
    assert.match((await problem.textContent()) ?? '', /The service is not available right now.*Request id/s);
    await page.getByRole('button', { name: /Next attempt in/ }).first().waitFor();
    await look(page, 'list-503', { widths: [1280] });
  });
  await page.locator('[data-code=database_unavailable]').first().waitFor({ state: 'detached', timeout: 60_000 });
  await page.getByRole('link', { name: 'Zapier Sync' }).waitFor();
  await context.close();
});

test('an_offline_reader_is_told_so_and_the_page_recovers_by_itself', async () => {
  const tenant = await service.tenant();
  await tenant.create({ name: 'Zapier Sync' });
  const { page, context } = await openConsole(tenant);
  await page.getByRole('link', { name: 'Zapier Sync' }).waitFor();
  await context.setOffline(true);
  await page.getByRole('button', { name: /^Active/ }).click();
  await page.getByText('You are offline').waitFor();
  await look(page, 'list-offline', { ignoreComplaints: true });
  await context.setOffline(false);
  await page.getByText('You are offline').waitFor({ state: 'detached' });
  await page.getByRole('link', { name: 'Zapier Sync' }).waitFor();
  await context.close();
});

test('a_change_that_the_network_lost_can_be_tried_again', async () => {
  const tenant = await service.tenant();
  const key = await tenant.create({ name: 'Zapier Sync' });
  const { page, context } = await openConsole(tenant, { at: `#/keys/${key.id}` });
  await page.getByRole('button', { name: 'Suspend' }).click();
  await context.setOffline(true);
  await dialog(page).getByRole('button', { name: 'Suspend' }).click();
  await dialog(page).getByText('You are offline').waitFor();
  await context.setOffline(false);
  await dialog(page).getByRole('button', { name: 'Try again' }).click();
  await page.getByText('This key is suspended').waitFor();
  await context.close();
});
