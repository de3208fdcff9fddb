import { mappingText, type IdMapping } from './id-maps.js'
import type { UserNamespaceOption } from './options.js'

/** As podman-run(1) writes it: `auto:size=8192`. Pure. */
export function usernsText(option: UserNamespaceOption): string {
  if (option.mode === 'container') return `container:${option.container}`
  const { mode, ...members } = option
  const entries = Object.entries(members) as [string, number | readonly IdMapping[] | undefined][]
  const parts = entries.flatMap(([name, value]): string[] => {
    if (value === undefined) return []
    const values = typeof value === 'number' ? [String(value)] : value.map(mappingText)
    return values.map((one) => `${name.toLowerCase()}=${one}`)
  })
  return [mode, ...(parts.length === 0 ? [] : [parts.join(',')])].join(':')
}
