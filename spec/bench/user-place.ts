/** An ordinary user, whom a benchmark runs Podling by, in a process of its own, and his podman. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chownSync, copyFileSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { makeUser, type OrdinaryUser } from '../fixtures/ordinary-user.js'
import { has } from '../peers.js'
import type { Workspace } from './workspace.js'

/** The user, and what is to be undone. */
export class Place {
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

/** A process of start-host.ts. */
export interface StartHost {
  /** @param request a line of its input. @returns what its answer says, JSON */
  ask(request: string): Promise<unknown>
  close(): Promise<void>
}

/** Podling in a process of its own. */
export async function startHost(
  place: Place,
  { uid, gid }: Pick<OrdinaryUser, 'uid' | 'gid'> = place.user,
): Promise<StartHost> {
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
    async ask(request) {
      const answer = hear()
      child.stdin.write(`${request}\n`)
      return JSON.parse(await answer) as unknown
    },
    async close() {
      const ended = once(child, 'exit')
      child.stdin.end()
      await ended
    },
  }
}

/** His podman, with the image of the benchmark. */
export interface UserPodman {
  readonly image: string
  readonly argv: readonly string[]
  readonly env: NodeJS.ProcessEnv
  readonly call: (...words: string[]) => Promise<void>
  readonly close: () => Promise<void>
}

/** @returns undefined when podman isn't installed */
export async function userPodman(place: Place): Promise<UserPodman | undefined> {
  if (!has('podman')) return undefined
  const { uid, gid, home } = place.user
  const runRoot = place.runRoot(uid, gid)
  const become = ['setpriv', '--reuid', String(uid), '--regid', String(gid), '--clear-groups']
  const options = ['--runtime', 'runc', '--cgroup-manager', 'cgroupfs', '--events-backend', 'none']
  const argv = [...become, 'podman', ...options, '--root', join(home, 'podman'), '--runroot', join(runRoot, 'podman')]
  const env = { ...place.env, XDG_RUNTIME_DIR: runRoot, PODMAN_IGNORE_CGROUPSV1_WARNING: '1' }
  const image = 'localhost/podling-bench:latest'
  const call = async (...words: string[]): Promise<void> => {
    const [file = '', ...given] = [...argv, ...words]
    const [code] = (await once(spawn(file, given, { env, cwd: home, stdio: 'ignore' }), 'exit')) as [number | null]
    if (code !== 0) throw new Error(`podman ${words.join(' ')} ended with ${String(code)}`)
  }
  await call('import', place.tar, image)
  // The last ends the process that holds its user namespace.
  const close = async (): Promise<void> => {
    await call('rm', '--all', '--force', '--time', '0')
    await call('system', 'migrate')
  }
  return { image, argv, env, call, close }
}
