import assert from 'node:assert/strict';
import { test } from 'node:test';
import { dialog, dialogLeft, openConsole } from './support/browser.js';
import { service } from './support/context.js';

test('secret_and_token_are_in_no_storage_address_history_title_request_or_log', async () => {
  const tenant = await service.tenant();
  const token = tenant.token();
  const { page, context } = await openConsole(tenant, { token });
  const said: string[] = [];
  page.on('console', (message) => said.push(message.text()));
  const detail = await page.evaluateHandle(() => {
    const seen: unknown[] = [];
    for (const name of ['created', 'rotated', 'revoked', 'navigated']) document.addEventListener(name, (event) => seen.push((event as CustomEvent).detail));
    return seen;
  });
  await page.getByRole('button', { name: 'Create key' }).click();
  await page.getByLabel('Name').fill('Zapier Sync');
  await page.getByRole('button', { name: 'Create key' }).last().click();
  const created = await page.getByLabel('Secret', { exact: true }).inputValue();
  await page.getByLabel('I have stored the secret').check();
  await page.getByRole('button', { name: 'Done' }).click();
  await page.getByRole('link', { name: 'Zapier Sync' }).click();
  await page.getByRole('button', { name: 'Rotate' }).click();
  await dialog(page).getByRole('button', { name: 'Rotate' }).click();
  const rotated = await page.getByLabel('Secret', { exact: true }).inputValue();

  const addresses: string[] = [];
  const visible = async (): Promise<string> => {
    const { storages, title, url, state, html } = await page.evaluate(async () => ({
      storages: JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie, await indexedDB.databases(), await caches.keys()]),
      title: document.title,
      url: location.href,
      state: JSON.stringify(history.state),
      html: document.documentElement.outerHTML,
    }));
    addresses.push(url);
    return [storages, title, url, state, html].join('\n');
  };
  const during = await visible();
  await page.getByLabel('I have stored the secret').check();
  await page.getByRole('button', { name: 'Done' }).click();
  await dialogLeft(page);
  const gone = await page.evaluate(() => {
    const text = (root: ParentNode): string => [...root.querySelectorAll('*')].map((element) => `${element.outerHTML} ${'value' in element ? String(element.value) : ''} ${element.shadowRoot === null ? '' : text(element.shadowRoot)}`).join('\n');
    return text(document);
  });
  for (let steps = 0; steps < 6; steps++) {
    await page.goBack().catch(() => null);
    addresses.push(page.url());
  }
  const requested = service.proxy.requests.map(({ url }) => url).join('\n');
  const events = JSON.stringify(await detail.jsonValue().catch(() => []));

  for (const secret of [created, rotated, token]) {
    const digits = secret.slice(8);
    for (const [where, text] of Object.entries({ during, addresses: addresses.join('\n'), requested, log: service.log, console: said.join('\n'), events })) {
      assert(!text.includes(digits), `a secret is in ${where}`);
    }
  }
  // After the dialog is closed, it is nowhere in the page.
  for (const secret of [created, rotated]) assert(!gone.includes(secret), 'the secret stays in the page');
  await context.close();
});

test('the_page_requests_nothing_from_elsewhere', async () => {
  const tenant = await service.tenant();
  await tenant.create({ name: 'Zapier Sync' });
  const { page, context } = await openConsole(tenant, { token: '' });
  const origins = new Set<string>();
  page.on('request', (request) => origins.add(new URL(request.url()).origin));
  await page.goto(`${tenant.origin}/console#token=${tenant.token()}`);
  await page.reload();
  await page.goto(`${tenant.origin}/console?x#token=${tenant.token()}`);
  await page.getByRole('link', { name: 'Zapier Sync' }).waitFor();
  origins.delete('null');
  assert.deepEqual([...origins].filter((origin) => origin.startsWith('http')), [tenant.origin]);
  await context.close();
});
