import { readFileSync, statSync } from 'node:fs'
import type { Context } from './context.js'
import { OciError } from './oci-error.js'
import { print } from './print.js'
import { formatOf } from './ps.js'
import { shownState } from './state.js'
import type { Store } from './store.js'

type Shown = ReturnType<typeof shownState>

/** `list`: the containers of the root. */
export function list({ store, line, log }: Context): number {
  if (line.has('quiet')) {
    print(
      store
        .list()
        .map((id) => `${id}\n`)
        .join(''),
    )
    return 0
  }
  const format = formatOf(line.value('format'))
  const shown = store.list().flatMap((id) => {
    try {
      return [{ ...shownState(store, store.read(id)), owner: ownerOf(store, id) }]
    } catch (error) {
      if (!(error instanceof OciError)) throw error
      // It has just been deleted, or is not to be read.
      log.warn(`load container ${id}: ${error.message}`)
      return []
    }
  })
  if (format === 'json') print(`${shown.length === 0 ? 'null' : JSON.stringify(shown)}\n`)
  else print(table(shown))
  return 0
}

const columns: readonly (readonly [string, (shown: Shown) => string])[] = [
  ['ID', ({ id }) => id],
  ['PID', ({ pid }) => String(pid)],
  ['STATUS', ({ status }) => status],
  ['BUNDLE', ({ bundle }) => bundle],
  ['CREATED', ({ created }) => created],
  ['OWNER', ({ owner }) => owner],
]

/** Cells of at least 12 characters, 3 of which are blank. */
function table(shown: readonly Shown[]): string {
  const rows = [columns.map(([title]) => title), ...shown.map((one) => columns.map(([, cell]) => cell(one)))]
  const widths = columns.map((_, at) => Math.max(12, ...rows.map((row) => row[at]!.length + 3)))
  return rows
    .map((row) => row.map((cell, at) => (at === row.length - 1 ? cell : cell.padEnd(widths[at]!))).join('') + '\n')
    .join('')
}

function ownerOf(store: Store, id: string): string {
  const { uid } = statSync(store.directory(id))
  try {
    const entry = readFileSync('/etc/passwd', 'utf8')
      .split('\n')
      .find((line) => line.split(':')[2] === String(uid))
    return entry?.split(':')[0] ?? `#${String(uid)}`
  } catch {
    return `#${String(uid)}`
  }
}
