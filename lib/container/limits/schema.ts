/** The shape of {@link LimitOptions}. How they fit together: parse-limits.ts. */
import { show, type FaultKeyword } from '../../schema/faults.js'
import { parseSize, sizeWords } from '../../schema/quantities.js'

const minimumMemory = 512 * 1024

/** `'/dev/sda:1m'`: all before the last colon is the path. */
export function splitRate(text: string): { readonly path: string; readonly rate: string } {
  const colon = text.lastIndexOf(':')
  return { path: text.slice(0, colon), rate: text.slice(colon + 1) }
}

function isCpuList(text: string): boolean {
  return text.split(',').every((part) => {
    const range = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(part)
    return range !== null && Number(range[2] ?? range[1]) >= Number(range[1])
  })
}

export const limitKeywords: readonly FaultKeyword[] = [
  {
    keyword: 'cpuList',
    type: 'string',
    fault: (value) => (isCpuList(String(value)) ? undefined : `must be a list such as '0-3,7', got ${show(value)}`),
  },
  {
    keyword: 'swap',
    type: ['string', 'number'],
    fault: (value) =>
      String(value) === '-1' || parseSize(value) !== undefined
        ? undefined
        : `must be ${sizeWords}, or -1 for no limit, got ${show(value)}`,
  },
  {
    keyword: 'rate',
    type: 'string',
    fault: (value, kind) => {
      const { path, rate } = splitRate(String(value))
      const example = { bytes: '/dev/sda:1m', count: '/dev/sda:1000', weight: '/dev/sda:200' }[String(kind)] ?? ''
      const number = kind === 'bytes' ? parseSize(rate) : /^\d{1,15}$/.test(rate) ? Number(rate) : undefined
      const fits = number !== undefined && (kind !== 'weight' || (number >= 10 && number <= 1000))
      return path.startsWith('/') && fits ? undefined : `must be a disk and a number, '${example}', got ${show(value)}`
    },
  },
]

const list = { type: 'string', cpuList: true }
const rates = (kind: 'bytes' | 'count' | 'weight') => ({ type: 'array', items: { type: 'string', rate: kind } })

export const limitProperties = {
  memory: { type: ['string', 'number'], size: minimumMemory },
  memorySwap: { type: ['string', 'number'], swap: true },
  memoryReservation: { type: ['string', 'number'], size: 0 },
  memoryHigh: { type: ['string', 'number'], size: minimumMemory },
  memorySwappiness: { type: 'integer', minimum: 0, maximum: 100 },
  oomKillDisable: { type: 'boolean' },
  cpus: { type: 'number', minimum: 0.01, maximum: 1e6 },
  cpuQuota: { type: 'integer', minimum: -1 },
  cpuPeriod: { type: 'integer', minimum: 1000, maximum: 1_000_000 },
  cpuShares: { type: 'integer', minimum: 2, maximum: 262_144 },
  cpuWeight: { type: 'integer', minimum: 1, maximum: 10_000 },
  cpuset: list,
  cpusetMems: list,
  pidsLimit: { type: 'integer', minimum: -1 },
  blkioWeight: { type: 'integer', minimum: 10, maximum: 1000 },
  blkioWeightDevice: rates('weight'),
  deviceReadBps: rates('bytes'),
  deviceWriteBps: rates('bytes'),
  deviceReadIops: rates('count'),
  deviceWriteIops: rates('count'),
  hugetlb: { type: 'object', additionalProperties: { type: ['string', 'number'], size: 0 } },
  cgroupConf: { type: 'object', additionalProperties: { type: 'string', noNul: true } },
} as const
