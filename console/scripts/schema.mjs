// Writes src/api/schema.ts from ../docs/openapi.json; with --check, fails if it is not current.
import { readFile, writeFile } from 'node:fs/promises';
import openapiTS, { astToString } from 'openapi-typescript';

const target = new URL('../src/api/schema.ts', import.meta.url);
const document = JSON.parse(await readFile(new URL('../../docs/openapi.json', import.meta.url), 'utf8'));
const head = '// Generated from docs/openapi.json by `npm run schema`. Do not edit.\n\n';
const types = head + astToString(await openapiTS(document, { defaultNonNullable: false, excludeDeprecated: false }));

if (process.argv.includes('--check')) {
  const current = await readFile(target, 'utf8').catch(() => '');
  if (current !== types) {
    console.error('console/src/api/schema.ts is not what docs/openapi.json says: run `npm run schema` in console/');
    process.exit(1);
  }
} else {
  await writeFile(target, types);
}
