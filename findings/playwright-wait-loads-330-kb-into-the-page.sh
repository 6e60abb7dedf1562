#!/usr/bin/env bash
# Playwright 1.65.1 (playwright-core) with Chromium 153: the first locator, or `waitForFunction`, of a page puts 345,000 characters
# of script into that page, 330,313 of them in one piece, which its main thread compiles. It does so at once, also while the page is
# still loading. `evaluate` adds some 13,000 characters; `goto` and a pause in the test add nothing.
#
# Why it matters: a test that opens a page and waits for a text, to read the page's own timings then, measures Playwright too. On
# two cores of an AMD EPYC, with Chromium 156, the compilation took 34 ms of the main thread, between the arrival of the page's
# scripts and the first paint. Pause in the test while the page loads, and look afterwards.
#
# Needs Node.js 20 or later with npm; Chromium comes from npm. Works in a temporary folder. Fails if the behaviour changes.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
export TMPDIR=$work # Chromium is unpacked there
npm init --yes >/dev/null 2>&1
npm install --silent --no-audit --no-fund playwright-core@1.65.1 @sparticuz/chromium@153.0.0 >/dev/null 2>&1
cat >scripts.mjs <<'TEST'
import { createServer } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import packaged from '@sparticuz/chromium';
import { chromium } from 'playwright-core';

const server = createServer((_, response) => response.setHeader('Content-Type', 'text/html').end('<!doctype html><title>Page</title><p>Ready</p>'));
await new Promise((listening) => server.listen(0, '127.0.0.1', listening));
const browser = await chromium.launch({ executablePath: await packaged.executablePath(), args: ['--no-sandbox'] });
const ways = {
  pause: () => sleep(100),
  evaluate: (page) => page.evaluate(() => document.title),
  waitForFunction: (page) => page.waitForFunction(() => document.title === 'Page'),
  locator: (page) => page.getByText('Ready').waitFor(),
};
for (const [name, look] of Object.entries(ways)) {
  const page = await browser.newPage();
  await page.goto(`http://127.0.0.1:${server.address().port}/`);
  const session = await page.context().newCDPSession(page);
  let characters = 0;
  session.on('Debugger.scriptParsed', (script) => (characters += script.length));
  await session.send('Debugger.enable');
  await look(page);
  await sleep(300);
  console.error(`${name}: ${characters} characters`);
  console.log(`${name}: ${characters > 300_000 ? 'more than 300,000' : characters >= 20_000 ? 'more than 20,000' : characters > 0 ? 'less than 20,000' : 'no'} characters`);
  await page.close();
}
await browser.close();
server.close();
TEST
timeout 120 node scripts.mjs | tee seen
diff - seen <<'EXPECTED'
pause: no characters
evaluate: less than 20,000 characters
waitForFunction: more than 300,000 characters
locator: more than 300,000 characters
EXPECTED
echo "as described"
