/** Where an ordinary user's runtime keeps its state, when he doesn't say: the XDG base directories, as Podman has it. */
import { lstatSync, mkdirSync } from 'node:fs'
import { isAbsolute } from 'node:path'
import { PodlingError } from '../errors.js'
import { fileError, isErrno } from '../storage/file-error.js'
import type { DefaultPaths } from './paths.js'

/** @throws PodlingError `INVALID_OPTION` when no directory can be found, `PERMISSION_DENIED` when one is another's */
export function userDefaults(environment: Readonly<Record<string, string | undefined>>, uid: number): DefaultPaths {
  return { root: `${dataHome(environment)}/podling`, runRoot: runHome(environment['XDG_RUNTIME_DIR'], uid) }
}

function dataHome({ XDG_DATA_HOME: data, HOME: home }: Readonly<Record<string, string | undefined>>): string {
  // A relative one is to be ignored (XDG Base Directory Specification).
  if (data !== undefined && isAbsolute(data)) return data
  if (home !== undefined && isAbsolute(home)) return `${home}/.local/share`
  throw new PodlingError(
    'INVALID_OPTION',
    'root: is required where neither HOME nor XDG_DATA_HOME names a directory; give one',
  )
}

function runHome(named: string | undefined, uid: number): string {
  for (const path of [named, `/run/user/${String(uid)}`]) {
    // After su(1) the variable may still be another user's.
    if (path !== undefined && isAbsolute(path) && isPrivate(path, uid)) return `${path}/podling`
  }
  return ownInTmp(`/tmp/podling-run-${String(uid)}`, uid)
}

/** Anybody may have made it before us, and let it be a link to where he likes. */
function ownInTmp(path: string, uid: number): string {
  try {
    mkdirSync(path, 0o700)
  } catch (error) {
    if (!isErrno(error, 'EEXIST')) throw fileError(error, `make the run directory ${path}`)
  }
  if (isPrivate(path, uid)) return path
  throw new PodlingError(
    'PERMISSION_DENIED',
    `runRoot: ${path} is not a directory that is this user's alone; remove it, or give another runRoot`,
    { path },
  )
}

/** A directory, no link to one, of this user, which nobody else can look into. */
function isPrivate(path: string, uid: number): boolean {
  const status = lstatSync(path, { throwIfNoEntry: false })
  return status !== undefined && status.isDirectory() && status.uid === uid && (status.mode & 0o077) === 0
}
