/**
 * What `npm test` runs once all is built: installs the peers, then runs the helper's own tests and the specs, and prints
 * one line with the sum. Arguments pick a part: `npm test -- spec/image spec/errors.spec.ts native`.
 */
import { spawn } from 'node:child_process'
import { readdirSync, statSync } from 'node:fs'
import { join, relative, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { impossibleHere } from './peers.js'
import { installPeers } from './runner/install.js'
import { endLeftovers, marker } from './runner/leftovers.js'
import { emptyTally, report, type Tally } from './runner/report.js'

const root = fileURLToPath(new URL('../../', import.meta.url))
const arguments_ = process.argv.slice(2)
const parts = arguments_.length === 0 ? ['native', 'spec'] : arguments_
const native = parts.includes('native')
const specs = parts.filter((part) => part !== 'native').flatMap((part) => specsOf(resolve(root, part)))

installPeers()
const tally = emptyTally()
if (native) await run('make', ['-s', '--no-print-directory', '-C', 'native', 'check'], tally)
if (specs.length > 0) await run(join(root, 'node_modules/.bin/tap'), ['run', '--reporter=tap', ...specs], tally)

const leftovers = endLeftovers()
if (leftovers.length > 0) {
  console.log(`\nLeft running by the tests, and ended now:\n${leftovers.map((line) => `  ${line}`).join('\n')}`)
  tally.failed += leftovers.length
}
// What broke without a failed assertion, such as a runner that died, must not read as a success.
if (tally.broken && tally.failed === 0) tally.failed = 1

const unexcused = tally.skipped.filter(({ reason }) => !reason.startsWith(impossibleHere))
if (tally.skipped.length > 0)
  console.log(`\nSkipped:\n${tally.skipped.map(({ name, reason }) => `  ${name}: ${reason}`).join('\n')}`)
const strict = process.env['CI'] === 'true'
if (strict && unexcused.length > 0) console.log('\nUnder CI=true a test may be skipped only for what the machine is.')
console.log(`\n${String(tally.passed)} passed, ${String(tally.failed)} failed, ${String(tally.skipped.length)} skipped`)
const ran = tally.passed + tally.failed + tally.skipped.length > 0
process.exitCode = !ran || tally.failed > 0 || (strict && unexcused.length > 0) ? 1 : 0

/** The compiled specs for a file or a folder of sources: those whose source is gone are left out. */
function specsOf(path: string): string[] {
  const compiled = (source: string): string => join('.build', relative(root, source).replace(/\.ts$/, '.js'))
  if (!statSync(path).isDirectory()) return [compiled(path)]
  return readdirSync(path, { withFileTypes: true })
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .flatMap((entry) => {
      const inside = join(path, entry.name)
      if (entry.isDirectory()) return specsOf(inside)
      return entry.name.endsWith('.spec.ts') ? [compiled(inside)] : []
    })
}

/** Run a program whose stdout is TAP. A program that fails without a failed test is a failure too. */
async function run(command: string, args: readonly string[], into: Tally): Promise<void> {
  const [name, value] = marker.split('=') as [string, string]
  const env = { ...process.env, [name]: value }
  const child = spawn(command, args, { cwd: root, env, stdio: ['ignore', 'pipe', 'inherit'] })
  const exited = new Promise<boolean>((done, fail) => {
    child.on('error', fail)
    child.on('exit', (code) => {
      done(code === 0)
    })
  })
  await report(child.stdout, into, console.log)
  if (!(await exited)) into.broken = true
}
