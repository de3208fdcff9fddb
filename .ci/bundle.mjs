/**
 * What `npm run build` makes of lib/ beside its types: few files in the place of some six hundred, since finding and
 * linking a module takes Node longer than to compile it, and every process of a user pays for that anew.
 *
 *   dist/index.js, dist/*-worker.js   ES modules, and what they share or load late in dist/*-HASH.js
 *   dist/podling-oci.cjs              one CommonJS file, which Node starts sooner than an ES module
 *
 * Dependencies stay outside: they are the user's to update.
 */
import { chmodSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { basename } from 'node:path'
import { build } from 'esbuild'

const common = {
  bundle: true,
  platform: 'node',
  target: 'node20',
  packages: 'external',
  tsconfig: 'tsconfig.json',
  outdir: 'dist',
  write: false,
  logLevel: 'warning',
  // Else a class that speaks of itself is shown by its inner name, as _Runtime.
  keepNames: true,
}

const modules = await build({
  ...common,
  format: 'esm',
  splitting: true,
  chunkNames: '[name]-[hash]',
  // All stand side by side, since the URL of a worker is relative to the file that asks for it.
  entryPoints: [
    { in: 'lib/index.ts', out: 'index' },
    { in: 'lib/storage/fetch-worker.ts', out: 'fetch-worker' },
    { in: 'lib/storage/unpack-worker.ts', out: 'unpack-worker' },
  ],
})

const command = await build({
  ...common,
  format: 'cjs',
  outExtension: { '.js': '.cjs' },
  entryPoints: [{ in: 'lib/oci/main.ts', out: 'podling-oci' }],
  define: { 'import.meta.url': 'moduleUrl' },
  banner: { js: "const moduleUrl = require('node:url').pathToFileURL(__filename).href" },
})

const files = [...modules.outputFiles, ...command.outputFiles]
mkdirSync('dist', { recursive: true })
for (const { path, text } of files) writeFileSync(path, text)
for (const { path } of command.outputFiles) chmodSync(path, 0o755)

// What an earlier build left under other names would be packed too.
const names = new Set(files.map(({ path }) => basename(path)))
for (const name of readdirSync('dist')) {
  if (/\.c?js$/.test(name) && !names.has(name)) rmSync(`dist/${name}`)
}
