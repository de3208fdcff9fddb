/** A start by an ordinary user beside the same by root, each in a process of its own, and beside rootless podman. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chownSync, copyFileSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { makeUser, type OrdinaryUser } from '../fixtures/ordinary-user.js'
import { has } from '../peers.js'
import { command } from './peers.js'
import { gather, inTurn, type Context, type Subject, type Trial } from './trial.js'
import type { Workspace } from './workspace.js'

const ROOT_ROW = 'podling, root'
const ROOTLESS_ROW = 'podling, rootless'

/** The user, and what is to be undone. */
class Place {
  readonly #undone: (() => unknown)[] = []
  readonly user: OrdinaryUser
  readonly tar: string

  constructor(workspace: Workspace) {
    this.user = makeUser({ teardown: (undo: () => unknown) => this.#undone.unshift(undo) })
    this.tar = join(this.user.home, 'rootfs.tar')
    copyFileSync(workspace.tar, this.tar)
    chownSync(this.tar, this.user.uid, this.user.gid)
  }

  /** A new directory of the user's, in memory as /run/user/UID is, or root's. */
  runRoot(uid: number, gid: number): string {
    const path = mkdtempSync('/run/podling-bench-')
    this.#undone.unshift(() => {
      rmSync(path, { recursive: true, force: true, maxRetries: 3 })
    })
    chownSync(path, uid, gid)
    return path
  }

  get env(): NodeJS.ProcessEnv {
    return { HOME: this.user.home, PATH: process.env['PATH'] }
  }

  close(): void {
    for (const undo of this.#undone.splice(0)) undo()
  }
}

/** Podling in a process of its own. */
async function podling(place: Place, name: string, { uid, gid }: Pick<OrdinaryUser, 'uid' | 'gid'>): Promise<Subject> {
  const runRoot = place.runRoot(uid, gid)
  const root = join(place.user.home, `root-${String(uid)}`)
  mkdirSync(root)
  chownSync(root, uid, gid)
  const program = fileURLToPath(new URL('start-host.js', import.meta.url))
  const child = spawn(process.execPath, [program], {
    uid,
    gid,
    env: { ...place.env, ROOT: root, RUN_ROOT: runRoot, TAR: place.tar },
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]()
  const hear = async (): Promise<string> => {
    const next = (await lines.next()) as IteratorResult<string, undefined>
    if (next.done === true) throw new Error('its process ended')
    return next.value
  }
  await hear()
  return {
    name,
    async sample(count) {
      const answer = hear()
      child.stdin.write(`${String(count)}\n`)
      return { [name]: JSON.parse(await answer) as number[] }
    },
    async close() {
      const ended = once(child, 'exit')
      child.stdin.end()
      await ended
    },
  }
}

async function podman(place: Place, { workspace }: Context): Promise<Subject[]> {
  if (!has('podman')) return []
  const { uid, gid, home } = place.user
  const runRoot = place.runRoot(uid, gid)
  const become = ['setpriv', '--reuid', String(uid), '--regid', String(gid), '--clear-groups']
  const options = ['--runtime', 'runc', '--cgroup-manager', 'cgroupfs', '--events-backend', 'none']
  const podman = [...become, 'podman', ...options, '--root', join(home, 'podman'), '--runroot', join(runRoot, 'podman')]
  const env = { ...place.env, XDG_RUNTIME_DIR: runRoot, PODMAN_IGNORE_CGROUPSV1_WARNING: '1' }
  const image = 'localhost/podling-bench:latest'
  const tell = async (...words: string[]): Promise<void> => {
    const [file = '', ...given] = [...podman, ...words]
    const [code] = (await once(spawn(file, given, { env, cwd: home, stdio: 'ignore' }), 'exit')) as [number | null]
    if (code !== 0) throw new Error(`podman ${words.join(' ')} ended with ${String(code)}`)
  }
  await tell('import', place.tar, image)
  // It ends the process that holds its user namespace.
  const close = (): Promise<void> => tell('system', 'migrate')
  const run = ['run', '--rm', '--network', 'none', '--log-driver', 'none', image, '/bin/true']
  return [command(workspace, 'podman run, rootless', [...podman, ...run], { most: 30, env, close })]
}

export const rootless: Trial = {
  name: 'rootless',
  about: 'start → exit of /bin/true without a network and without limits, by root and by an ordinary user',
  own: false,
  async run(context) {
    const place = new Place(context.workspace)
    try {
      const subjects = await gather(context, {
        podling: async () => [
          await podling(place, ROOT_ROW, { uid: 0, gid: 0 }),
          await podling(place, ROOTLESS_ROW, place.user),
        ],
        podman: () => podman(place, context),
      })
      const samples = await inTurn(context, subjects)
      const root = samples.get(ROOT_ROW)
      return [...samples].map(([subject, values]) => ({
        trial: 'rootless',
        subject,
        unit: 'ms',
        samples: values,
        ...(root === undefined ? {} : { floor: root }),
        ...(subject === ROOTLESS_ROW ? { aim: 'at most 1.3 × root' } : {}),
      }))
    } finally {
      place.close()
    }
  },
}
