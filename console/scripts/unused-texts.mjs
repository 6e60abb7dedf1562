// Names texts that no source uses.
import { readFile, readdir } from 'node:fs/promises';
const src = new URL('../src/', import.meta.url);
const files = (await readdir(src, { recursive: true })).filter((file) => file.endsWith('.ts') && file !== 'texts.ts');
const sources = (await Promise.all(files.map((file) => readFile(new URL(file, src), 'utf8')))).join('\n');
const texts = await readFile(new URL('texts.ts', src), 'utf8');
let section = '';
let unused = 0;
for (const line of texts.split('\n')) {
  const [, indent = '', name] = /^( +)(\w+):/.exec(line) ?? [];
  if (name === undefined) continue;
  if (indent.length === 2) section = name;
  if (indent.length !== 4) continue;
  // By its name, or by a computed one.
  if (new RegExp(`[.']${name}\\b`).test(sources)) continue;
  console.error(`texts.${section}.${name} is not used`);
  unused++;
}
if (unused > 0) process.exit(1);
