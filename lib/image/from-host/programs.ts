/**
 * From the names of programs to their files: the search along a path list, and the interpreters of scripts.
 */
import { basename, join, resolve } from 'node:path'
import { PodlingError } from '../../errors.js'
import type { HostFiles } from './host-files.js'

/** Where programs are looked for. */
export interface ProgramSearch {
  /** Directories, in order, for names without a slash. */
  readonly path: readonly string[]
  /** The file of the Node that runs now, taken for `node` where the directories have none. */
  readonly execPath: string
}

/** The kernel follows a script whose interpreter is a script, four times (BINPRM_MAX_RECURSION). */
const MAX_SCRIPTS = 4

/**
 * The path of a program.
 * @throws PodlingError `HOST_PROGRAM_NOT_FOUND`, which says where it was looked for.
 */
export async function findProgram(name: string, host: HostFiles, search: ProgramSearch, why = ''): Promise<string> {
  if (name.includes('/')) {
    const path = resolve(name)
    if (await host.isProgram(path)) return path
    const reason = (await host.walk(path)) === undefined ? 'no such file' : 'it is not an executable file'
    throw new PodlingError('HOST_PROGRAM_NOT_FOUND', `program ${name} of the host${why}: ${reason}`, { path })
  }
  for (const directory of search.path) {
    const path = join(directory, name)
    if (directory.startsWith('/') && (await host.isProgram(path))) return path
  }
  if (name === 'node' && (await host.isProgram(search.execPath))) return search.execPath
  const places = search.path.length === 0 ? 'an empty path' : search.path.join(', ')
  throw new PodlingError('HOST_PROGRAM_NOT_FOUND', `program ${name} of the host${why}: not found in ${places}`)
}

/** What a `#!` line asks for. */
export interface Shebang {
  readonly interpreter: string
  /** For `/usr/bin/env name`: the name, found along the path when the script runs. */
  readonly program?: string
}

/** Read the first line of a script; undefined when there is no `#!`. The kernel looks at 256 bytes. */
export function parseShebang(head: Buffer): Shebang | undefined {
  const line = /^#![ \t]*([^\s\0]+)[ \t]*([^\n\0]*)/.exec(head.subarray(0, 256).toString('utf8'))
  if (line?.[1] === undefined) return undefined
  const interpreter = line[1]
  if (basename(interpreter) !== 'env') return { interpreter }
  // env -S splits its one argument, and NAME=VALUE words come before the program.
  const program = (line[2] ?? '')
    .trim()
    .split(/\s+/)
    .map((word) => word.replace(/^-S(?=.)|^--split-string=/, ''))
    .find((word) => word !== '' && !word.startsWith('-') && !word.includes('='))
  return program === undefined ? { interpreter } : { interpreter, program }
}

/** A program and all that its `#!` lines name, itself first. */
export async function withInterpreters(path: string, host: HostFiles, search: ProgramSearch): Promise<string[]> {
  const paths = [path]
  let scripts = [path]
  for (let depth = 0; scripts.length > 0; depth++) {
    const next: string[] = []
    for (const script of scripts) {
      if ((await host.elf(script)) !== undefined) continue
      const shebang = parseShebang(await host.head(script))
      if (shebang === undefined || depth > MAX_SCRIPTS) {
        throw new PodlingError(
          'HOST_PROGRAM_INVALID',
          `program ${script} of the host is neither an ELF file nor a script that begins with #!; list it under files to have it as it is`,
          { path: script },
        )
      }
      const why = `, which the script ${script} asks for`
      for (const name of [shebang.interpreter, shebang.program]) {
        if (name === undefined) continue
        const found = await findProgram(name, host, search, why)
        if (!paths.includes(found)) next.push(found)
      }
    }
    paths.push(...next)
    scripts = next
  }
  return paths
}
