// Compiles the samples, as their users' tools do: scripts that a browser runs, by name.
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { compileScript, parse } from 'vue/compiler-sfc';

const here = fileURLToPath(new URL('.', import.meta.url));

const vue = {
  name: 'vue',
  setup({ onLoad }) {
    onLoad({ filter: /\.vue$/ }, async ({ path: file }) => {
      const { descriptor, errors } = parse(await readFile(file, 'utf8'), { filename: file });
      if (errors.length > 0) throw errors[0];
      const isCustomElement = (tag) => tag === 'rally-api-keys';
      const { content } = compileScript(descriptor, { id: 'sample', inlineTemplate: true, templateOptions: { compilerOptions: { isCustomElement } } });
      return { contents: content, loader: 'ts' };
    });
  },
};

export async function buildSamples() {
  const { outputFiles } = await build({
    absWorkingDir: here,
    entryPoints: ['react.tsx', 'vue.ts'],
    bundle: true,
    format: 'esm',
    target: 'chrome123',
    jsx: 'automatic',
    minify: true,
    write: false,
    outdir: 'out',
    define: { 'process.env.NODE_ENV': '"production"', __VUE_OPTIONS_API__: 'false', __VUE_PROD_DEVTOOLS__: 'false', __VUE_PROD_HYDRATION_MISMATCH_DETAILS__: 'false' },
    plugins: [vue],
    logLevel: 'warning',
  });
  return Object.fromEntries(outputFiles.map(({ path: file, text }) => [file.split('/').at(-1), text]));
}
