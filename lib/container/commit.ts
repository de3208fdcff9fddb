import { requireCgroups } from '../cgroup/none.js'
import { PodlingError } from '../errors.js'
import type { ImageConfigInput } from '../image/image-config-input.js'
import { checkKnown } from '../schema/known-options.js'
import { changesAsLayer } from './changes-as-layer.js'
import type { Image } from './context.js'
import type { Lifecycle } from './lifecycle.js'
import { requireStatus } from './status.js'

export interface CommitOptions {
  /** The name of the new image. @default none: it is known by its id */
  readonly ref?: string
  /**
   * What containers of the new image do otherwise than this one: its command, variables, user, working directory, published
   * ports, labels, stop signal, health check (where it is a command) and volumes without a name become the image's, where
   * it was given any. Variables, labels, ports and volumes come to those that are there. @default {}
   */
  readonly config?: ImageConfigInput
  /** @default that of the image */
  readonly author?: string
  /** What its history says. @default nothing */
  readonly message?: string
  /** All that its options mount, host directories too, becomes a volume of the image. @default false */
  readonly includeVolumes?: boolean
  /** Pause a running container meanwhile, so that its files fit together. @default true where it has a cgroup */
  readonly pause?: boolean
  /** Cancels; nothing is left then. */
  readonly signal?: AbortSignal
}

/** Make an image of what a container has changed. */
export async function commit(container: Lifecycle, options: CommitOptions): Promise<Image> {
  const { context, record } = container
  checkKnown('commit a container', options, {
    ref: true, config: true, author: true, message: true, includeVolumes: true, pause: true, signal: true,
  }) // prettier-ignore
  requireStatus('commit', container.status, record.name)
  if (record.image === undefined) {
    throw new PodlingError('INVALID_STATE', `commit container ${record.name}: it was made of no image; use export()`)
  }
  const { monitor } = container
  const { cgroups } = context
  const wanted = options.pause ?? cgroups.obstacle === undefined
  if (wanted) requireCgroups(cgroups, `pause container ${record.name} to commit it`)
  const pause = monitor !== undefined && container.status === 'running' && wanted
  if (pause) await monitor.freeze()
  try {
    const { pause: _, includeVolumes, ...rest } = options
    const { config = {}, targets = [] } = record.own ?? {}
    const own = includeVolumes ? { ...config, volumes: targets } : config
    return await context.images.commit(record.image.id, changesAsLayer(container), { ...rest, own })
  } finally {
    // One that has ended meanwhile has nothing to thaw.
    if (pause) await monitor.thaw().catch(ignoreEnd)
  }
}

function ignoreEnd(error: unknown): void {
  if (!(error instanceof PodlingError) || error.code !== 'INVALID_STATE') throw error
}
