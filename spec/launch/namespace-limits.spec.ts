/** /proc/sys/user/max_*_namespaces reached: told as a limit, with nothing left. In a user namespace of the test's own. */
import { execFile } from 'node:child_process'
import { existsSync, mkdirSync, rmdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import t from 'tap'
import type { LimitedLaunch } from './limited-host.js'
import { makeRootfs } from './rootfs.js'
import { needs } from '../peers.js'

const program = fileURLToPath(new URL('limited-host.js', import.meta.url))

t.test('no more namespaces of a kind', needs('root', 'busybox'), async (t) => {
  const rootfs = makeRootfs()
  const hierarchies = ['memory', 'pids', 'unified', ''].map((name) => join('/sys/fs/cgroup', name))
  const parents = [hierarchies.find((path) => existsSync(join(path, 'cgroup.procs'))) ?? ''].map((path) =>
    join(path, `podling-spec-limits-${String(process.pid)}`),
  )
  for (const parent of parents) mkdirSync(parent)
  t.teardown(() => {
    rootfs.remove()
    for (const parent of parents) rmdirSync(parent)
  })
  const { stdout } = await promisify(execFile)('unshare', [
    '--user',
    '--map-root-user',
    '--mount',
    process.execPath,
    program,
    rootfs.directory,
    ...parents,
  ])
  const results = stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as LimitedLaunch)
  t.equal(results.length, 12)
  for (const { kind, warm, code, message, left, exitCode } of results) {
    const what = `${kind}${warm ? ', from the warm slot' : ''}`
    t.equal(code, 'LIMIT_REACHED', `${what}: ${message}`)
    t.match(
      message,
      /there can be no more namespaces of a kind \(ENOSPC\); raise the limits in \/proc\/sys\/user\/max_/,
    )
    t.strictSame(left, [], `${what}: nothing is left`)
    t.equal(exitCode, 0, `${what}: with the limit raised it starts`)
  }
})
