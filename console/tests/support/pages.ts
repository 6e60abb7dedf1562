// Pages of another origin that embed the element, as in samples/.
import { readFile } from 'node:fs/promises';
import { buildSamples } from '../../samples/build.mjs';

interface HostPage {
  body: string;
  headers?: Record<string, string>;
}

/** The tenant whose keys the pages show, and the token that the CRM has. */
export const embedded = { baseUrl: '', token: '' };

const policy = (baseUrl: string): string =>
  `default-src 'none'; script-src 'self' ${baseUrl}; connect-src 'self' ${baseUrl}; style-src 'none'; img-src data:; base-uri 'none'`;

export async function hostPages(): Promise<(path: string) => HostPage | undefined> {
  const samples = await buildSamples();
  const page = (script: string): string =>
    `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>CRM</title>${script}</head><body><main><div id="root" data-base-url="%BASE_URL%"></div></main></body></html>`;
  const bodies: Record<string, string | undefined> = {
    '/plain': await readFile('samples/plain.html', 'utf8'),
    '/plain.js': await readFile('samples/plain.js', 'utf8'),
    '/react': page('<script type="module" src="/react.js"></script>'),
    '/react.js': samples['react.js'],
    '/vue': page('<script type="module" src="/vue.js"></script>'),
    '/vue.js': samples['vue.js'],
    '/blank': page(''),
  };
  return (path) => {
    if (path === '/token') return { body: embedded.token };
    const body = bodies[path];
    if (body === undefined) return undefined;
    return { body: body.replaceAll('%BASE_URL%', embedded.baseUrl), headers: { 'Content-Security-Policy': policy(embedded.baseUrl) } };
  };
}
