// Runs the benchmarks' TypeScript as it stands: `node --import ./bench/typescript.mjs FILE.ts`. What they import from
// src is taken from dist: the built server is what is measured.
import { existsSync } from 'node:fs';
import { register } from 'node:module';
import { fileURLToPath } from 'node:url';
import { isMainThread } from 'node:worker_threads';
import { transformFile } from '@swc/core';

const root = new URL('../', import.meta.url).href;
// Node runs hooks in a thread of their own, from this same file.
if (isMainThread) register(import.meta.url);

export async function resolve(specifier, context, next) {
  if (!specifier.startsWith('.') || !context.parentURL) return next(specifier, context);
  const url = new URL(specifier, context.parentURL).href;
  if (url.startsWith(`${root}src/`)) return next(url.replace(`${root}src/`, `${root}dist/`), context);
  const source = url.replace(/\.js$/, '.ts');
  return next(!url.includes('/node_modules/') && existsSync(fileURLToPath(source)) ? source : specifier, context);
}

export async function load(url, context, next) {
  if (!url.endsWith('.ts')) return next(url, context);
  const { code } = await transformFile(fileURLToPath(url), { sourceMaps: 'inline' });
  return { format: 'module', source: code, shortCircuit: true };
}
