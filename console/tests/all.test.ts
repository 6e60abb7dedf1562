// One process, one service, one browser for all tests; a tenant for each.
import { after, before } from 'node:test';
import { closeBrowser, launch } from './support/browser.js';
import { service } from './support/context.js';
import { hostPages } from './support/pages.js';
import './list.test.js';
import './create.test.js';
import './key.test.js';
import './rotation.test.js';
import './states.test.js';
import './tenant.test.js';
import './secrecy.test.js';
import './sign-in.test.js';
import './element.test.js';
import './speed.test.js';

before(async () => {
  await service.start(await hostPages());
  await launch(process.env.CHROMIUM ?? '/usr/bin/chromium');
});

after(async () => {
  await closeBrowser();
  await service.stop();
});
