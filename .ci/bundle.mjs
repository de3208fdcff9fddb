/**
 * What `npm run build` makes of lib/ beside its types: few files in the place of some six hundred, since finding and
 * linking a module takes Node longer than to compile it, and every process of a user pays for that anew.
 *
 *   dist/index.js         the names that the library exports, for `import`
 *   dist/podling-oci.cjs  the program
 *   dist/library.cjs, dist/oci.cjs       the code of both: CommonJS, which Node starts sooner than ES modules, and which can
 *   dist/precompiled.cjs, dist/compiled/   be run with what V8 made of it beforehand
 *   dist/*-worker.js      ES modules, and what they share in dist/*-HASH.js
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

const workers = await build({
  ...common,
  format: 'esm',
  splitting: true,
  chunkNames: '[name]-[hash]',
  // All stand side by side, since the URL of a worker is relative to the file that asks for it.
  entryPoints: [
    { in: 'lib/storage/fetch-worker.ts', out: 'fetch-worker' },
    { in: 'lib/storage/unpack-worker.ts', out: 'unpack-worker' },
  ],
})

const code = await build({
  ...common,
  format: 'cjs',
  outExtension: { '.js': '.cjs' },
  entryPoints: [
    { in: 'lib/index.ts', out: 'library' },
    { in: 'lib/oci/main.ts', out: 'oci' },
    { in: 'lib/precompiled.ts', out: 'precompiled' },
  ],
  define: { 'import.meta.url': 'moduleUrl' },
  banner: { js: `'use strict'\nconst moduleUrl = require('node:url').pathToFileURL(__filename).href` },
})

const { exports: names } = (await build({ ...common, format: 'esm', metafile: true, entryPoints: ['lib/index.ts'] }))
  .metafile.outputs['dist/index.js']

const index = `import { run } from './precompiled.cjs'
export const { ${names.join(', ')} } = run('library')
`
const program = `#!/usr/bin/env node
require('./precompiled.cjs').run('oci')
`

const files = new Map([
  ...[...workers.outputFiles, ...code.outputFiles].map(({ path, text }) => [basename(path), text]),
  ['index.js', index],
  ['podling-oci.cjs', program],
])
mkdirSync('dist', { recursive: true })
for (const [name, text] of files) writeFileSync(`dist/${name}`, text)
chmodSync('dist/podling-oci.cjs', 0o755)

// What an earlier build left under other names would be packed too.
for (const name of readdirSync('dist')) {
  if (/\.c?js$/.test(name) && !files.has(name)) rmSync(`dist/${name}`)
}
rmSync('dist/compiled', { recursive: true, force: true })
await import('./precompile.mjs')
