// A reverse proxy before a service: for development, with the files of dist/ in place of those that the service was built
// with; for tests, with `faults`, which break connections as a bad network does.
import { readFile } from 'node:fs/promises';
import http from 'node:http';
import { fileURLToPath } from 'node:url';
import path from 'node:path';

const dist = fileURLToPath(new URL('dist/', import.meta.url));
const TYPES = { '.js': 'text/javascript; charset=utf-8', '.css': 'text/css; charset=utf-8', '.html': 'text/html; charset=utf-8' };
/** The page's settings, which the service has put in place of %CONFIG%. */
const SETTINGS = /(?<=name="rally-console" content=")[^"]*/;

/**
 * @param {{service: URL, fromFolder?: boolean, pages?: (path: string) => {body: string, headers?: Record<string, string>} | undefined, port?: number, listen?: string}} options
 *   `fromFolder`: with the files of dist/. `pages`: further pages, such as one that embeds the element.
 */
export async function startProxy({ service, fromFolder = false, pages = () => undefined, port = 0, listen = '127.0.0.1' }) {
  const faults = {
    /** Breaks the connection after the service has carried the request out. @type {((request: http.IncomingMessage) => boolean) | null} */
    loseResponse: null,
    /** Milliseconds before each response. */
    delay: 0,
  };
  const requests = [];

  async function serveFile(response, name) {
    const body = await readFile(path.join(dist, name)).catch(() => null);
    response.writeHead(body === null ? 404 : 200, { 'Content-Type': TYPES[path.extname(name)] ?? 'application/octet-stream', 'Access-Control-Allow-Origin': '*' });
    response.end(body);
  }

  /** The page of dist/ with the service's settings and headers. */
  async function servePage(response, host) {
    const { headers, body } = await new Promise((resolve, reject) => {
      const request = http.get({ host: service.hostname, port: service.port, path: '/console', headers: { Host: host } }, (answer) => {
        let text = '';
        answer.setEncoding('utf8');
        answer.on('data', (chunk) => (text += chunk));
        answer.on('end', () => resolve({ headers: answer.headers, body: text }));
      });
      request.on('error', reject);
    });
    const settings = SETTINGS.exec(body)?.[0] ?? '{}';
    const page = (await readFile(path.join(dist, 'index.html'), 'utf8')).replace('%CONFIG%', () => settings);
    const { 'content-length': _, etag: __, ...others } = headers;
    response.writeHead(200, others).end(page);
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
    if (fromFolder && pathname === '/console') return servePage(response, request.headers.host);
    if (fromFolder && pathname.startsWith('/console/')) {
      const manifest = JSON.parse(await readFile(path.join(dist, 'manifest.json'), 'utf8'));
      const name = path.basename(pathname);
      return serveFile(response, name === 'rally-api-keys.js' ? manifest[name] : name);
    }
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
