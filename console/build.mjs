// Builds dist/ from src/: the same input gives the same bytes. With --check, builds elsewhere and compares with dist/.
// Sizes are limited: see LIMIT.
import { mkdtemp, mkdir, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { createHash } from 'node:crypto';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { brotliCompressSync, brotliDecompressSync, gzipSync } from 'node:zlib';
import { build, transform } from 'esbuild';

/** Bytes of all scripts, style sheets and pages, each compressed by gzip. */
const LIMIT = 60_000;
const TARGET = ['chrome123', 'firefox120', 'safari17.5'];
const root = fileURLToPath(new URL('.', import.meta.url));
const checks = process.argv.includes('--check');
const out = checks ? await mkdtemp(path.join(tmpdir(), 'console-dist-')) : path.join(root, 'dist');
await rm(out, { recursive: true, force: true });
await mkdir(out, { recursive: true });

/** The indentation of templates is not shown, and a third of them. */
const shorterTemplates = {
  name: 'shorter-templates',
  setup({ onLoad }) {
    onLoad({ filter: /console[\\/]src[\\/].*\.ts$/ }, async ({ path: file }) => {
      const source = await readFile(file, 'utf8');
      if (!/styles\.ts$/.test(file)) return { contents: source.replace(/\n[ \t]+/g, '\n'), loader: 'ts' };
      const [whole, sheet] = /css`([^`]*)`/.exec(source);
      const { code } = await transform(sheet, { loader: 'css', minify: true, target: TARGET });
      return { contents: source.replace(whole, () => `css\`${code.trim().replaceAll('\\', '\\\\')}\``), loader: 'ts' };
    });
  },
};

const { metafile } = await build({
  absWorkingDir: root,
  entryPoints: { console: 'src/console.ts', 'rally-api-keys': 'src/rally-api-keys.ts' },
  outdir: out,
  bundle: true,
  splitting: true,
  format: 'esm',
  target: TARGET,
  minify: true,
  legalComments: 'none',
  charset: 'utf8',
  entryNames: '[name]-[hash]',
  chunkNames: 'chunk-[hash]',
  metafile: true,
  plugins: [shorterTemplates],
  logLevel: 'warning',
});

const styles = await build({
  absWorkingDir: root,
  entryPoints: { console: 'src/console.css' },
  outdir: out,
  minify: true,
  charset: 'utf8',
  entryNames: '[name]-[hash]',
  metafile: true,
  logLevel: 'warning',
});

const manifest = {};
const outputs = { ...metafile.outputs, ...styles.metafile.outputs };
const nameOf = (output) => path.basename(output);
for (const [output, { entryPoint }] of Object.entries(outputs)) {
  if (entryPoint) manifest[path.basename(entryPoint).replace(/\.ts$/, '.js')] = nameOf(output);
}

/** What the page imports at once, so that the browser fetches all of it together. */
function importsOf(output, found = new Set()) {
  for (const { path: imported, kind } of outputs[output].imports) {
    if (kind !== 'import-statement' || found.has(imported)) continue;
    found.add(imported);
    importsOf(imported, found);
  }
  return found;
}
const page = Object.keys(outputs).find((output) => nameOf(output) === manifest['console.js']);
const preloads = [...importsOf(page)].map((output) => `<link rel="modulepreload" href="/console/${nameOf(output)}" />`).sort();
const html = (await readFile(path.join(root, 'src/index.html'), 'utf8'))
  .replace('%PRELOADS%', preloads.join('\n    '))
  .replace(/%(console\.\w+)%/g, (_, name) => manifest[name])
  .replace(/    \n/g, '');
await writeFile(path.join(out, 'index.html'), html);
await writeFile(path.join(out, 'manifest.json'), `${JSON.stringify(manifest, Object.keys(manifest).sort(), 2)}\n`);
await writeFile(path.join(out, 'licences.txt'), await licences(metafile.inputs));

async function licences(inputs) {
  const names = new Set();
  for (const input of Object.keys(inputs)) {
    const name = /node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(input)?.[1];
    if (name !== undefined) names.add(name);
  }
  const texts = [];
  for (const name of [...names].sort()) {
    const folder = path.join(root, 'node_modules', name);
    const { version, license } = JSON.parse(await readFile(path.join(folder, 'package.json'), 'utf8'));
    const file = (await readdir(folder)).find((entry) => /^licen[cs]e/i.test(entry));
    const text = file === undefined ? '' : await readFile(path.join(folder, file), 'utf8');
    texts.push(`${name} ${version} (${license})\n\n${text.replace(/[ \t]+$/gm, '').trim()}\n`);
  }
  return `The scripts of the console contain these packages.\n\n${texts.join(`\n${'-'.repeat(72)}\n\n`)}`;
}

const files = (await readdir(out)).sort();
let total = 0;
for (const file of files) {
  const bytes = await readFile(path.join(out, file));
  const compressed = gzipSync(bytes, { level: 9 }).length;
  const counts = /\.(js|css|html)$/.test(file);
  if (counts) total += compressed;
  if (!checks) console.log(`${file.padEnd(36)} ${String(bytes.length).padStart(7)} ${String(compressed).padStart(6)} gzip${counts ? '' : ', not counted'}`);
}
console.log(`${total} bytes of ${LIMIT}, gzip`);
if (total > LIMIT) {
  console.error('The console is too large.');
  process.exitCode = 1;
}

// Compressed here, so that the service needs no compressor that is this good, and this slow.
for (const file of files.filter((name) => /\.(js|css)$/.test(name))) {
  await writeFile(path.join(out, `${file}.br`), brotliCompressSync(await readFile(path.join(out, file))));
}

if (checks) {
  /** Of compressed files, what they contain: another version of Node.js may compress otherwise. */
  const contents = async (file) => {
    const bytes = await readFile(file);
    return file.endsWith('.br') ? brotliDecompressSync(bytes) : bytes;
  };
  const digest = async (folder) => {
    const entries = (await readdir(folder).catch(() => [])).sort();
    const hashes = await Promise.all(entries.map(async (file) => `${file} ${createHash('sha256').update(await contents(path.join(folder, file))).digest('hex')}`));
    return hashes.join('\n');
  };
  if ((await digest(out)) !== (await digest(path.join(root, 'dist')))) {
    console.error('console/dist is not what console/src builds: run `npm run build` in console/ and commit dist/');
    process.exitCode = 1;
  }
  await rm(out, { recursive: true });
}
