/** The flags that `checkpoint` and `restore` share, as runc has them, and what CRIU is told by them. */
import { mkdirSync, statSync, type Stats } from 'node:fs'
import { isIP } from 'node:net'
import { join, resolve } from 'node:path'
import { cgroupModes, IGNORE_CGROUPS, type CriuOptions } from '../container/checkpoint/criu-messages.js'
import { requireCriu } from '../container/checkpoint/find-criu.js'
import { namespaceFlags } from '../launch/encode/numbers.js'
import type { NamespaceType } from '../launch/plan.js'
import { lookForProgram } from '../network/user-mode.js'
import { standardDirectories } from '../sys/standard-path.js'
import type { CommandLine } from './command-line.js'
import type { Context } from './context.js'
import { OciError } from './oci-error.js'

/** @throws PodlingError `CHECKPOINT_PROGRAM_NOT_FOUND` */
export function criuProgram({ criu, path }: Context, what: string): string {
  const along = path.split(':').filter((directory) => directory.startsWith('/'))
  return requireCriu(criu ?? lookForProgram('criu', [...along, ...standardDirectories]), what)
}

/** Where CRIU's images are, and where it writes its log; both are made where they are missing. */
export function criuDirectories(line: CommandLine): { readonly images: string; readonly work: string } {
  const images = resolve(line.value('image-path') || 'checkpoint')
  const work = line.value('work-path') ? resolve(line.value('work-path')!) : images
  for (const directory of [images, work]) mkdirSync(directory, { recursive: true, mode: 0o700 })
  return { images, work }
}

/** @throws OciError */
export function criuOptions(
  line: CommandLine,
  annotations: Readonly<Record<string, string>> = {},
): Partial<CriuOptions> {
  const configFile = annotations['org.criu.config'] ?? '/etc/criu/runc.conf'
  return {
    logLevel: 4,
    tcpEstablished: line.has('tcp-established'),
    extUnixSk: line.has('ext-unix-sk'),
    shellJob: line.has('shell-job'),
    fileLocks: line.has('file-locks'),
    lazyPages: line.has('lazy-pages'),
    autoDedup: line.has('auto-dedup'),
    orphanPtsMaster: true,
    manageCgroups: true,
    manageCgroupsMode: cgroupMode(line.value('manage-cgroups-mode')),
    emptyNamespaces: emptyNamespaces(line.values('empty-ns')),
    ...(statSync(configFile, { throwIfNoEntry: false })?.isFile() === true ? { configFile } : {}),
  }
}

/** Without a mode the runtime places the container, be it under another name than before. @throws OciError */
function cgroupMode(name: string | undefined): number {
  if (name === undefined || name === '') return IGNORE_CGROUPS
  const mode = Object.hasOwn(cgroupModes, name) ? cgroupModes[name as keyof typeof cgroupModes] : undefined
  if (mode === undefined) throw new OciError('Invalid manage cgroups mode')
  return mode
}

/** A network is whoever calls us's to set up, by hooks. @throws OciError */
function emptyNamespaces(names: readonly string[]): number {
  return ['network', ...names].reduce((flags, name) => {
    const flag = Object.hasOwn(namespaceFlags, name) ? namespaceFlags[name as NamespaceType] : undefined
    if (flag === undefined) throw new OciError(`namespace ${JSON.stringify(name)} is not supported`)
    return flags | flag
  }, 0)
}

/** @param images directory of the new images, which the path counts from @throws OciError */
export function parentImages(line: CommandLine, images: string): Partial<CriuOptions> {
  const path = line.value('parent-path')
  if (!path) return {}
  if (path.startsWith('/')) throw new OciError('--parent-path must be relative')
  const place = join(images, path)
  const found: Stats | undefined = statSync(place, { throwIfNoEntry: false })
  if (found === undefined) throw new OciError(`invalid --parent-path: stat ${place}: no such file or directory`)
  if (!found.isDirectory()) throw new OciError(`invalid --parent-path: ${place}: not a directory`)
  return { parentImages: path, trackMemory: true }
}

/** @throws OciError */
export function pageServer(line: CommandLine): Partial<CriuOptions> {
  const text = line.value('page-server')
  if (!text) return {}
  const [, address = '', port = ''] = /^\[?([^\]]*)\]?:(\d{1,5})$/.exec(text) ?? []
  if (isIP(address) === 0 || Number(port) > 65535) {
    throw new OciError('Use --page-server ADDRESS:PORT to specify page server')
  }
  return { pageServer: { address, port: Number(port) } }
}
