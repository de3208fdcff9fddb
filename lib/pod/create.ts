import { mkdirSync } from 'node:fs'
import { PodlingError } from '../errors.js'
import { checkFree, freeName } from '../container/reserve.js'
import { clearAway } from '../container/clear-away.js'
import { confineSpec } from '../container/confine-spec.js'
import { containerEvent } from '../container/container-event.js'
import type { ContainerContext } from '../container/context.js'
import type { HolderRecord } from '../container/find-pod.js'
import { chooseSelinux, withLabels } from '../container/labels/choose-labels.js'
import { randomId } from '../container/names.js'
import { containerPaths, type GivenOptions } from '../container/record.js'
import { RunLock } from '../container/run-lock.js'
import { mostIds } from '../container/userns/image-ids.js'
import { settleUserNamespace, withUserIds } from '../container/userns/settle.js'
import { validateSpec } from '../launch/validate-spec.js'
import { fileError } from '../storage/file-error.js'
import { afterUndo } from '../teardown.js'
import { holderRecord } from './holder-spec.js'
import type { PodOptions } from './options.js'
import { parsePodOptions } from './parse-options.js'

/**
 * Decide all about a pod and write it down. Nothing runs yet. What a crash leaves is found by the next open, as with a
 * container.
 */
export async function createPod(context: ContainerContext, given: PodOptions): Promise<HolderRecord> {
  const asked = parsePodOptions(given, context.defaultNetwork)
  // What images its containers will be of nobody knows yet.
  const { userns, kept, wish, of } = settleUserNamespace(context, asked, () => mostIds)
  const options = { ...asked, userns }
  const { network } = options
  if (typeof network === 'object' && network.kind === 'networks')
    for (const { name } of network.networks) await context.networks.get(name)
  const id = randomId()
  const paths = containerPaths(context.root, context.runRoot, id, options.detach)
  for (;;) {
    const plain = holderRecord(
      {
        id,
        name: options.name ?? freeName(context),
        owner: context.owner,
        createdAt: Date.now(),
        rootPath: paths.runDirectory,
        cgroupParent: context.cgroupParent,
      },
      options,
      kept,
    )
    const { confinement } = context.host
    const spec = confinement === undefined ? plain.spec : confineSpec(plain.spec, confinement)
    const drafted = { ...plain, spec, ...(of === undefined ? {} : { usersOf: of }), given: containerPart(given) }
    validateSpec(drafted.spec)
    // Limits that this machine can't carry out are told now, not at the first start.
    context.cgroups.plan(`${id}/holder`, {}, drafted.holds.resources)
    const lock = await RunLock.acquire(paths)
    if (lock === undefined) throw new PodlingError('INVALID_STATE', `create pod ${drafted.name}: its id is in use`)
    try {
      mkdirSync(paths.directory, { recursive: true, mode: 0o700 })
      const labels = await chooseSelinux(context.host, ofPods)?.(context.levels, id)
      let record = labels === undefined ? drafted : { ...drafted, spec: withLabels(drafted.spec, labels) }
      await context.database.transaction(() => {
        checkFree(context, record)
        record = withUserIds(context, record, wish)
        void context.names.put(record.name, id)
        void context.records.put(id, record)
      })
      context.journal.write({ ...containerEvent(record), action: 'create' })
      return record
    } catch (error) {
      const failure = await afterUndo(fileError(error, `create pod ${drafted.name}`), () => clearAway(context, drafted))
      // A random name that another process took in the same moment is nobody's mistake.
      const again = options.name === undefined && failure instanceof PodlingError && failure.code === 'NAME_IN_USE'
      if (!again) throw failure
    } finally {
      lock.release()
    }
  }
}

/** SELinux's own defaults, of which its containers take the level. */
const ofPods = { privileged: false, ipc: 'private', pidns: 'private' } as const

/** What it has in common with a container, as it was given. What else there is of a pod, its record says. */
function containerPart({ share: _, exitPolicy: __, ...given }: PodOptions): GivenOptions {
  return given
}
