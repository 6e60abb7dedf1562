// The element in pages of another origin, under a content security policy of their own.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Page } from 'playwright-core';
import type { RallyApiKeys } from '../src/rally-api-keys.js';
import type { RallyApiKeysElement } from '../samples/rally-api-keys.js';
import { assertNoComplaints, axe, newContext, newPage } from './support/browser.js';
import { service } from './support/context.js';
import { embedded } from './support/pages.js';
import type { Tenant } from './support/service.js';

// The types in samples/ are those of the element.
const typed = (element: RallyApiKeys): RallyApiKeysElement => element;
assert(typed);

/** Opens a page of the CRM; its script of the element arrives `late`, if asked for. */
async function openHost(tenant: Tenant, name: string, { late = false } = {}): Promise<{ page: Page; close: () => Promise<void>; load: () => Promise<void> }> {
  const context = await newContext();
  const page = await newPage(context);
  const origin = `http://crm.localhost:${service.host.port}`;
  const script = `${tenant.origin}/console/rally-api-keys.js`;
  Object.assign(embedded, { baseUrl: tenant.origin, token: tenant.token() });
  const load = (): Promise<void> =>
    page.evaluate((src) => {
      const element = document.createElement('script');
      element.type = 'module';
      element.src = src;
      document.head.append(element);
    }, script);
  await page.goto(`${origin}/${name}`);
  if (!late && name !== 'plain') await load();
  return { page, load, close: () => context.close() };
}

test('two_lines_of_html_embed_the_element_under_a_strict_policy', async () => {
  const tenant = await service.tenant();
  await tenant.create({ name: 'Zapier Sync' });
  const { page, close } = await openHost(tenant, 'plain');
  const said: string[] = [];
  page.on('console', (message) => said.push(message.text()));
  await page.getByRole('button', { name: 'Zapier Sync' }).click();
  await page.getByRole('heading', { name: 'Zapier Sync' }).waitFor();
  await page.getByRole('button', { name: 'All keys' }).click();
  await page.getByRole('button', { name: 'Create key' }).click();
  await page.getByLabel('Name').fill('From the CRM');
  await page.getByRole('button', { name: 'Create key' }).last().click();
  await page.getByLabel('Secret', { exact: true }).waitFor();
  // The example is for the tenant, not for the page around it.
  await page.getByText(`curl ${tenant.origin}/api/v1/api-keys/self`).waitFor();
  assert(said.some((text) => text.startsWith('created ')));
  assert(!page.url().includes('#'), 'the element leaves the address alone');
  assertNoComplaints(page);
  await close();
});

for (const framework of ['react', 'vue'] as const) {
  for (const late of [false, true]) {
    test(`the_${framework}_sample_works_where_the_script_loads_${late ? 'after' : 'with'}_the_page`, async () => {
      const tenant = await service.tenant();
      await tenant.create({ name: 'Zapier Sync' });
      const { page, load, close } = await openHost(tenant, framework, { late });
      await page.locator('rally-api-keys').waitFor({ state: 'attached' });
      if (late) {
        assert.equal(await page.evaluate(() => customElements.get('rally-api-keys') === undefined), true);
        await load();
      }
      await page.getByRole('button', { name: 'Zapier Sync' }).waitFor();
      await page.getByRole('button', { name: 'Create key' }).click();
      await page.getByLabel('Name').fill('Made here');
      await page.getByRole('button', { name: 'Create key' }).last().click();
      await page.getByLabel('Secret', { exact: true }).waitFor();
      assert.match(await page.title(), /^created [0-9a-f-]{36}$/);
      assertNoComplaints(page);
      await close();
    });
  }
}

test('properties_that_were_set_before_the_script_loaded_are_taken_over', async () => {
  const tenant = await service.tenant();
  const key = await tenant.create({ name: 'Zapier Sync' });
  const { page, load, close } = await openHost(tenant, 'blank', { late: true });
  await page.evaluate(
    ({ baseUrl, token, keyId }) => {
      const element = document.createElement('rally-api-keys') as unknown as RallyApiKeysElement;
      element.baseUrl = baseUrl;
      element.keyId = keyId;
      element.getToken = () => Promise.resolve(token);
      document.querySelector('main')?.append(element);
    },
    { baseUrl: tenant.origin, token: tenant.token(), keyId: key.id },
  );
  await load();
  await page.getByRole('heading', { name: 'Zapier Sync' }).waitFor();
  await close();
});

test('attributes_set_the_key_the_page_size_the_theme_and_read_only', async () => {
  const tenant = await service.tenant();
  for (let count = 0; count < 4; count++) await tenant.create({ name: `Key ${count}` });
  const { page, close } = await openHost(tenant, 'blank');
  await page.evaluate(
    ({ baseUrl, token }) => {
      const main = document.querySelector('main') as HTMLElement;
      main.addEventListener('token-request', (event) => (event as CustomEvent<{ respondWith(token: string): void }>).detail.respondWith(token));
      main.innerHTML = `<rally-api-keys base-url="${baseUrl}/" page-size="3" theme="dark" read-only></rally-api-keys>`;
    },
    { baseUrl: tenant.origin, token: tenant.token() },
  );
  await page.getByText('1–3 of 4').waitFor();
  assert.equal(await page.getByRole('button', { name: 'Create key' }).count(), 0);
  const background = await page.locator('.keys').evaluate((table) => getComputedStyle(table).backgroundColor);
  assert.equal(background, 'rgb(26, 30, 38)');
  await page.evaluate(() => document.querySelector('rally-api-keys')?.setAttribute('theme', 'light'));
  assert.equal(await page.locator('.keys').evaluate((table) => getComputedStyle(table).backgroundColor), 'rgb(255, 255, 255)');
  await close();
});

test('custom_properties_and_parts_theme_the_element', async () => {
  const tenant = await service.tenant();
  await tenant.create({ name: 'Zapier Sync' });
  const { page, close } = await openHost(tenant, 'plain');
  await page.getByRole('button', { name: 'Create key' }).waitFor();
  await page.evaluate(() => {
    const sheet = new CSSStyleSheet();
    sheet.replaceSync('rally-api-keys { --rally-accent: rgb(0, 90, 60); } rally-api-keys::part(create) { border-radius: 0 }');
    document.adoptedStyleSheets.push(sheet);
  });
  const create = page.getByRole('button', { name: 'Create key' });
  assert.deepEqual(await create.evaluate((button) => [getComputedStyle(button).backgroundColor, getComputedStyle(button).borderRadius]), ['rgb(0, 90, 60)', '0px']);
  await axe(page, 'embedded');
  await close();
});

test('an_element_that_gets_no_token_says_so_to_the_developer', async () => {
  const tenant = await service.tenant();
  const { page, close } = await openHost(tenant, 'blank');
  const said: string[] = [];
  page.on('console', (message) => said.push(message.text()));
  await page.evaluate((baseUrl) => {
    (document.querySelector('main') as HTMLElement).innerHTML = `<rally-api-keys base-url="${baseUrl}"></rally-api-keys>`;
  }, tenant.origin);
  await page.getByText('Sign in again').first().waitFor();
  assert(said.some((text) => text.includes('getToken')));
  await close();
});
