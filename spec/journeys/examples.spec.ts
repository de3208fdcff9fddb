/** The programs that newcomers copy do what they say. */
import { execFile, spawn } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import t, { type Test } from 'tap'
import { temporaryDirectory } from '../fixtures/directory.js'
import { busyboxLayout, pushLayout } from '../fixtures/images.js'
import { inOwnNetwork } from '../fixtures/own-network.js'
import { startRegistry } from '../fixtures/registry.js'
import { watchScreen } from '../fixtures/screen.js'
import { needs } from '../peers.js'

const examples = fileURLToPath(new URL('../../examples/', import.meta.url))

/** What each prints, in this order, whatever stands between. */
const output: Readonly<Record<string, readonly RegExp[]>> = {
  hello: [/^Hello from a container$/m],
  quickstart: [
    /open the runtime +[\d.]+ ms/,
    /make the image +[\d.]+ ms +\d+ MB/,
    /make it again +[\d.]+ ms +nothing has changed/,
    /run it +[\d.]+ ms/,
    /fetch from it +[\d.]+ ms +"Hello from quickstart" at http:\/\/127\.0\.0\.1:\d+\//,
    /exec in it +[\d.]+ ms +cat \/etc\/hostname: "quickstart", exit code 0/,
    /stop it +[\d.]+ ms +exit code 0/,
    /read its logs +[\d.]+ ms +listening \| GET \/ \| goodbye/,
    /close the runtime +[\d.]+ ms +no process, mount, link or rule is left/,
    /all of it +[\d.]+ ms/,
  ],
  'pull-progress': [
    /^.*[0-9a-f]{12} █{40} \d+\.\d of \d+\.\d MB, done$/m,
    /^.*[0-9a-f]{12} █{40} \d+\.\d of \d+\.\d MB, done$/m,
    /^localhost:\d+\/busybox:1: \d+\.\d MB in \d+\.\d s$/m,
  ],
  changes: [
    /^C \/etc$/m,
    /^A \/etc\/changes\.js$/m,
    /^D \/etc\/old$/m,
    /^A \/etc\/state$/m,
    /^a tar of \d+ bytes with what was written in it$/m,
    /^docker\.io\/library\/changed:1: [\d.]+ kB of its own, [\d.]+ kB shared$/m,
    /^[\d.]+ kB for docker load or podman load in .*\.tar$/m,
  ],
  volumes: [/^first: 1 visit$/m, /^second: 2 visits$/m, /^kept in .*\/volumes\/visits\/_data$/m, /^gone$/m],
  pod: [/^client: open at \/till$/m, /^host: open at \/door$/m, /^shop is degraded: web running, client exited$/m],
  untrusted: [
    /^a fair one: 42 \(exit code 0\)$/m,
    /^a greedy one: used more memory than it was given$/m,
    /^an endless one: took too long$/m,
    /^a curious one: (ENOTFOUND|EAI_AGAIN)/m,
    /^a vandal: .*EROFS/m,
  ],
  postgres: [/^(#|ℹ) pass 3$/m, /^(#|ℹ) fail 0$/m],
  jobs: [
    /^square: done, "144"$/m,
    /^broken: failed, "so far"$/m,
    /^greedy: out of memory$/m,
    /^endless: out of time$/m,
    /^multiplying: done, "more processes: EAGAIN"$/m,
  ],
  watch: [
    /^first version$/m,
    // An event and a line of the log: each comes on a way of its own.
    /^(second version, with a mistake\nfailed with exit code 7|failed with exit code 7\nsecond version, with a mistake)$/m,
    /^third version$/m,
  ],
}

if (inOwnNetwork(import.meta.url)) {
  t.test('each example is tested', async (t) => {
    const names = readdirSync(examples).filter((name) => name.endsWith('.js'))
    t.strictSame(names.map((name) => basename(name, '.js')).sort(), [...Object.keys(output), 'terminal'].sort())
  })

  for (const [name, parts] of Object.entries(output)) {
    t.test(name, needs('root', 'iproute2', 'skopeo', 'docker-registry', 'postgresql'), async (t) => {
      const given = await argumentsOf(t, name)
      const { code, stdout, stderr } = await run(process.execPath, `${examples}${name}.js`, ...given)
      t.equal(code, 0, stderr)
      let rest = stdout
      for (const part of parts) {
        const found = part.exec(rest)
        t.ok(found, `${String(part)} in ${rest}`)
        if (found) rest = rest.slice(found.index + found[0].length)
      }
    })
  }

  t.test('terminal', needs('root'), async (t) => {
    const name = join(await temporaryDirectory(t), 'tty')
    const line = `stty cols 90 rows 25; tty > ${name}; exec ${process.execPath} ${examples}terminal.js`
    const child = spawn('script', ['-qec', line, '/dev/null'], { stdio: ['pipe', 'pipe', 'inherit'] })
    const code = new Promise((done) => child.on('close', done))
    const screen = watchScreen(child.stdout)
    await screen.sees(/bash-[\d.]+# /)
    child.stdin.write('stty size\r')
    await screen.sees(/25 90\r+\n/)
    await promisify(execFile)('stty', ['-F', (await readFile(name, 'utf8')).trim(), 'cols', '70', 'rows', '20'])
    child.stdin.write('until test "$(stty size)" = "20 70"; do :; done; echo res""ized\r')
    await screen.sees(/resized\r+\n/)
    child.stdin.write('\x10\x11')
    await screen.sees(/detached\r+\n/)
    t.equal(await code, 0)
  })

  t.test('the quickstart leaves nothing behind', needs('root'), async (t) => {
    t.strictSame(
      readdirSync(tmpdir()).filter((name) => name.startsWith('podling-quickstart-')),
      [],
    )
  })

  t.test('the quickstart says what to do when it is not root', needs('root'), async (t) => {
    // It may read this tree, though that stand where only root goes.
    const rights = ['--reuid=65534', '--regid=65534', '--clear-groups']
    const reads = ['--inh-caps=+dac_read_search', '--ambient-caps=+dac_read_search']
    const { code, stderr } = await run('setpriv', ...rights, ...reads, process.execPath, `${examples}quickstart.js`)
    t.equal(code, 1)
    t.match(stderr, /root/)
    t.match(stderr, /\(CGROUP_UNAVAILABLE\)/)
    t.notMatch(stderr, /^ +at /m, 'no stack: it is not a bug')
  })
}

/** What an example needs to be told of this machine. */
async function argumentsOf(t: Test, name: string): Promise<string[]> {
  if (name !== 'pull-progress') return []
  const registry = await startRegistry(t)
  const ref = `${registry.host}/busybox:1`
  await pushLayout(await busyboxLayout(await temporaryDirectory(t)), ref)
  return [ref]
}

async function run(
  command: string,
  ...args: readonly string[]
): Promise<{ code: number | null; stdout: string; stderr: string }> {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] })
  const text = { stdout: '', stderr: '' }
  child.stdout.setEncoding('utf8').on('data', (piece: string) => (text.stdout += piece))
  child.stderr.setEncoding('utf8').on('data', (piece: string) => (text.stderr += piece))
  const code = await new Promise<number | null>((done, fail) => child.on('error', fail).on('close', done))
  return { code, ...text }
}
