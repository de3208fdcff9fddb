/** Our k8s-file beside that of `podman run`, for the same output; and what `podman logs` says beside our reading of its file. */
import { readFileSync } from 'node:fs'
import t from 'tap'
import { readLog } from '../../../lib/container/log/read-log.js'
import { Podman } from '../../bench/peers.js'
import { IMAGE, withRuntime } from '../../bench/podling.js'
import { Workspace } from '../../bench/workspace.js'
import { inOwnNetwork } from '../../fixtures/own-network.js'
import { needs } from '../../peers.js'

const { skip } = needs('root', 'podman')
// A second between the streams, so that their order is the same for all who read them.
const script =
  'echo one; echo; echo "  two "; echo -ne "\\0377\\0376\\n"; sleep 1; echo three >&2; sleep 1; echo -n unfinished'
const command = ['sh', '-c', script]

/** Entries without their times. */
function entries(path: string): string[] {
  const lines = readFileSync(path, 'latin1').trimEnd().split('\n')
  return lines.map((line) => line.replace(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}[+-]\d\d:\d\d /, ''))
}

async function ourReading(path: string): Promise<Buffer> {
  const chunks: Uint8Array[] = []
  const source = { driver: 'k8s-file', path, rotates: false } as const
  for await (const { bytes, partial } of readLog(source, { bytes: true }, Promise.resolve()))
    chunks.push(bytes!, Buffer.from(partial ? '' : '\n'))
  return Buffer.concat(chunks)
}

async function body(): Promise<void> {
  await using workspace = await Workspace.make()
  const podman = (await Podman.make(workspace))!
  try {
    const flags = ['--name', 'peer', ...podman.containerFlags('own')]
    await podman.call('run', ...flags, podman.image, ...command)
    const path = await podman.call('inspect', 'peer', '--format', '{{.HostConfig.LogConfig.Path}}')
    const theirs = entries(path)
    t.ok(theirs.length >= 6)
    await withRuntime(workspace, async (runtime) => {
      const container = await runtime.run({ image: IMAGE, command, network: 'none' })
      await container.wait()
      t.strictSame(entries(container.inspect().logPath!), theirs, 'the same entries')
      t.strictSame(
        (await ourReading(container.inspect().logPath!)).toString('latin1'),
        (await ourReading(path)).toString('latin1'),
        'both read as the same',
      )
    })
    const said = await podman.call('logs', 'peer')
    const ours = (await ourReading(path)).toString('utf8').replace('three\n', '').trim()
    t.equal(said, ours, 'podman logs says the same of stdout')
  } finally {
    await podman.close()
  }
}

if (skip !== undefined) t.test('podman', { skip }, () => undefined)
else if (inOwnNetwork(import.meta.url)) await t.test('podman writes and reads the same', body)
