/** Giving a new user namespace its ids. */
import { execFile } from 'node:child_process'
import { statSync, writeFileSync } from 'node:fs'
import { fileError } from '../../storage/file-error.js'
import { mapProgramError, rangedMaps, rangeObstacle, singleMaps, type IdFacts, type IdMapLine } from './id-maps.js'

/**
 * @param pid a child of ours that waits for it, so that its pid can be no other's
 * @throws PodlingError `PERMISSION_DENIED`
 */
export async function mapIds(pid: number, facts: IdFacts): Promise<void> {
  const { newuidmap, newgidmap } = facts
  if (newuidmap === undefined || newgidmap === undefined || rangeObstacle(facts) !== undefined) {
    writeSingle(pid, facts)
    return
  }
  const { uids, gids } = rangedMaps(facts)
  await runMap('newuidmap', newuidmap, pid, uids)
  await runMap('newgidmap', newgidmap, pid, gids)
}

/** Who maps but himself needs no rights, as long as he gives up those that a group may be kept out by (user_namespaces(7)). */
function writeSingle(pid: number, facts: IdFacts): void {
  const { uids, gids } = singleMaps(facts)
  const text = (map: readonly IdMapLine[]): string => map.map((line) => `${line.join(' ')}\n`).join('')
  try {
    writeFileSync(`/proc/${String(pid)}/setgroups`, 'deny')
    writeFileSync(`/proc/${String(pid)}/uid_map`, text(uids))
    writeFileSync(`/proc/${String(pid)}/gid_map`, text(gids))
  } catch (error) {
    throw fileError(error, 'map the ids of containers')
  }
}

async function runMap(program: string, path: string, pid: number, map: readonly IdMapLine[]): Promise<void> {
  const said = await new Promise<{ code: string; text: string } | undefined>((resolve) => {
    // Nothing of this process's environment: the program is root's.
    execFile(path, [String(pid), ...map.flat().map(String)], { env: {} }, (error, _, stderr) => {
      resolve(error === null ? undefined : { code: String(error.code ?? error.signal), text: stderr.trim() })
    })
  })
  if (said === undefined) return
  throw mapProgramError(program, { said: said.text, code: said.code, setuid: isSetuidRoot(path) }, path)
}

function isSetuidRoot(path: string): boolean {
  const status = statSync(path, { throwIfNoEntry: false })
  return status !== undefined && (status.mode & 0o4000) !== 0 && status.uid === 0
}
