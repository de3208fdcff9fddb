import { mkdirSync } from 'node:fs'
import { PodlingError } from '../errors.js'
import { chooseApparmor, withProfile } from './labels/choose-apparmor.js'
import { chooseSelinux, withLabels, type AllotLabels } from './labels/choose-labels.js'
import { formatPlatform, parsePlatform } from '../image/platform.js'
import { afterUndo, settleAll } from '../teardown.js'
import { fileError } from '../storage/file-error.js'
import { clearAway } from './clear-away.js'
import type { ContainerContext, Image } from './context.js'
import { findPodFor, podFacts } from './find-pod.js'
import type { MountedImageUse } from './mount-request.js'
import { ownConfig } from './own-config.js'
import { placeVolumes } from './place-volumes.js'
import { randomId } from './names.js'
import type { ContainerOptions } from './options.js'
import type { NormalizedOptions, ReadyCondition } from './normalized-options.js'
import { parseOptions } from './parse-options.js'
import { containerPaths, type ContainerRecord } from './record.js'
import { checkFree, freeName, reserve } from './reserve.js'
import { RunLock } from './run-lock.js'
import { specOf } from './create-spec.js'
import { givenOptions, podPlace, storedOptions } from './stored-options.js'
import { accountLines, hostAccount } from './userns/account.js'
import { ownersOf } from './userns/owners.js'
import { idsOfImage, settleUserNamespace, usersOfPod, withUserIds, type SettledUsers } from './userns/settle.js'
import { verifyImages } from './verify-images.js'

/** A container in the making: it has all that a start needs, and its record is on its way to the disk. */
export interface Created {
  readonly record: ContainerRecord
  /** What `run()` waits for after the start. */
  readonly ready: readonly ReadyCondition[]
  /** Settles when the name is taken, the layers are held and the record is written, all or nothing. */
  readonly committed: Promise<void>
  /** To be released when that is so. */
  readonly lock: RunLock
}

/**
 * Decide all about a container, make what it writes to, and begin to write it down. What a crash leaves of it without a
 * record is found by the next open, which knows from the lock that nobody is at it any more.
 */
export async function create(
  context: ContainerContext,
  given: ContainerOptions,
  { restoring = false }: { readonly restoring?: boolean } = {},
): Promise<Created> {
  const pod = findPodFor(context, given)
  const asked = withinReach(context, parseOptions(given, context.defaultNetwork, pod && podFacts(pod)), given)
  const labels = chooseSelinux(context.host, asked, pod?.spec.linux?.mountLabel)
  const apparmor = await chooseApparmor(context.apparmor, asked)
  const image = await context.images.get(asked.image)
  const id = randomId()
  const images = await findImages(context, asked, id)
  const placed = placeVolumes(asked.mounts, image.config.volumes, (name) => context.volumes.use.dataPath(name), images)
  const users =
    pod === undefined ? settleUserNamespace(context, asked, idsOfImage(context, image, asked.user)) : usersOfPod(pod)
  const options = withUsers({ ...asked, mounts: placed.mounts }, image, users)
  checkPlatform(options, image)
  await verifyImages(context, [image, ...images.values()])
  await checkNetworks(context, options)
  const paths = containerPaths(context.root, context.runRoot, id, options.detach)
  const spec = await specOf(context, options, image, id, paths, placed.claims, users.kept)
  const { seccomp, ...linux } = spec.linux ?? {}
  const name = options.name ?? freeName(context)
  const drafted: ContainerRecord = {
    id,
    name,
    owner: context.owner,
    createdAt: Date.now(),
    image: { id: image.id, name: image.names.includes(options.image) ? options.image : (image.names[0] ?? image.id) },
    ...(image.chainId === undefined ? {} : { chainId: image.chainId }),
    options: storedOptions(options, image),
    ...accountOf(context, options, image, users),
    ...(users.of === undefined ? {} : { usersOf: users.of }),
    own: ownConfig(asked),
    ...(placed.uses.length === 0 ? {} : { mounts: placed.uses }),
    ...podPlace(options),
    spec: withProfile({ ...spec, linux }, apparmor),
    ...(apparmor === undefined ? {} : { apparmor }),
    ...(restoring && options.detach ? { restoring } : {}),
    given: givenOptions(given),
    ...(seccomp === undefined ? {} : { seccomp: context.seccomp.keyOf(seccomp) }),
  }
  // Asked for already here, so that nothing is made for a name that is taken.
  checkFree(context, drafted)
  const made = placed.claims.length === 0 ? undefined : await context.volumes.use.prepare(placed.claims)
  const lock = await RunLock.acquire(paths).catch((error: unknown) => {
    made?.()
    throw error
  })
  if (lock === undefined) made?.()
  if (lock === undefined) throw new PodlingError('INVALID_STATE', `create container ${name}: its id is in use`)
  let record =
    labels === undefined
      ? drafted
      : await label(context, drafted, labels, lock).catch((error: unknown) => {
          made?.()
          throw error
        })
  context.comingNames.add(name)
  const committed = context.database
    .transaction(() => {
      record = withUserIds(context, record, users.wish)
      reserve(context, record, placed.claims)
    })
    .finally(() => {
      context.comingNames.delete(name)
      made?.()
    })
  committed.catch(() => undefined)
  try {
    // Both to their ends, or one would still make what the other's failure takes back.
    const what = `create container ${record.name}`
    // What it is to be is known only then.
    if (users.wish !== undefined) await committed
    const project = options.quota === undefined ? undefined : await context.quotas.allot(id, options.quota, what)
    await settleAll(what, [
      context.driver.prepare(id, image.chainId, project, ownersOf(context, record)),
      ...[...images.values()].map(({ holder, chainId }) =>
        context.driver.prepare(holder, chainId, project, ownersOf(context, record)),
      ),
      makeDirectory(paths.directory),
    ])
    context.quotas.check(id, what)
    return { record, ready: options.ready, committed, lock }
  } catch (error) {
    await committed.catch(() => undefined)
    try {
      throw await afterUndo(fileError(error, `create container ${name}`), () => clearAway(context, record))
    } finally {
      lock.release()
    }
  }
}

