/** The spec of a bundle, checked, with its relative paths counted from the bundle. */
import { lstatSync, readFileSync, realpathSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { parseSpec } from '../launch/validate-spec.js'
import type { Spec, SpecMount } from '../launch/oci-spec.js'
import { withJoinedIds } from './joined-ids.js'
import { linuxProcess } from './linux-process.js'
import { OciError } from './oci-error.js'

export interface Bundle {
  /** Absolute. */
  readonly path: string
  readonly rootfs: string
  readonly spec: Spec
}

export interface BundleOptions {
  /** The file of its spec, counted from the bundle. @default 'config.json' */
  readonly config: string | undefined
  readonly warn: (message: string) => void
}

/**
 * @throws OciError when there is no config.json or no root file system
 * @throws PodlingError `SPEC_INVALID`
 */
export function readBundle(directory: string, { config = 'config.json', warn }: BundleOptions): Bundle {
  const path = resolve(directory)
  const text = readText(path, config)
  const spec = parseSpec(text)
  if (spec.process === undefined) throw new OciError('process property must not be empty')
  if (spec.process.args === undefined) throw new OciError('args must not be empty')
  const rootfs = resolve(path, spec.root?.path ?? '')
  try {
    realpathSync(rootfs)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT') throw new OciError(`rootfs (${rootfs}) does not exist`)
    throw error
  }
  for (const mount of spec.mounts ?? []) refuseLink(rootfs, mount)
  const mounts = (spec.mounts ?? []).map((mount) => withSource(path, mount))
  const process = linuxProcess(spec.process, warn)
  return { path, rootfs, spec: withJoinedIds({ ...spec, process, mounts }) }
}

function readText(bundle: string, config: string): string {
  try {
    return readFileSync(resolve(bundle, config), 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    throw new OciError(`JSON specification file ${config} not found in ${bundle}`)
  }
}

/**
 * A link would be followed inside of the root, and does no harm; but it is none of an image that means well (CVE-2023-27561),
 * and runc refuses it.
 */
function refuseLink(rootfs: string, { type, destination }: SpecMount): void {
  if (type !== 'proc' && type !== 'sysfs') return
  const place = lstatSync(join(rootfs, destination), { throwIfNoEntry: false })
  if (place === undefined || place.isDirectory()) return
  throw new OciError(`filesystem ${JSON.stringify(destination)} must be mounted on ordinary directory`)
}

function withSource(bundle: string, mount: SpecMount): SpecMount {
  const binds = mount.type === 'bind' || (mount.options ?? []).some((option) => option === 'bind' || option === 'rbind')
  return binds && mount.source !== undefined ? { ...mount, source: resolve(bundle, mount.source) } : mount
}
