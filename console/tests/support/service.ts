// A service of its own for the tests, on a private PostgreSQL, behind a proxy that can lose responses.
import { execFile, execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { createHmac } from 'node:crypto';
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import http from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { startProxy } from '../../proxy.mjs';

const run = promisify(execFile);

export const BINARY = path.resolve(process.env.RALLY_API_KEYS ?? '../target/debug/rally-api-keys');

export interface Key {
  id: string;
  key: string;
  name: string;
  keyHint: string;
}

export interface Answer<T = unknown> {
  status: number;
  headers: http.IncomingHttpHeaders;
  body: T;
}

export class Service {
  readonly #data = mkdtempSync(path.join(tmpdir(), 'console-tests-'));
  #process: ChildProcess | undefined;
  /** All that the service has logged. */
  log = '';
  port = 0;
  proxy!: Awaited<ReturnType<typeof startProxy>>;
  /** A page on another origin, which may call the service. */
  host!: Awaited<ReturnType<typeof startProxy>>;
  #tenants = 0;

  async start(pages: (path: string) => { body: string; headers?: Record<string, string> } | undefined, settings: Record<string, string> = {}): Promise<void> {
    chmodSync(this.#data, 0o711);
    // Its port is in the service's settings, so it comes first. Nothing is passed on from there.
    this.host = await startProxy({ service: new URL('http://127.0.0.1:9'), pages });
    const unset = ['DATABASE_URL', 'DATABASE_MIGRATION_URL', 'DATABASE_DIRECT_URL', 'BASE_DOMAIN', 'JWT_SECRET', 'JWT_ISSUER', 'JWT_JWKS_URL', 'JWT_PUBLIC_KEY_FILE', 'JWT_AUDIENCE', 'ADMIN_LISTEN_ADDR', 'REDIS_URL'];
    this.#process = spawn(BINARY, [], {
      cwd: this.#data,
      env: {
        ...process.env,
        ...Object.fromEntries(unset.map((name) => [name, ''])),
        DATA_DIR: this.#data,
        LISTEN_ADDR: '127.0.0.1:0',
        ARGON2_MEMORY_KIB: '64',
        ARGON2_ITERATIONS: '1',
        CORS_ALLOWED_ORIGINS: `http://crm.localhost:${this.host.port}`,
        RUST_LOG: 'info',
        ...settings,
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#process.stderr?.on('data', (text) => (this.log += text));
    this.port = await new Promise<number>((resolve, reject) => {
      let welcome = '';
      const limit = setTimeout(() => reject(new Error(`The service did not start:\n${this.log}`)), 60_000);
      this.#process?.on('exit', (code) => reject(new Error(`The service ended with ${code}:\n${this.log}`)));
      this.#process?.stdout?.on('data', (text) => {
        welcome += text;
        const port = /acme\.localhost:(\d+)/.exec(welcome)?.[1];
        if (port === undefined) return;
        clearTimeout(limit);
        resolve(Number(port));
      });
    });
    this.proxy = await startProxy({ service: new URL(`http://127.0.0.1:${this.port}`) });
  }

  async stop(): Promise<void> {
    await this.proxy?.close();
    await this.host?.close();
    const ended = new Promise((resolve) => this.#process?.once('exit', resolve));
    this.#process?.kill('SIGTERM');
    await ended;
    rmSync(this.#data, { recursive: true, force: true });
  }

  /** A tenant for one test, so that tests see nothing of each other. */
  async tenant(name = 'Acme'): Promise<Tenant> {
    const slug = `t${++this.#tenants}`;
    await run(BINARY, ['tenant', 'create', slug, '--name', name], { env: { ...process.env, DATA_DIR: this.#data, DATABASE_URL: '', BASE_DOMAIN: '' }, cwd: this.#data });
    return new Tenant(this, slug);
  }

  sql(statements: string): void {
    execFileSync('psql', ['--quiet', '--no-psqlrc', '--set=ON_ERROR_STOP=1', `host=${this.#data}/run user=rally_owner dbname=rally_api_keys`, '--command', statements], { stdio: ['ignore', 'ignore', 'inherit'] });
  }

  sign(claims: Record<string, unknown>, secret = readFileSync(path.join(this.#data, 'jwt-secret'), 'utf8')): string {
    const part = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');
    const text = `${part({ alg: 'HS256', typ: 'JWT' })}.${part(claims)}`;
    return `${text}.${createHmac('sha256', secret).update(text).digest('base64url')}`;
  }

  /** Stops all of PostgreSQL's processes while `during` runs, as a frozen machine does. */
  async withoutDatabase(during: () => Promise<void>): Promise<void> {
    const postmaster = Number(readFileSync(path.join(this.#data, 'postgres/postmaster.pid'), 'utf8').split('\n')[0]);
    const children = execFileSync('pgrep', ['-P', String(postmaster)], { encoding: 'utf8' }).trim().split('\n').map(Number);
    const signal = (name: NodeJS.Signals): void => {
      for (const pid of [postmaster, ...children]) {
        try {
          process.kill(pid, name);
        } catch {
          // It has ended.
        }
      }
    };
    signal('SIGSTOP');
    try {
      await during();
    } finally {
      signal('SIGCONT');
    }
  }
}

export class Tenant {
  constructor(
    readonly service: Service,
    readonly slug: string,
  ) {}

  /** Of the service itself, which serves the console as it is built into it. */
  get ownOrigin(): string {
    return `http://${this.slug}.localhost:${this.service.port}`;
  }

  get origin(): string {
    return `http://${this.slug}.localhost:${this.service.proxy.port}`;
  }

  token({ scopes = 'admin', email = 'dana@acme.com', seconds = 3_600 } = {}): string {
    const now = Math.floor(Date.now() / 1000);
    return this.service.sign({ sub: email, email, iat: now, exp: now + seconds, tenant: this.slug, scope: scopes });
  }

  call<T>(method: string, target: string, { body, token = this.token(), headers = {} }: { body?: unknown; token?: string; headers?: Record<string, string> } = {}): Promise<Answer<T>> {
    const text = body === undefined ? undefined : JSON.stringify(body);
    return new Promise((resolve, reject) => {
      const request = http.request(
        {
          host: '127.0.0.1',
          port: this.service.port,
          method,
          path: target,
          headers: { Host: `${this.slug}.localhost`, Authorization: `Bearer ${token}`, ...(text === undefined ? {} : { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(text) }), ...headers },
        },
        (response) => {
          let received = '';
          response.setEncoding('utf8');
          response.on('data', (chunk) => (received += chunk));
          response.on('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, body: (received === '' ? null : JSON.parse(received)) as T }));
        },
      );
      request.on('error', reject);
      request.end(text);
    });
  }

  async create(body: Record<string, unknown>, token = this.token()): Promise<Key> {
    const { status, body: key } = await this.call<Key>('POST', '/api/v1/api-keys', { body, token });
    if (status !== 201) throw new Error(JSON.stringify(key));
    return key;
  }

  /** Requests with a secret, by a program; resolves once the service shows them. */
  async use(key: Key, program: string, { times = 1, secret = key.key } = {}): Promise<void> {
    for (let count = 0; count < times; count++) {
      await this.call('GET', '/api/v1/api-keys/self', { token: secret, headers: { 'User-Agent': program } });
    }
    const limit = Date.now() + 60_000;
    for (;;) {
      const { body } = await this.call<{ userAgent: string }[]>('GET', `/api/v1/api-keys/${key.id}/callers`);
      if (body.some(({ userAgent }) => userAgent === program)) return;
      if (Date.now() > limit) throw new Error(`${program} does not show as a caller`);
      await new Promise((resolve) => setTimeout(resolve, 250));
    }
  }
}

export const isBuilt = (): boolean => existsSync(BINARY);
