/**
 * What V8 makes of the bundles in dist/, kept for lib/precompiled.ts to start with: dist/compiled/VERSION-ARCH/, for the
 * version of V8 in the Node that runs this. `node .ci/precompile.mjs` under another Node adds that of its V8.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import Module from 'node:module'
import { join } from 'node:path'
import { setFlagsFromString } from 'node:v8'
import { Script } from 'node:vm'

const directory = join('dist/compiled', `${process.versions.v8}-${process.arch}`)
mkdirSync(directory, { recursive: true })
for (const name of ['library', 'oci']) {
  // Functions too that nothing has called yet: what isn't in there, every process would compile when it comes to it.
  setFlagsFromString('--no-lazy')
  const script = new Script(Module.wrap(readFileSync(`dist/${name}.cjs`, 'utf8')), { filename: `${name}.cjs` })
  // The flags are part of what V8 compares when it is given this, so they must be the usual ones when it is made.
  setFlagsFromString('--lazy')
  writeFileSync(join(directory, `${name}.bin`), script.createCachedData())
}
