/**
 * What `npm test` runs once all is built: installs the peers, then runs the helper's own tests and the specs, and prints
 * one line with the sum. Arguments pick a part: `npm test -- spec/image spec/journeys/01 native`. With `--installed` nothing is
 * installed; `--slower=8` gives each file eight times as long; `--chances=3` runs files that failed once more, if no more than
 * three did, as is done where all are run.
 */
import { existsSync, readdirSync, statSync } from 'node:fs'
import { basename, dirname, join, relative, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { impossibleHere } from './peers.js'
import { installPeers } from './runner/install.js'
import { endLeftovers } from './runner/leftovers.js'
import { networkTraces } from './runner/machine.js'
import { runFiles, type TestFile } from './runner/run-files.js'

/** Seconds that a file has: on a machine with many other things to do the longest take five minutes. */
const PATIENCE = 600

/** Of all files, so many may fail and be given a second chance. Who names a part wants to see it fail. */
const CHANCES = '3'

const root = fileURLToPath(new URL('../../', import.meta.url))
const { positionals: given, values } = parseArgs({
  allowPositionals: true,
  options: {
    installed: { type: 'boolean', default: false },
    slower: { type: 'string', default: '1' },
    chances: { type: 'string' },
  },
})
const parts = given.length === 0 ? ['native', 'spec'] : given
const files = parts.flatMap((part) => (part === 'native' ? [native()] : specsAt(resolve(root, part))))

if (!values.installed) installPeers()
const tracesBefore = networkTraces()
const chances = Number(values.chances ?? (given.length === 0 ? CHANCES : 0))
const { passed, failed, skipped, unsteady } = await runFiles(files, root, PATIENCE * Number(values.slower), chances)
for (const process of endLeftovers()) {
  console.log(`Left running by the tests, and ended now: ${process}`)
  failed.push({ name: process, details: '' })
}
for (const trace of networkTraces().filter((one) => !tracesBefore.includes(one))) {
  console.log(`Left on this machine's network by the tests: ${trace}`)
  failed.push({ name: trace, details: '' })
}

const strict = process.env['CI'] === 'true'
const unexcused = skipped.filter(({ reason }) => !reason.startsWith(impossibleHere))
if (skipped.length > 0) console.log('\nSkipped:')
for (const { name, reason } of skipped) console.log(`  ${name}: ${reason}`)
if (strict && unexcused.length > 0) console.log('Under CI=true a test may be skipped only for what the machine is.')
if (unsteady.length > 0)
  console.log('\nUnsteady, and to be mended: failed beside others (see above), and passed alone:')
for (const name of unsteady) console.log(`  ${name}`)
console.log(`\n${String(passed)} passed, ${String(failed.length)} failed, ${String(skipped.length)} skipped`)
process.exitCode = passed === 0 || failed.length > 0 || (strict && unexcused.length > 0) ? 1 : 0

/** The helper's own tests. */
function native(): TestFile {
  return { name: 'native', command: 'make', args: ['-s', '--no-print-directory', '-C', 'native', 'check'] }
}

/** The specs that an argument means: a file, a folder, or the beginning of the names of some. */
function specsAt(path: string): TestFile[] {
  const folder = dirname(path)
  const siblings = existsSync(folder) ? readdirSync(folder).sort() : []
  const named = siblings.filter((name) => name === basename(path))
  const found = (named.length > 0 ? named : siblings.filter((name) => name.startsWith(basename(path))))
    .map((name) => join(folder, name))
    .filter((name) => name.endsWith('.spec.ts') || statSync(name).isDirectory())
  if (found.length > 0) return found.flatMap(specsOf)
  console.error(`No tests at ${relative(root, path)}: give a file or folder of spec/, or the beginning of its name.`)
  process.exit(1)
}

/** The specs in a file or a folder of sources. What was compiled from a source that is gone is not among them. */
function specsOf(path: string): TestFile[] {
  if (!statSync(path).isDirectory()) {
    const name = relative(root, path)
    const compiled = join('.build', name.replace(/\.ts$/, '.js'))
    const alone = name === 'spec/journeys/18-rootless-bans.spec.ts'
    return [{ name, command: process.execPath, args: ['--enable-source-maps', compiled], alone }]
  }
  return readdirSync(path, { withFileTypes: true })
    .filter((entry) => entry.isDirectory() || entry.name.endsWith('.spec.ts'))
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .flatMap((entry) => specsOf(join(path, entry.name)))
}
