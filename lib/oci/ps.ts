import { spawnSync } from 'node:child_process'
import { processesOf } from './cgroup-end.js'
import type { Context } from './context.js'
import { OciError } from './oci-error.js'
import { print } from './print.js'

/** `ps ID [OPTION...]`: its processes, by ps(1) of the host with these options, or by their pids. */
export async function ps({ store, line }: Context, id: string, options: readonly string[]): Promise<number> {
  const format = formatOf(line.value('format'))
  const pids = (await processesOf(store.read(id).cgroup)).sort((one, other) => one - other)
  if (format === 'json') {
    print(`${pids.length === 0 ? 'null' : JSON.stringify(pids)}\n`)
    return 0
  }
  const { error, status, stdout, stderr } = spawnSync('ps', options.length === 0 ? ['-ef'] : options, {
    encoding: 'utf8',
    maxBuffer: 2 ** 28,
  })
  if (error !== undefined) throw new OciError(`run ps: ${error.message}; install procps`, { cause: error })
  if (status !== 0) throw new OciError(`ps: exit status ${String(status)}: ${stderr.trim()}`)
  print(rowsOf(stdout, new Set(pids)))
  return 0
}

/** @throws OciError */
export function formatOf(text = 'table'): 'table' | 'json' {
  if (text !== 'table' && text !== 'json') throw new OciError('invalid format option')
  return text
}

/** The lines of a table of ps(1) that are about these. Pure. */
export function rowsOf(table: string, pids: ReadonlySet<number>): string {
  const [title = '', ...lines] = table.split('\n')
  const column = title.trim().split(/\s+/).indexOf('PID')
  if (column < 0) throw new OciError("couldn't find PID field in ps output")
  const rows = lines.filter((row) => pids.has(Number(row.trim().split(/\s+/)[column] || NaN)))
  return [title, ...rows].map((row) => `${row}\n`).join('')
}
