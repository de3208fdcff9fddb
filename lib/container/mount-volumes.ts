/** The mounts of a container's start that are more than the spec says: where volumes are, and what is done with them. */
import type { MountSource } from '../launch/compile/input.js'
import type { Operation } from '../launch/operation.js'
import type { RootOptions } from '../storage/drivers/driver.js'
import { relabelling } from '../security/relabel.js'
import { close } from '../sys/descriptors.js'
import type { Lifecycle } from './lifecycle.js'

/** What a start needs of volumes. */
export interface MountedVolumes {
  readonly sources: readonly MountSource[]
  /** Descriptors for the monitor. */
  readonly held: readonly number[]
  /** The volumes whose first use this is. */
  readonly first: readonly string[]
}

/**
 * @param mapping how images' files are to be seen
 * @throws PodlingError whatever a driver can't do; nothing is held then
 */
export async function mountVolumes(
  { context, record }: Lifecycle,
  mapping: Pick<RootOptions, 'idMaps' | 'owners'> = {},
): Promise<MountedVolumes> {
  const { volumes } = context
  const { user } = record.spec.process ?? {}
  const mountLabel = record.spec.linux?.mountLabel
  const sources: MountSource[] = []
  const held: number[] = []
  const first: string[] = []
  try {
    for (const { destination, volume, image, subpath, chown, relabel } of record.mounts ?? []) {
      if (image !== undefined) {
        const limited = record.options.quota !== undefined
        const root = await context.driver.mount(image.holder, { volatile: true, limited, ...mapping })
        held.push(...root.held)
        sources.push(imageSource(destination, root.operations, subpath, sources.length))
        continue
      }
      const owner = user?.username ?? `${String(user?.uid ?? 0)}:${String(user?.gid ?? 0)}`
      const common = {
        destination,
        ...(chown === true ? { owner } : {}),
        // Where there is no SELinux, `z` and `Z` say nothing, as with Podman.
        ...(relabel === undefined || mountLabel === undefined ? {} : { relabel: relabelling(relabel, mountLabel) }),
      }
      if (volume === undefined) {
        sources.push(common)
        continue
      }
      const mounted = await volumes.use.mount(volume.name, record.id)
      held.push(...(mounted.held ?? []))
      const fills = volume.copy && !mounted.filled
      if (fills) first.push(volume.name)
      sources.push({
        ...common,
        source: mounted.path,
        ...(subpath === undefined ? {} : { subpath }),
        ...(mounted.operations === undefined ? {} : { prepare: mounted.operations }),
        ...(fills
          ? {
              fill: {
                data: mounted.path,
                staging: mounted.staging ?? mounted.path,
                lock: mounted.directory,
                // What belongs to a container that doesn't outlive its host is worth nothing after a crash of the machine.
                durable: !volume.anonymous || record.options.detach,
              },
            }
          : {}),
      })
    }
    return { sources, held, first }
  } catch (error) {
    for (const fd of held) close(fd)
    throw error
  }
}

/** Slots from the last one down: those from the first one up are for binds that stay peers of the host's. */
const lastSlot = 63

/** An image's own root, made before the container's, kept, and bound like any other tree. */
function imageSource(
  destination: string,
  root: readonly Operation[],
  subpath: string | undefined,
  number: number,
): MountSource {
  const slot = lastSlot - number
  return {
    destination,
    taken: slot,
    prepare: [...root, { op: 'keep-root', slot, ...(subpath === undefined ? {} : { subpath }) }],
  }
}
