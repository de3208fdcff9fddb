/**
 * The public types as a consumer's compiler sees them: each program here must compile, and each `@ts-expect-error` in it
 * must meet an error. They are compiled against the package's own `exports`, with the declarations checked too.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import ts from 'typescript'
import { compile } from './consumer.js'

const programs = {
  errors: `
    import { PodlingError, type ErrorCode, type ImageErrorCode, type PodlingErrorDetails } from 'podling'

    const details: PodlingErrorDetails = { syscall: 'mount', errno: 'EPERM', path: '/proc' }
    const error: Error = new PodlingError('IMAGE_NOT_FOUND', 'no image app', details)
    const code: ErrorCode = 'IMAGE_NOT_FOUND' satisfies ImageErrorCode

    // @ts-expect-error: not a code
    new PodlingError('NO_SUCH_CODE', 'x')
    // @ts-expect-error: an errno is its name
    new PodlingError('DISK_FULL', 'x', { errno: 28 })
    if (error instanceof PodlingError) {
      // @ts-expect-error: no such code to compare with
      if (error.code === 'ENOENT') throw error
      // @ts-expect-error: read-only
      error.code = code
    }
  `,
} as const

/** What a consumer's package.json and tsconfig.json say: both ways in which TypeScript reads \`exports\`. */
const consumers = {
  'an ES module': { type: 'module', options: { module: ts.ModuleKind.Node16, skipLibCheck: false } },
  'a bundler': {
    type: 'module',
    options: { module: ts.ModuleKind.ESNext, moduleResolution: ts.ModuleResolutionKind.Bundler, skipLibCheck: true },
  },
} as const

/** Packages whose types a consumer may meet in ours. metrics() is a registry of prom-client, to be merged with one's own. */
const shown = /node_modules\/(typescript|@types\/node|undici-types|eventemitter3|prom-client|@opentelemetry\/api)\//

for (const [consumer, { type, options }] of Object.entries(consumers)) {
  t.test(`the types, for ${consumer}`, (t) => {
    const directory = mkdtempSync(join(tmpdir(), 'podling-types-'))
    t.teardown(() => {
      rmSync(directory, { recursive: true })
    })
    const { program, messages } = compile(directory, type, options, programs)
    for (const name of Object.keys(programs)) t.same(messages(name), [], name)
    t.same(messages(undefined), [], 'the declarations themselves')
    const foreign = program
      .getSourceFiles()
      .map((file) => file.fileName)
      .filter((path) => path.includes('/node_modules/') && !shown.test(path))
    t.same(foreign, [], 'no type of a dependency shows')
    t.end()
  })
}

t.test('what stands behind the index is out of reach', (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'podling-types-'))
  t.teardown(() => {
    rmSync(directory, { recursive: true })
  })
  const deep = { deep: `import { PodlingError } from 'podling/dist/errors.js'\nexport { PodlingError }` }
  const { messages } = compile(directory, 'module', { module: ts.ModuleKind.Node16, skipLibCheck: true }, deep)
  t.match(messages('deep'), [/Cannot find module 'podling\/dist\/errors.js'/])
  t.end()
})
