import { readFileSync } from 'node:fs'
import { openCgroups } from '../cgroup/open.js'
import type { CpuResources, LinuxResources, MemoryResources } from '../cgroup/resources.js'
import { parseSpec } from '../launch/validate-spec.js'
import type { CommandLine } from './command-line.js'
import type { Context } from './context.js'
import { OciError } from './oci-error.js'
import { askedResources } from './resources.js'
import { currentStatus } from './state.js'

/** `update ID`: other limits, all or none. What isn't named stays. */
export async function update({ store, line, log }: Context, id: string): Promise<number> {
  for (const flag of ['l3-cache-schema', 'mem-bw-schema']) {
    if (line.value(flag)) throw new OciError(`--${flag}: intelRdt is not supported`)
  }
  if (line.value('kernel-memory') !== undefined)
    log.warn('Setting kernel memory limit is no longer supported, ignoring')
  const file = line.value('resources')
  const resources = askedResources(file === undefined ? fromFlags(line) : fromFile(file))
  await store.change(id, async (record) => {
    if (currentStatus(store, record) === 'stopped') throw new OciError('container not running')
    const cgroups = await openCgroups({ parent: record.place.parent })
    await cgroups.update(record.place.name, withSwap(resources))
  })
  return 0
}

/** As runc has it: no limit of memory is none of swap. */
function withSwap(resources: LinuxResources): LinuxResources {
  const { memory } = resources
  if (memory?.limit !== -1 || memory.swap !== undefined) return resources
  return { ...resources, memory: { ...memory, swap: -1 } }
}

/** @throws PodlingError `SPEC_INVALID` */
function fromFile(file: string): LinuxResources {
  const text = readFileSync(file === '-' ? 0 : file, 'utf8')
  let given: unknown
  try {
    given = JSON.parse(text)
  } catch (error) {
    throw new OciError(`${file}: ${(error as Error).message}`, { cause: error })
  }
  // A spec of which nothing but its resources could be wrong.
  const around = { ociVersion: '1.0.0', root: { path: '/' }, linux: { resources: given ?? {} } }
  const { devices: _, ...resources } = parseSpec(JSON.stringify(around), file).linux?.resources ?? {}
  return resources
}

function fromFlags(line: CommandLine): LinuxResources {
  const number = (flag: string): number | undefined => wholeNumber(flag, line.value(flag))
  const size = (flag: string): number | undefined => bytes(flag, line.value(flag))
  const cpu = given<CpuResources>({
    period: number('cpu-period'),
    quota: number('cpu-quota'),
    burst: number('cpu-burst'),
    shares: number('cpu-share'),
    idle: number('cpu-idle'),
    realtimePeriod: number('cpu-rt-period'),
    realtimeRuntime: number('cpu-rt-runtime'),
    cpus: line.value('cpuset-cpus') || undefined,
    mems: line.value('cpuset-mems') || undefined,
  })
  const memory = given<MemoryResources>({
    limit: size('memory'),
    reservation: size('memory-reservation'),
    swap: size('memory-swap'),
    kernelTCP: size('kernel-memory-tcp'),
  })
  return {
    cpu,
    memory,
    pids: given({ limit: number('pids-limit') }),
    blockIO: given({ weight: number('blkio-weight') }),
  }
}

function given<T extends object>(fields: { readonly [Key in keyof T]: T[Key] | undefined }): T {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as T
}

function wholeNumber(flag: string, text: string | undefined): number | undefined {
  if (text === undefined || text === '') return undefined
  if (!/^-?\d{1,15}$/.test(text)) throw new OciError(`invalid value for ${flag}: ${JSON.stringify(text)} is no number`)
  return Number(text)
}

const units = ['', 'k', 'm', 'g', 't', 'p']

/** Bytes, or with a unit: `512m`, `1.5GiB`. */
function bytes(flag: string, text: string | undefined): number | undefined {
  if (text === undefined || text === '') return undefined
  if (text === '-1') return -1
  const [, number, unit = ''] = /^(\d+(?:\.\d+)?) ?([kmgtp]?)i?b?$/i.exec(text) ?? []
  if (number === undefined) throw new OciError(`invalid value for ${flag}: invalid size: ${JSON.stringify(text)}`)
  return Math.floor(Number(number) * 1024 ** units.indexOf(unit.toLowerCase()))
}