/** Under the container's lock: else the next open would take a level back that no record speaks of yet. */
async function label(
  { levels }: ContainerContext,
  record: ContainerRecord,
  allot: AllotLabels,
  lock: RunLock,
): Promise<ContainerRecord> {
  try {
    return { ...record, spec: withLabels(record.spec, await allot(levels, record.id)) }
  } catch (error) {
    lock.release()
    throw error
  }
}

/** A default limit that can't be kept here is none: nobody has asked for it. */
function withinReach(
  { cgroups, host }: ContainerContext,
  options: NormalizedOptions,
  { pidsLimit }: ContainerOptions,
): NormalizedOptions {
  if (host.confinement === undefined || pidsLimit !== undefined || cgroups.controllers.includes('pids')) return options
  return { ...options, pidsLimit: undefined }
}

/** The images that are to be mounted, by their targets. */
async function findImages(
  { images }: ContainerContext,
  { mounts }: NormalizedOptions,
  id: string,
): Promise<Map<string, MountedImageUse>> {
  const found = new Map<string, MountedImageUse>()
  for (const { destination, extras } of mounts) {
    if (extras?.image === undefined) continue
    const image = await images.get(extras.image)
    const holder = `${id}.image-${String(found.size)}`
    const { chainId } = image
    found.set(destination, { holder, id: image.id, ...(chainId === undefined ? {} : { chainId }) })
  }
  return found
}

function makeDirectory(path: string): Promise<void> {
  return new Promise((resolve) => {
    mkdirSync(path, { recursive: true, mode: 0o700 })
    resolve()
  })
}

function checkPlatform({ platform }: NormalizedOptions, image: Image): void {
  if (platform === undefined || formatPlatform(parsePlatform(platform)) === formatPlatform(image.platform)) return
  throw new PodlingError(
    'PLATFORM_NOT_FOUND',
    `create a container for ${platform}: the image is for ${formatPlatform(image.platform)}; get it with that platform`,
  )
}

/** That they are there; the rest is seen at the start. */
async function checkNetworks({ networks }: ContainerContext, { network }: NormalizedOptions): Promise<void> {
  if (typeof network === 'string' || network.kind !== 'networks') return
  for (const { name } of network.networks) await networks.get(name)
}

/** Whose processes they are, where nobody says. */
function withUsers(options: NormalizedOptions, { config }: Image, { userns, kept }: SettledUsers): NormalizedOptions {
  const named = options.user ?? (config.user === '' ? undefined : config.user)
  const user = named === undefined && kept !== undefined ? `${String(kept.uid)}:${String(kept.gid)}` : options.user
  return { ...options, userns, user }
}

/** He is known by his name there. */
function accountOf(
  { host: { confinement } }: ContainerContext,
  { workdir, mounts }: NormalizedOptions,
  { config }: Image,
  { kept, userns }: SettledUsers,
): Pick<ContainerRecord, 'account'> {
  const { caller } = confinement ?? {}
  if (kept === undefined || userns === undefined || caller === undefined) return {}
  const same = caller.uid === kept.uid && caller.gid === kept.gid
  return {
    account: accountLines({
      kept,
      ...(same ? { account: hostAccount(caller) } : {}),
      workdir: workdir ?? (config.workingDir || '/'),
      mounts: mounts.map(({ destination }) => destination),
    }),
  }
}
