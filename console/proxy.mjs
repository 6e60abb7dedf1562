// Serves dist/ at /console on a tenant's own origin, as the service does, and passes everything else on to a service.
// For development and tests; `faults` break connections as a bad network does.
import { readFile } from 'node:fs/promises';
import http from 'node:http';
import { fileURLToPath } from 'node:url';
import path from 'node:path';

const dist = fileURLToPath(new URL('dist/', import.meta.url));
const TYPES = { '.js': 'text/javascript; charset=utf-8', '.css': 'text/css; charset=utf-8', '.html': 'text/html; charset=utf-8', '.txt': 'text/plain; charset=utf-8', '.json': 'application/json' };

export const contentSecurityPolicy = (issuer = '') =>
  [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self' data:",
    `connect-src 'self' ${issuer}`.trim(),
    "base-uri 'none'",
    "form-action 'self'",
    "frame-ancestors 'none'",
    "require-trusted-types-for 'script'",
    'trusted-types lit-html',
  ].join('; ');

const escaped = (text) => text.replaceAll('&', '&amp;').replaceAll('"', '&quot;').replaceAll('<', '&lt;');

/**
 * @param {{service: URL, config?: any, pages?: (path: string) => {body: string, headers?: Record<string, string>} | undefined, port?: number, listen?: string}} options
 *   `pages`: further pages, such as one that embeds the element.
 */
export async function startProxy({ service, config = {}, pages = () => undefined, port = 0, listen = '127.0.0.1' }) {
  const faults = {
    /** Breaks the connection after the service has carried the request out. @type {((request: http.IncomingMessage) => boolean) | null} */
    loseResponse: null,
    /** Milliseconds before each response. */
    delay: 0,
  };
  const requests = [];

  async function serveConsole(response, name) {
    const body = await readFile(path.join(dist, name)).catch(() => null);
    if (body === null) {
      response.writeHead(404).end();
      return;
    }
    const isPage = name === 'index.html';
    response.writeHead(200, {
      'Content-Type': TYPES[path.extname(name)] ?? 'application/octet-stream',
      'Cache-Control': isPage ? 'no-store' : 'public, max-age=31536000, immutable',
      'X-Content-Type-Options': 'nosniff',
      'Access-Control-Allow-Origin': '*',
      ...(isPage ? { 'Content-Security-Policy': contentSecurityPolicy(config.issuer), 'Referrer-Policy': 'no-referrer' } : {}),
    });
    response.end(isPage ? body.toString().replace('%CONFIG%', escaped(JSON.stringify(config))) : body);
  }

  const server = http.createServer(async (request, response) => {
    const { pathname } = new URL(request.url, 'http://localhost');
    requests.push({ method: request.method, url: request.url });
    if (faults.delay > 0) await new Promise((resolve) => setTimeout(resolve, faults.delay));
    const page = pages(pathname);
    if (page !== undefined) {
      response.writeHead(200, { 'Content-Type': TYPES[path.extname(pathname)] ?? TYPES['.html'], ...page.headers }).end(page.body);
      return;
    }
    if (pathname === '/console' || pathname === '/console/') return serveConsole(response, 'index.html');
    if (pathname === '/console/rally-api-keys.js') {
      const manifest = JSON.parse(await readFile(path.join(dist, 'manifest.json'), 'utf8'));
      return serveConsole(response, manifest['rally-api-keys.js']);
    }
    if (pathname.startsWith('/console/')) return serveConsole(response, path.basename(pathname));
    const loses = faults.loseResponse?.(request) === true;
    const { url: target, method, headers } = request;
    const upstream = http.request({ host: service.hostname, port: service.port, path: target, method, headers }, (answer) => {
      if (loses) {
        answer.resume();
        answer.on('end', () => request.socket.destroy());
        return;
      }
      response.writeHead(answer.statusCode, answer.headers);
      answer.pipe(response);
    });
    upstream.on('error', () => (response.headersSent ? response.destroy() : response.writeHead(502).end()));
    response.on('close', () => upstream.destroy());
    request.pipe(upstream);
  });
  await new Promise((resolve) => server.listen(port, listen, resolve));
  return {
    port: server.address().port,
    faults,
    /** Method and URL of every request so far. */
    requests,
    close: () => {
      server.closeAllConnections();
      return new Promise((resolve) => server.close(resolve));
    },
  };
}
