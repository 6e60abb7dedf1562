// Opens /docs in Chromium: no serious finding of axe, in the light scheme at 1280 px and the dark one at 360 px; calls work; a
// revocation is asked for first. SERVICE_PORT, SERVICE_TOKEN: a service with the tenant acme, and a JWT of its admin.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { chromium } from 'playwright-core';

const { SERVICE_PORT: port, SERVICE_TOKEN: token, CHROMIUM: executablePath } = process.env;
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
// Without the sandbox, which needs rights that containers and root do not have: the page is our own.
const browser = await chromium.launch({ executablePath, args: ['--no-sandbox'] });

async function open(host, options = {}) {
  const page = await browser.newPage({ viewport: { width: 1280, height: 900 }, ...options });
  page.setDefaultTimeout(180_000); // other tests may keep the machine busy
  const errors = [];
  page.on('console', (message) => message.type() === 'error' && errors.push(message.text()));
  page.on('pageerror', (error) => errors.push(String(error)));
  await page.goto(`http://${host}:${port}/docs`);
  await page.waitForSelector('.opblock');
  return { page, errors };
}

const operation = (page, id) => page.locator(`[id="${id}"]`);
const expand = (page, id) => operation(page, id).locator('.opblock-summary-control').click();

/** The findings of axe that are serious or critical. */
async function findings(page) {
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => window.axe.run());
  const grave = violations.filter(({ impact }) => ['serious', 'critical'].includes(impact));
  return grave.flatMap(({ id, nodes }) => nodes.map((node) => `${id} ${node.target} ${node.any[0]?.message ?? ''}`));
}

try {
  const failures = [];
  for (const [colorScheme, width] of [['light', 1280], ['dark', 360]]) {
    const name = `${colorScheme}, ${width} px`;
    const { page, errors } = await open('acme.localhost', { colorScheme, viewport: { width, height: 900 } });
    const height = await page.evaluate(() => document.documentElement.scrollHeight);
    const operations = await page.locator('.opblock').count();
    if (height > operations * (width > 400 ? 90 : 150)) failures.push(`${name}: ${height} px high`);
    const background = await page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor);
    if ((background === 'rgb(28, 32, 34)') !== (colorScheme === 'dark')) failures.push(`${name}: ${background}`);

    for (const id of ['operations-API_keys-createApiKey', 'operations-API_keys-revokeApiKey']) {
      await expand(page, id);
      await operation(page, id).getByRole('button', { name: 'Try it out' }).click();
    }
    failures.push(...(await findings(page)).map((finding) => `${name}: ${finding}`));
    const [scrollWidth, openHeight] = await page.evaluate(() => [document.documentElement.scrollWidth, document.documentElement.scrollHeight]);
    if (scrollWidth > width) failures.push(`${name}: ${scrollWidth} px wide`);
    if (process.env.SCREENSHOTS) await page.screenshot({ path: `${process.env.SCREENSHOTS}/${colorScheme}-${width}.png`, fullPage: true });
    await page.getByRole('button', { name: 'Authorize' }).first().click();
    await page.waitForSelector('.modal-ux');
    failures.push(...(await findings(page)).map((finding) => `${name}, authorize: ${finding}`));
    failures.push(...errors.map((error) => `${name}: ${error}`));
    await page.close();
  }
  assert.equal(failures.join('\n'), '');

  const { page, errors } = await open('acme.localhost');
  await page.evaluate((secret) => window.ui.preauthorizeApiKey('bearer', secret), token);
  const id = 'operations-API_keys-createApiKey';
  await expand(page, id);
  await operation(page, id).getByRole('button', { name: 'Try it out' }).click();
  const creation = page.waitForResponse((response) => response.request().method() === 'POST');
  await operation(page, id).getByRole('button', { name: 'Execute' }).click();
  const created = await (await creation).json();
  assert.equal(created.name, 'Zapier Sync');

  const list = 'operations-API_keys-listApiKeys';
  await expand(page, list);
  await operation(page, list).getByRole('button', { name: 'Try it out' }).click();
  const listing = page.waitForResponse((response) => response.url().includes('/api/v1/api-keys'));
  await operation(page, list).getByRole('button', { name: 'Execute' }).click();
  assert.equal(new URL((await listing).url()).search, '', 'no filter is filled in');
  assert.equal((await listing).status(), 200);

  const revoke = 'operations-API_keys-revokeApiKey';
  await expand(page, revoke);
  await operation(page, revoke).getByRole('button', { name: 'Try it out' }).click();
  await operation(page, revoke).locator('tr[data-param-name="id"] input').fill(created.id);
  let requests = 0;
  page.on('request', (request) => (requests += request.method() === 'DELETE' ? 1 : 0));
  const questions = [];
  const execute = async (answer) => {
    page.once('dialog', (dialog) => questions.push(dialog.message()) && dialog[answer]());
    await operation(page, revoke).getByRole('button', { name: 'Execute' }).click();
  };
  await execute('dismiss');
  assert.deepEqual([questions.length, requests], [1, 0]);
  const revocation = page.waitForResponse((response) => response.request().method() === 'DELETE');
  await execute('accept');
  assert.equal((await revocation).status(), 204);
  assert.deepEqual([questions.length, requests], [2, 1]);
  assert.match(questions[0], /Revoke this key for good/);
  assert.deepEqual(errors, []);

  // A host that is no tenant's.
  const elsewhere = await open('localhost');
  await expand(elsewhere.page, list);
  await elsewhere.page.waitForSelector('.responses-table');
  assert.equal(await elsewhere.page.getByRole('button', { name: 'Try it out' }).count(), 0);
  assert.match(await elsewhere.page.textContent('.info'), /<tenant>\.localhost/);
} finally {
  await browser.close();
}
