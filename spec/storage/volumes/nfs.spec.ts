/** Volumes of NFS, from the kernel's own server, in a network namespace of the spec's. */
import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { readdir, readlink } from 'node:fs/promises'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import type { ContainerOptions } from 'podling'
import { temporaryDirectory } from '../../fixtures/directory.js'
import { nothing, settledLeftovers, within } from '../../fixtures/leftovers.js'
import { inOwnNetwork } from '../../fixtures/own-network.js'
import { testRuntime } from '../../fixtures/runtime.js'
import { impossible, needs } from '../../peers.js'

const needed = { ...needs('root', 'busybox', 'nftables'), ...impossible(obstacle()) }

if (inOwnNetwork(import.meta.url, { mounts: true })) {
  t.test('volumes of NFS', needed, async (t) => {
    const exported = join(await temporaryDirectory(t, 'podling-nfs-'), 'exported')
    mkdirSync(exported)
    writeFileSync(join(exported, 'word'), 'of the server\n')
    await serve(t, exported)
    const { runtime, root, ...setup } = await testRuntime()
    t.teardown(() => setup[Symbol.asyncDispose]())
    const { volumes } = runtime
    const idle = (volume: string, options: Partial<ContainerOptions> = {}) =>
      runtime.run({ image: 'busybox:test', volumes: [volume], network: 'none', command: ['sleep', '1000'], ...options })
    /** What the kernel's client has mounted, in whatever mount namespace. */
    const mounted = () => readFileSync('/proc/fs/nfsfs/volumes', 'utf8').trim().split('\n').slice(1)
    const nothingMounted = () =>
      within(
        20_000,
        () => Promise.resolve(mounted()),
        (found) => found.length === 0,
      )

    t.test('one mount for all containers, gone with the last', async (t) => {
      await volumes.create({ name: 'shared', options: { type: 'nfs', device: ':/', o: 'addr=127.0.0.1,vers=4.1' } })
      await using one = await idle('shared:/a')
      await using other = await idle('shared:/b:ro')
      t.match(await one.exec(['sh', '-c', 'cat /a/word; echo written > /a/new; grep " /a " /proc/mounts']), {
        stdout: /^of the server\n:\/ \/a nfs4 rw,.*vers=4\.1.*addr=127\.0\.0\.1/,
      })
      t.equal(readFileSync(join(exported, 'new'), 'utf8'), 'written\n')
      t.match(await other.exec(['sh', '-c', 'cat /b/new; touch /b/x']), { stdout: 'written\n', stderr: /Read-only/ })
      t.equal(mounted().length, 1)
      t.notOk(readFileSync('/proc/self/mountinfo', 'utf8').includes(' nfs4 '), 'the host does not see it')
      await one.remove({ force: true })
      await other.remove({ force: true })
      t.strictSame(await nothingMounted(), [])
    })

    t.test('at an address and of a version that the server has, read-only', async (t) => {
      const kinds = { nfs: 'ro', nfs4: 'ro,vers=4' }
      for (const [type, o] of Object.entries(kinds)) {
        await volumes.create({ name: 'read', options: { type, device: 'localhost:/', o } })
        {
          await using container = await idle('read:/r')
          t.match(await container.exec(['sh', '-c', 'cat /r/word; touch /r/x; grep " /r " /proc/mounts']), {
            stdout: /^of the server\nlocalhost:\/ \/r nfs4 ro,.*vers=4\.1/,
            stderr: /Read-only/,
          })
        }
        t.strictSame(await nothingMounted(), [])
        await volumes.remove('read')
      }
    })

    t.test('what a server does not have, or nobody serves, is told', async (t) => {
      execFileSync('nft', ['-f', '-'], {
        input: 'table ip t {\nchain c {\ntype filter hook input priority 0\ntcp dport 2 drop\n}\n}\n',
      })
      const wrong = [
        ['127.0.0.1:/nothing', 'vers=4.1', /mount volume wrong \(nfs on 127\.0\.0\.1:\/nothing\): .*ENOENT/],
        ['127.0.0.1:/', 'vers=4.2', /EPROTONOSUPPORT; the server speaks no such version/],
        ['127.0.0.1:/', 'port=1', /ECONNREFUSED; the server does not answer/],
        ['127.0.0.1:/', 'port=2,timeo=10,retrans=1', /ETIMEDOUT; the server does not answer/],
      ] as const
      for (const [device, o, message] of wrong) {
        await volumes.create({ name: 'wrong', options: { type: 'nfs', device, o } })
        await t.rejects(idle('wrong:/v'), { code: 'VOLUME_FAILED', message }, o)
        await volumes.remove('wrong')
        t.strictSame(await nothingMounted(), [])
      }
    })

    t.test('nothing is left', async (t) => {
      await runtime.close()
      t.strictSame(await settledLeftovers(root, root), nothing)
    })
  })
}

/** No peer of the other tests: where Debian's package is installed, its server starts. */
function obstacle(): string | false {
  if (!existsSync('/usr/sbin/rpc.nfsd')) return "it has not Debian's nfs-kernel-server"
  spawnSync('modprobe', ['-a', 'nfsv4', 'nfsd'], { stdio: 'ignore' })
  const fileSystems = readFileSync('/proc/filesystems', 'utf8')
  const lacking = ['nfs4', 'nfsd'].filter((one) => !new RegExp(`\\b${one}\\n`).test(fileSystems))
  return lacking.length > 0 && `its kernel has no ${lacking.join(', no ')}`
}

/** The server of this network namespace, with one export for loopback, and without NFS 4.2. */
async function serve(t: Test, directory: string): Promise<void> {
  const run = (...command: readonly [string, ...string[]]) =>
    execFileSync(command[0], command.slice(1), { stdio: 'pipe' })
  run('mount', '-t', 'tmpfs', 'state', '/var/lib/nfs')
  for (const file of ['etab', 'rmtab']) writeFileSync(`/var/lib/nfs/${file}`, '')
  run('mount', '-t', 'nfsd', 'nfsd', '/proc/fs/nfsd')
  run('exportfs', '-o', 'rw,no_root_squash,no_subtree_check,insecure,sync,fsid=0', `127.0.0.1:${directory}`)
  // It answers the kernel's questions about exports; what is asked before somebody listens is denied.
  const mountd = spawn('rpc.mountd', ['--foreground', '--no-nfs-version', '3'], { stdio: 'ignore' })
  t.teardown(() => mountd.kill('SIGKILL'))
  const channels = () => channelsOf(mountd.pid)
  t.equal(await within(20_000, channels, (count) => count === 4), 4, 'rpc.mountd listens')
  // Shorter ones than ten seconds there are not. Files are opened when the grace of the last server's clients is over.
  const versions = ['--no-nfs-version', '3', '--no-nfs-version', '4.2']
  run('rpc.nfsd', '--host', '127.0.0.1', ...versions, '--grace-time', '10', '--lease-time', '10', '2')
  t.teardown(() => run('rpc.nfsd', '0'))
}

/** How many files of /proc/net/rpc it answers by. */
async function channelsOf(pid: number | undefined): Promise<number> {
  const fds = `/proc/${String(pid)}/fd`
  const paths = await Promise.all((await readdir(fds)).map((fd) => readlink(join(fds, fd)).catch(() => '')))
  return paths.filter((path) => path.endsWith('/channel')).length
}
