// Checks types of tests and samples, then runs the tests in Chromium against a service of their own. Where Chromium or
// the service is missing, says so and ends with 0; REQUIRE_BROWSER=1 makes that a failure.
// Arguments: a pattern for names of tests.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { build } from 'esbuild';

const run = (command, args, env = {}) => {
  const { status } = spawnSync(command, args, { stdio: 'inherit', env: { ...process.env, ...env } });
  if (status !== 0) process.exit(status ?? 1);
};
const bin = (name) => path.join('node_modules/.bin', name);

run(bin('tsc'), ['--noEmit', '--project', 'tests']);
run(process.execPath, ['samples/check.mjs']);

const chromium = process.env.CHROMIUM ?? ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find((file) => existsSync(file));
const binary = path.resolve(process.env.RALLY_API_KEYS ?? '../target/debug/rally-api-keys');
const missing = [
  chromium === undefined ? 'Chromium (apt-get install chromium, or set CHROMIUM)' : '',
  existsSync(binary) ? '' : `the service (cargo build, or set RALLY_API_KEYS): ${binary}`,
].filter(Boolean);
if (missing.length > 0) {
  console.error(`SKIPPED: the browser tests of the console did not run. Missing: ${missing.join('; ')}`);
  process.exit(process.env.REQUIRE_BROWSER ? 1 : 0);
}

const suites = ['keys', 'page'];
await build({ entryPoints: suites.map((name) => `tests/${name}.suite.ts`), bundle: true, platform: 'node', format: 'esm', packages: 'external', external: ['../../proxy.mjs', '../../samples/build.mjs'], outdir: 'tests/.build', outExtension: { '.js': '.mjs' }, logLevel: 'warning', sourcemap: 'inline' });
const patterns = process.argv.slice(2).map((pattern) => `--test-name-pattern=${pattern}`);
run(process.execPath, ['--enable-source-maps', '--test', `--test-concurrency=${suites.length}`, '--test-reporter=spec', ...patterns, ...suites.map((name) => `tests/.build/${name}.suite.mjs`)], { CHROMIUM: chromium });
