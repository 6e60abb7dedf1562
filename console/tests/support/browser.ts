// Chromium, and what each state of the page must pass.
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { type Browser, type BrowserContext, type Page, chromium } from 'playwright-core';
import type { Tenant } from './service.js';

const require = createRequire(path.resolve('package.json'));
const axeSource = readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8');
export const SCREENSHOTS = path.resolve('tests/screenshots');

let browser: Browser | undefined;

export async function launch(executablePath: string): Promise<Browser> {
  mkdirSync(SCREENSHOTS, { recursive: true });
  // Without the sandbox, which needs rights that containers and root do not have: the pages are our own.
  browser = await chromium.launch({ executablePath, args: ['--no-sandbox'] });
  return browser;
}

export const closeBrowser = async (): Promise<void> => browser?.close();

export interface View {
  width?: number;
  height?: number;
  dark?: boolean;
  locale?: string;
  timezone?: string;
}

export async function newContext({ width = 1280, height = 900, dark = false, locale = 'en-GB', timezone = 'Europe/Berlin' }: View = {}): Promise<BrowserContext> {
  assert(browser);
  const context = await browser.newContext({ viewport: { width, height }, colorScheme: dark ? 'dark' : 'light', locale, timezoneId: timezone, acceptDownloads: true });
  // The page is fast; machines that run other things at once are not.
  context.setDefaultTimeout(45_000);
  return context;
}

/** Errors of scripts and violations of the content security policy; a test that expects a refusal names its status. */
const complaints = new WeakMap<Page, string[]>();

export async function newPage(context: BrowserContext): Promise<Page> {
  const page = await context.newPage();
  const found: string[] = [];
  complaints.set(page, found);
  page.on('pageerror', (error) => found.push(String(error)));
  page.on('console', (message) => {
    const text = message.text();
    if (message.type() === 'error' && !/Failed to load resource/.test(text)) found.push(text);
  });
  return page;
}

export function assertNoComplaints(page: Page): void {
  assert.deepEqual(complaints.get(page), []);
}

export interface Opened {
  page: Page;
  context: BrowserContext;
}

/** The console, signed in by a token in the address. */
export async function openConsole(tenant: Tenant, { token = tenant.token(), at = '', context, ...view }: View & { token?: string; at?: string; context?: BrowserContext } = {}): Promise<Opened> {
  const own = context ?? (await newContext(view));
  const page = await newPage(own);
  await page.goto(`${tenant.origin}/console#${token === '' ? '' : `token=${token}&`}${at}`);
  if (at !== '') await page.evaluate((hash) => (location.hash = hash), at);
  return { page, context: own };
}

export async function axe(page: Page, name: string): Promise<void> {
  await page.evaluate(axeSource);
  const violations = await page.evaluate(async () => {
    const { axe: runner } = window as unknown as { axe: { run: (options: object) => Promise<{ violations: { id: string; impact: string; nodes: { target: string[]; any: { message: string }[] }[] }[] }> } };
    const result = await runner.run({ resultTypes: ['violations'] });
    return result.violations.flatMap(({ id, impact, nodes }) => nodes.map((node) => `${impact} ${id} ${node.target.join(' ')} ${node.any[0]?.message ?? ''}`));
  });
  assert.deepEqual(violations, [], name);
}

/** A state that is looked at: light and dark, wide and narrow; nothing that axe finds, nothing that is wider than the page. */
export async function look(page: Page, name: string, { widths = [1280, 320], full = true, ignoreComplaints = false } = {}): Promise<void> {
  const before = page.viewportSize();
  for (const width of widths) {
    await page.setViewportSize({ width, height: width < 600 ? 740 : 900 });
    for (const colorScheme of ['light', 'dark'] as const) {
      await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
      await axe(page, `${name}, ${colorScheme}, ${width} px`);
      await page.screenshot({ path: path.join(SCREENSHOTS, `${name}-${colorScheme}-${width}.png`), fullPage: full });
    }
    const scrollWidth = await page.evaluate(() => document.documentElement.scrollWidth);
    assert(scrollWidth <= width, `${name} is ${scrollWidth} px wide in ${width} px`);
  }
  await page.emulateMedia({ colorScheme: 'light' });
  if (before !== null) await page.setViewportSize(before);
  if (!ignoreComplaints) assertNoComplaints(page);
}

export const dialog = (page: Page) => page.locator('dialog[open]');

/** Waits until the dialog has left the page: it is closed before, and its words are still found for a moment. */
export const dialogLeft = (page: Page): Promise<void> => page.locator('dialog').first().waitFor({ state: 'detached' });
