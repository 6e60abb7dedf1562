// Checks the types of the samples, and that they compile.
import { spawnSync } from 'node:child_process';
import { buildSamples } from './build.mjs';

const { status } = spawnSync('node_modules/.bin/vue-tsc', ['--noEmit', '--project', 'samples'], { stdio: 'inherit' });
if (status !== 0) process.exit(1);
console.log(`samples compile: ${Object.keys(await buildSamples()).join(', ')}`);
