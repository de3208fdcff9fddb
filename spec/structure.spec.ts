/** The rules of the source tree that no compiler knows: who may import whom, and what stands in one place only. */
import { readdirSync, readFileSync } from 'node:fs'
import { builtinModules } from 'node:module'
import { basename, dirname, join, posix } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import ts from 'typescript'

const root = fileURLToPath(new URL('../../', import.meta.url))

/** In the order that data flows: a file imports only from its own folder and from those before it. */
const order = [
  'errors',
  'teardown',
  'gate',
  'late',
  'precompiled',
  'schema',
  'sys',
  'event',
  'image',
  'storage',
  'network',
  'security',
  'cgroup',
  'launch',
  'container',
  'oci',
  'pod',
  'runtime',
  'index',
]

/** Where the environment comes in. All else takes what it needs as an option. */
const readsEnvironment = new Set([
  'lib/runtime.ts',
  'lib/oci/main.ts',
  'lib/oci/host-hooks.ts',
  'lib/image/credentials.ts',
])

interface Source {
  /** Relative to the top, `lib/image/digest.ts`. */
  readonly path: string
  readonly text: string
  /** As written, `./digest.js` or `node:fs`. */
  readonly imports: readonly string[]
}

const lib = sourcesOf('lib')

t.test('a folder imports only what stands before it', (t) => {
  for (const { path, imports } of lib) {
    const own = rank(path)
    t.not(own, -1, `${path} is in a folder of the order`)
    for (const target of imports.filter(isRelative)) {
      const theirs = rank(resolveImport(path, target))
      t.ok(theirs !== -1 && theirs <= own, `${path} may import ${target}`)
    }
  }
  t.end()
})

t.test('no circle of imports', (t) => {
  const edges = new Map(lib.map(({ path, imports }) => [path, localImports(path, imports)]))
  const finished = new Set<string>()
  const circles: string[] = []
  const visit = (path: string, trail: readonly string[]): void => {
    if (trail.includes(path)) circles.push([...trail.slice(trail.indexOf(path)), path].join(' → '))
    if (finished.has(path) || trail.includes(path)) return
    for (const next of edges.get(path) ?? []) visit(next, [...trail, path])
    finished.add(path)
  }
  for (const path of edges.keys()) visit(path, [])
  t.same(circles, [])
  t.end()
})

t.test('imports name what they mean', (t) => {
  const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
    dependencies: Record<string, string>
  }
  const bare = new Set(builtinModules)
  for (const { path, imports } of lib) {
    for (const target of imports) {
      t.notOk(bare.has(target), `${path}: ${target} is written with node: in front`)
      if (isRelative(target)) t.ok(target.endsWith('.js'), `${path}: ${target} ends in .js`)
      else if (!target.startsWith('node:'))
        t.ok(packageName(target) in manifest.dependencies, `${path}: ${target} is a dependency`)
    }
  }
  t.end()
})

t.test('what stands in one place only', (t) => {
  for (const { path, imports, text } of lib) {
    if (path !== 'lib/sys/libc.ts') t.notOk(imports.includes('koffi'), `${path}: FFI is declared in lib/sys/libc.ts`)
    if (!readsEnvironment.has(path)) t.notOk(readsEnv(text), `${path} does not read the environment`)
    if (path === 'lib/index.ts') t.notMatch(text, /export \*/, 'lib/index.ts names each export')
    t.notMatch(basename(path), /^(utils?|helpers?|misc|common)\.ts$/, `${path} has a name that says what it does`)
  }
  t.end()
})

t.test('journeys and examples know the public face only', (t) => {
  for (const { path, imports } of [...sourcesOf('spec/journeys'), ...sourcesOf('examples')]) {
    const inner = imports.filter((target) => resolveImport(path, target).startsWith('lib/'))
    t.same(inner, [], `${path} imports 'podling' alone`)
  }
  t.end()
})

t.test('the top level is fixed', (t) => {
  const known = ['package.json', 'tsconfig.json', 'lib', 'native', 'spec', 'examples', 'CHANGELOG.md', 'README.md']
  const insistedOn = ['package-lock.json', 'LICENSE', 'node_modules', 'dist']
  const others = readdirSync(root).filter(
    (name) => !name.startsWith('.') && !name.endsWith('.tgz') && ![...known, ...insistedOn].includes(name),
  )
  t.same(others, [])
  t.end()
})

function sourcesOf(folder: string): Source[] {
  return readdirSync(join(root, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = posix.join(folder, entry.name)
    if (entry.isDirectory()) return sourcesOf(path)
    if (!entry.name.endsWith('.ts')) return []
    const text = readFileSync(join(root, path), 'utf8')
    return [{ path, text, imports: ts.preProcessFile(text).importedFiles.map((file) => file.fileName) }]
  })
}

/** The place of `lib/image/digest.ts` or `lib/errors.ts` in the order. */
function rank(path: string): number {
  const [, first = ''] = path.split('/')
  return order.indexOf(first.replace(/\.ts$/, ''))
}

/** `process.env`, unless the file calls something of its own `process`, as code about the OCI spec does. */
function readsEnv(text: string): boolean {
  if (!/\bprocess\.env\b/.test(text)) return false
  const declares = (node: ts.Node): boolean =>
    ((ts.isParameter(node) || ts.isVariableDeclaration(node) || ts.isBindingElement(node)) &&
      ts.isIdentifier(node.name) &&
      node.name.text === 'process') ||
    (ts.forEachChild(node, declares) ?? false)
  return !declares(ts.createSourceFile('source.ts', text, ts.ScriptTarget.ES2022))
}

function isRelative(target: string): boolean {
  return target.startsWith('.')
}

function resolveImport(from: string, target: string): string {
  return isRelative(target) ? posix.join(dirname(from), target.replace(/\.js$/, '.ts')) : target
}

function localImports(path: string, imports: readonly string[]): string[] {
  return imports.filter(isRelative).map((target) => resolveImport(path, target))
}

function packageName(target: string): string {
  return target.split('/', target.startsWith('@') ? 2 : 1).join('/')
}
