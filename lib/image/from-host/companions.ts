/**
 * What some programs can't do without, though no ELF header tells of it: Python's standard library, Git's helpers, modules of Debian's Node.
 * Each rule finds it from the program's own path, by the landmark that the program itself goes by.
 */
import { basename, dirname, join } from 'node:path'
import type { Elf } from './elf.js'
import type { HostFiles } from './host-files.js'

type Rule = (program: string, elf: Elf | undefined) => readonly string[]

/** Debian's Node, known by its libnode.so, reads some of its own modules from files. */
const node: Rule = (program, elf) =>
  elf?.needed.some((name) => name.startsWith('libnode.so')) === true
    ? ['acorn', 'acorn-walk', 'cjs-module-lexer', 'minimatch', 'undici'].map((name) =>
        join(prefix(program), 'share/nodejs', name),
      )
    : []

/** Python looks for os.py in `lib/pythonX.Y` of the prefix above its own `bin`. */
const python: Rule = (program) => {
  const version = /^python(\d+\.\d+)/.exec(basename(program))?.[1]
  return version === undefined ? [] : [join(prefix(program), 'lib', `python${version}`)]
}

/** Git runs its commands that are not built in, such as git-remote-https, from its exec path; templates for `init`. */
const git: Rule = (program) =>
  basename(program) === 'git'
    ? [
        join(prefix(program), 'lib/git-core'),
        join(prefix(program), 'libexec/git-core'),
        join(prefix(program), 'share/git-core'),
      ]
    : []

const rules: readonly Rule[] = [node, python, git]

function prefix(program: string): string {
  return dirname(dirname(program))
}

/** Directories that a program needs beside its libraries; only those that exist. `program` has its links resolved. */
export async function companionDirectories(program: string, host: HostFiles): Promise<string[]> {
  const found: string[] = []
  const elf = await host.elf(program)
  for (const directory of rules.flatMap((rule) => rule(program, elf))) {
    if ((await host.walk(directory))?.stats.isDirectory() === true) found.push(directory)
  }
  return found
}

/**
 * Libraries that glibc itself loads by name when they are first used, so that nothing lists them:
 * libgcc_s for pthread_cancel(3) and pthread_exit(3), libnss_* for host and user names before glibc 2.34.
 */
export const glibcRunTimeLibraries: readonly string[] = ['libgcc_s.so.1', 'libnss_files.so.2', 'libnss_dns.so.2']
