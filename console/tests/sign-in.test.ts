import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { Page } from 'playwright-core';
import { assertNoComplaints, dialog, newContext, newPage } from './support/browser.js';
import { CLIENT_ID, Issuer, RESOURCE } from './support/issuer.js';
import { Service, type Tenant } from './support/service.js';

const issuer = new Issuer();
const service = new Service();
let tenant: Tenant;

before(async () => {
  await issuer.listen();
  await service.start(() => undefined, {
    JWT_ISSUER: issuer.url,
    JWT_AUDIENCE: RESOURCE,
    CONSOLE_CLIENT_ID: CLIENT_ID,
    CONSOLE_RESOURCE: RESOURCE,
    CONSOLE_SCOPES: 'openid offline_access read write admin',
  });
  tenant = await service.tenant();
  issuer.serve(tenant.slug, `${tenant.ownOrigin}/console`);
});

after(async () => {
  await service.stop();
  await issuer.close();
});

/** At the issuer: its page for the login, and the one for the consent. */
async function signInAtIssuer(page: Page): Promise<void> {
  await page.locator('input[name=login]').fill('dana');
  await page.locator('input[name=password]').fill('any');
  await page.locator('button[type=submit]').click();
  await page.waitForURL(/interaction/);
  await page.locator('button[type=submit]').click();
}

const keys = (page: Page) => page.getByRole('heading', { name: 'API keys', exact: true });
const authorizations = (): number => issuer.requests.filter((url) => url.startsWith('/auth?')).length;
const pause = (seconds: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, seconds * 1000));

test('users_sign_in_at_the_issuer_and_one_tab_renews_for_all', async () => {
  const context = await newContext();
  const page = await newPage(context);
  await page.goto(`${tenant.ownOrigin}/console`);
  // The issuer was asked once without a question, and knew nobody.
  await page.getByRole('button', { name: 'Sign in', exact: true }).click();
  await signInAtIssuer(page);
  await keys(page).waitFor();
  assert.equal(page.url(), `${tenant.ownOrigin}/console`);
  const stored = await page.evaluate(() => JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie]));
  assert.equal(stored, '[{},{},""]');

  // Another tab gets the session from this one.
  const before = authorizations();
  const other = await newPage(context);
  await other.goto(`${tenant.ownOrigin}/console`);
  await keys(other).waitFor();
  assert.equal(authorizations(), before);

  // Once the token is about to expire, both need another one at the same moment, and the issuer is asked once.
  await pause(6);
  const renewals = issuer.renewals;
  const show = async (tab: Page): Promise<void> => {
    const answer = tab.waitForResponse((response) => response.url().includes('/api/v1/api-keys/usage'));
    await tab.getByRole('link', { name: 'Usage' }).click();
    assert.equal((await answer).status(), 200);
  };
  await Promise.all([show(page), show(other)]);
  assert.equal(issuer.renewals, renewals + 1);
  assert.deepEqual(issuer.errors, []);

  // A tab that is loaded again asks the other one, and the last one the issuer, without a question.
  await page.reload();
  await page.getByRole('link', { name: 'Usage' }).waitFor();
  assert.equal(authorizations(), before);
  await other.close();
  await page.reload();
  await page.getByRole('link', { name: 'Usage' }).waitFor();
  assert.equal(authorizations(), before + 1);
  assertNoComplaints(page);
  await context.close();
});

test('a_session_that_ends_is_renewed_in_another_tab_and_what_was_entered_stays', async () => {
  const context = await newContext();
  const page = await newPage(context);
  await page.goto(`${tenant.ownOrigin}/console`);
  await page.getByRole('button', { name: 'Sign in', exact: true }).click();
  await signInAtIssuer(page);
  await keys(page).waitFor();
  // Loaded again by a silent response, which has no refresh token.
  await page.reload();
  await keys(page).waitFor();
  await page.getByRole('button', { name: 'Create key' }).first().click();
  await page.getByLabel('Name').fill('Zapier Sync');
  await pause(8);
  await dialog(page).getByRole('button', { name: 'Create key' }).click();
  const signIn = page.getByRole('button', { name: 'Sign in', exact: true });
  const [tab] = await Promise.all([context.waitForEvent('page'), signIn.click()]);
  await keys(tab).waitFor();
  await signIn.waitFor({ state: 'detached' });
  assert.equal(await page.getByLabel('Name').inputValue(), 'Zapier Sync');
  await dialog(page).getByRole('button', { name: 'Create key' }).click();
  await page.getByLabel('I have stored the secret').waitFor();
  await context.close();
});

test('signing_out_in_one_tab_signs_all_out', async () => {
  const context = await newContext();
  const page = await newPage(context);
  await page.goto(`${tenant.ownOrigin}/console`);
  await page.getByRole('button', { name: 'Sign in', exact: true }).click();
  await signInAtIssuer(page);
  await keys(page).waitFor();
  const other = await newPage(context);
  await other.goto(`${tenant.ownOrigin}/console`);
  await keys(other).waitFor();
  await page.getByRole('button', { name: 'Sign out' }).click();
  await page.waitForURL(/session\/end/);
  await other.getByRole('button', { name: 'Sign in', exact: true }).waitFor();
  await context.close();
});
