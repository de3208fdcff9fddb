/**
 * Runs the package's code with what V8 made of it when the package was built (.ci/precompile.mjs): to compile it anew takes
 * most processes longer than all that they have it do. V8 itself refuses what was made by another version of it or under
 * other flags, and then compiles as ever. Nothing is ever written by those who use the package, since what root runs must not
 * come from a directory that others can write to. Of the source V8 compares the length alone: who changes a bundle by hand removes
 * dist/compiled too.
 */
import { readFileSync } from 'node:fs'
import Module from 'node:module'
import { dirname, join } from 'node:path'
import { Script } from 'node:vm'

/**
 * Run one of the package's bundles as a CommonJS module.
 * @param name of the file beside this one, `library` for library.cjs
 * @returns what it exports
 */
export function run(name: string): unknown {
  const path = join(__dirname, `${name}.cjs`)
  const cachedData = compiled(name)
  const script = new Script(Module.wrap(readFileSync(path, 'utf8')), {
    filename: path,
    ...(cachedData && { cachedData }),
  })
  const module = { exports: {} }
  const body = script.runInThisContext() as (...scope: unknown[]) => void
  body(module.exports, Module.createRequire(path), module, path, dirname(path))
  return module.exports
}

/** What was compiled for exactly this V8; undefined for others. */
function compiled(name: string): Buffer | undefined {
  try {
    return readFileSync(join(__dirname, 'compiled', `${process.versions.v8}-${process.arch}`, `${name}.bin`))
  } catch {
    return undefined
  }
}
