/** A real image out of a registry on this machine, and what the pulling host's loop and memory do meanwhile. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { debianImage, type DebianImage } from './debian-image.js'
import { Podman } from './peers.js'
import type { PullReport } from './puller.js'
import { median, type Row } from './table.js'
import { gather, inTurn, type Subject, type Trial } from './trial.js'
import type { Workspace } from './workspace.js'

const most = 10
const FLOOR = 'gunzip and a sequential write'
const drivers = ['erofs', 'overlay'] as const

/** What no pull can go below: the bytes unpacked and on the disk. */
function floor({ directory }: Workspace, { blob }: DebianImage): Subject {
  const out = join(directory, 'gunzipped')
  return {
    name: FLOOR,
    most,
    async sample(count) {
      const times: number[] = []
      for (let i = 0; i < count; i++) {
        const start = performance.now()
        const child = spawn('sh', ['-c', 'gunzip -c "$0" > "$1" && sync "$1"', blob, out], { stdio: 'inherit' })
        const [code] = (await once(child, 'exit')) as [number]
        times.push(performance.now() - start)
        if (code !== 0) throw new Error(`gunzip ended with ${String(code)}`)
        await rm(out)
      }
      return { [FLOOR]: times }
    },
  }
}

async function podling(workspace: Workspace, { ref }: DebianImage, driver: (typeof drivers)[number]): Promise<Subject> {
  const root = await mkdtemp(join(workspace.directory, `pull-${driver}-`))
  const host = fileURLToPath(new URL('./puller.js', import.meta.url))
  const child = spawn(process.execPath, [host, root, driver, ref], { stdio: ['pipe', 'pipe', 'inherit'] })
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]()
  await lines.next()
  const name = `podling pull, ${driver}`
  return {
    name,
    most,
    async sample(count) {
      const reports: PullReport[] = []
      for (let i = 0; i < count; i++) {
        child.stdin.write('pull\n')
        const line = await lines.next()
        if (line.done) throw new Error('the pulling host ended')
        reports.push(JSON.parse(line.value) as PullReport)
      }
      return {
        [name]: reports.map(({ milliseconds }) => milliseconds),
        [`${name}, the loop`]: reports.map(({ blocked }) => blocked),
        [`${name}, the loop on a CPU of its own`]: reports.map(({ own }) => own),
        [`${name}, no pull`]: reports.map(({ idle }) => idle),
        [`${name}, the host's growth`]: reports.map(({ megabytes }) => megabytes),
      }
    },
    async close() {
      child.stdin.end('end\n')
      if (child.exitCode === null) await once(child, 'exit')
    },
  }
}

async function podman(workspace: Workspace, { ref }: DebianImage): Promise<Subject[]> {
  const peer = await Podman.make(workspace)
  if (peer === undefined) return []
  return [
    {
      name: 'podman pull',
      most,
      async sample(count) {
        const times: number[] = []
        for (let i = 0; i < count; i++) {
          const start = performance.now()
          await peer.call('pull', '--quiet', '--tls-verify=false', ref)
          times.push(performance.now() - start)
          await peer.call('rmi', '--force', ref)
        }
        return { 'podman pull': times }
      },
      close: () => peer.close(),
    },
  ]
}

export const pull: Trial = {
  name: 'pull',
  about: 'an image of 550 MB in 14,000 files, gzip, from a registry on loopback',
  own: false,
  async run(context) {
    const { workspace, say } = context
    const image = await debianImage(workspace)
    try {
      const { files, bytes, packed } = image
      say(`${String(files)} files, ${(bytes / 1e6).toFixed(0)} MB, packed ${(packed / 1e6).toFixed(0)} MB`)
      const subjects = await gather(context, {
        floor: () => Promise.resolve([floor(workspace, image)]),
        podling: async () => {
          const all: Subject[] = []
          for (const driver of drivers) all.push(await podling(workspace, image, driver))
          return all
        },
        podman: () => podman(workspace, image),
      })
      return rowsOf(await inTurn(context, subjects, Math.min(context.runs, most)))
    } finally {
      await image.close()
    }
  },
}

const units: readonly [ending: string, unit: string, aim: string][] = [
  [', the loop', 'ms blocked', 'never over 5 ms'],
  [' of its own', 'ms blocked', 'never over 5 ms'],
  [', no pull', 'ms blocked', ''],
  ["'s growth", 'MB', 'under 150 MB'],
]

function rowsOf(samples: ReadonlyMap<string, readonly number[]>): Row[] {
  const lowest = samples.get(FLOOR)
  const peer = samples.get('podman pull')
  return [...samples].map(([subject, values]): Row => {
    const kind = units.find(([ending]) => subject.endsWith(ending))
    if (kind !== undefined) return { trial: 'pull', subject, unit: kind[1], samples: values, aim: kind[2] }
    const faster = peer === undefined ? '' : `, is ${(median(peer) / median(values)).toFixed(1)} × as fast as podman`
    const aims: Readonly<Record<string, string>> = {
      'podling pull, erofs': `at most 1.3 × floor, 3 × podman${faster}`,
      'podling pull, overlay': `1.5 × podman${faster}`,
    }
    return {
      trial: 'pull',
      subject,
      unit: 'ms',
      samples: values,
      ...(lowest === undefined ? {} : { floor: lowest }),
      ...(aims[subject] === undefined ? {} : { aim: aims[subject] }),
    }
  })
}
