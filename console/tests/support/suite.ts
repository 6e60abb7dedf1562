// What the tests of one process share: a service, and a browser. Each test has a tenant of its own.
import { after, before } from 'node:test';
import { closeBrowser, launch } from './browser.js';
import { service } from './context.js';
import { hostPages } from './pages.js';

before(async () => {
  await service.start(await hostPages());
  await launch(process.env.CHROMIUM ?? '/usr/bin/chromium');
});

after(async () => {
  await closeBrowser();
  await service.stop();
});
