// Pages of another origin that embed the element, as in samples/.
import { readFile } from 'node:fs/promises';
import { buildSamples } from '../../samples/build.mjs';

interface HostPage {
  body: string;
  headers?: Record<string, string>;
}

/** A page with a strict policy. `%BASE_URL%` and the token come from the test, by routes of the browser. */
const policy = (baseUrl: string): string =>
  `default-src 'none'; script-src 'self' ${baseUrl}; connect-src 'self' ${baseUrl}; style-src 'none'; img-src data:; base-uri 'none'`;

export async function hostPages(): Promise<Record<string, HostPage>> {
  const samples = await buildSamples();
  const page = (script: string): HostPage => ({
    body: `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>CRM</title><script type="module" src="/${script}"></script></head><body><main><div id="root" data-base-url="%BASE_URL%"></div></main></body></html>`,
  });
  return {
    '/plain': { body: await readFile('samples/plain.html', 'utf8') },
    '/plain.js': { body: await readFile('samples/plain.js', 'utf8') },
    '/react': page('react.js'),
    '/react.js': { body: samples['react.js'] ?? '' },
    '/vue': page('vue.js'),
    '/vue.js': { body: samples['vue.js'] ?? '' },
    '/blank': { body: '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>CRM</title></head><body><main></main></body></html>' },
  };
}

export const hostPolicy = policy;
