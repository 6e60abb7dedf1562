// What the tests of one process share: a service, and a browser. Each test has a tenant of its own.
import { after, before } from 'node:test';
import { closeBrowser, launch } from './browser.js';
import { service } from './context.js';
import { hostPages } from './pages.js';

/** Where the pattern matches no test of a suite, Node.js 24 runs `after` while `before` is still running. */
let started: Promise<void> | undefined;

before(() => (started = start()));

after(async () => {
  await started;
  await closeBrowser();
  await service.stop();
});

async function start(): Promise<void> {
  await service.start(await hostPages());
  await launch(process.env.CHROMIUM ?? '/usr/bin/chromium');
}
