/** The note of a checkpoint that is being made, by which the next open undoes it when its maker was killed in the middle. */
import { existsSync } from 'node:fs'
import { open, readFile, rm } from 'node:fs/promises'
import { setTimeout as pause } from 'node:timers/promises'
import { PodlingError } from '../../errors.js'
import type { Lifecycle } from '../lifecycle.js'
import type { ContainerPaths } from '../record.js'
import { RunLock } from '../run-lock.js'

interface Note {
  /** The runtime instance that makes it. */
  readonly owner: string
  /** What is to be removed. */
  readonly staging: string
  /** Was the container paused before? Else it goes on. */
  readonly paused: boolean
}

/** How long an open waits for a CRIU whose host has died. */
const PATIENCE_MS = 10_000
const PAUSE_MS = 20

function notePath({ directory }: ContainerPaths): string {
  return `${directory}/checkpoint.json`
}

/**
 * Note what is about to be made, before anything of it is there.
 * @returns the lock of the note. CRIU gets a copy: it goes on when we are killed, and until it has ended nobody may touch
 * what it writes, nor let the container go on.
 * @throws PodlingError `INVALID_STATE` when another process makes one
 */
export async function noteCheckpoint(
  { context, record, paths }: Lifecycle,
  note: Omit<Note, 'owner'>,
): Promise<RunLock> {
  const path = notePath(paths)
  const lock = await RunLock.acquire({ runDirectory: paths.directory, lock: path })
  if (lock === undefined) {
    throw new PodlingError('INVALID_STATE', `checkpoint container ${record.name}: another process makes one of it`)
  }
  try {
    const file = await open(path, 'w', 0o600)
    try {
      await file.writeFile(JSON.stringify({ owner: context.owner, ...note } satisfies Note))
      await file.sync()
    } finally {
      await file.close()
    }
    return lock
  } catch (error) {
    await forgetCheckpoint(paths)
    lock.release()
    throw error
  }
}

/** It is made, or undone. To be called with its lock held. */
export async function forgetCheckpoint(paths: ContainerPaths): Promise<void> {
  await rm(notePath(paths), { force: true })
}

/** Is a checkpoint being made of it, or was its making cut off? Asked of each container at each open, so without a promise. */
export function isCheckpointed(paths: ContainerPaths): boolean {
  return existsSync(notePath(paths))
}

/**
 * Undo what a host that was killed had made of a checkpoint: what is half written is removed, and the container goes on,
 * unless it was paused before.
 * @param hostLives tells whether the runtime instance of that id still has its lock
 */
export async function undoCheckpoint(
  container: Lifecycle,
  hostLives: (owner: string) => Promise<boolean>,
): Promise<void> {
  const { paths } = container
  const path = notePath(paths)
  const text = await readFile(path, 'utf8').catch(() => '')
  const note = parseNote(text)
  if (note !== undefined && (await hostLives(note.owner))) return
  const lock = await seizeFromCriu(path)
  if (lock === undefined) return
  try {
    if (note !== undefined) {
      await rm(note.staging, { recursive: true, force: true })
      await container.refresh()
      // One that ends in this moment needs neither.
      const { monitor } = container
      const mend = note.paused ? monitor?.freeze() : monitor?.thaw()
      await mend?.catch(() => undefined)
    }
    await rm(path, { force: true })
  } finally {
    lock.release()
  }
}

/** @returns undefined when it takes longer than we wait, or another process is at it: then the next open does it. */
async function seizeFromCriu(path: string): Promise<RunLock | undefined> {
  const end = performance.now() + PATIENCE_MS
  for (;;) {
    const lock = RunLock.seize(path)
    if (lock !== undefined || !RunLock.isHeld(path) || performance.now() > end) return lock
    await pause(PAUSE_MS)
  }
}

/** @returns undefined for a note that was not written to its end: nothing was made then. */
function parseNote(text: string): Note | undefined {
  try {
    const note = JSON.parse(text) as unknown
    return typeof note === 'object' && note !== null ? (note as Note) : undefined
  } catch {
    return undefined
  }
}
