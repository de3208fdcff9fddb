import { EventEmitter } from 'eventemitter3'
import { openCgroups } from '../cgroup/open.js'
import { enterNamespaces, lookAround, monitorSockets, userNamespaceInfo } from './confinement.js'
import { Containers } from '../container/containers.js'
import type { ContainerContext } from '../container/context.js'
import { FileDigests } from '../container/checkpoint/file-digests.js'
import { readHostFacts } from '../container/host-facts.js'
import { Levels } from '../container/labels/levels.js'
import { PodLink } from '../container/pod-access.js'
import { containersOf, type ContainerRecord } from '../container/record.js'
import { openImageRoot } from '../container/root-view.js'
import { SeccompStore } from '../container/seccomp-store.js'
import { Sampler } from '../container/stats/sampler.js'
import { StartTimes } from '../container/start-times.js'
import { warmUp } from '../container/warm-up.js'
import { recoverContainers, type RecoveryReport } from '../container/recover.js'
import type { TellEvent } from '../event/event.js'
import { EventJournal } from '../event/journal.js'
import { Gate } from '../gate.js'
import type { ImagePolicy } from '../image/policy/image-policy.js'
import type { ProgramSearch } from '../image/from-host/programs.js'
import { copierBy } from '../launch/copiers.js'
import { findHelper } from '../launch/helper-path.js'
import { Launcher } from '../launch/launcher.js'
import { Owner } from './owners.js'
import { imageEvents as journalEvents } from './image-events.js'
import { runtimeInfo, type RuntimeInfo } from './info.js'
import { makeRoot } from './make-root.js'
import type { RuntimePaths } from './paths.js'
import type { UserIdMaps } from '../container/userns/id-maps.js'
import type { SubIdSource } from './sub-ids.js'
import { keptWithin, openStorage } from './storage.js'
import { isApparmorOn, loadDefaultProfile, loadedProfiles } from '../security/apparmor-machine.js'
import { formatContext, sharedLabel } from '../security/selinux.js'
import { Networks } from '../network/networks.js'
import { OwnSpace } from '../network/own-space.js'
import { Pods } from '../pod/pods.js'
import { SharedSpace } from '../network/rootless/shared-space.js'
import { lookForProgram, programDirectories } from '../network/user-mode.js'
import { BlobStamps } from '../storage/blob-stamps.js'
import { ContentStore } from '../storage/content.js'
import { Database } from '../storage/database.js'
import type { DriverChoice } from '../storage/drivers/choose.js'
import type { ImageEvent } from '../storage/images-parts.js'
import { Images } from '../storage/images.js'
import { fileError } from '../storage/file-error.js'
import type { LayerRules } from '../storage/layer-types.js'
import { isConfined, isPrivileged, type HostFacts } from '../sys/kernel.js'
import type { VolumeDriver } from '../storage/volumes/driver.js'
import { Keepers } from '../storage/volumes/keeper.js'
import { Quotas } from '../storage/quotas/quotas.js'
import { Volumes } from '../storage/volumes/volumes.js'
import { Teardown } from '../teardown.js'

/** What a runtime is made of. */
export interface RuntimeParts {
  readonly gate: Gate
  readonly journal: EventJournal
  readonly context: ContainerContext
  readonly info: () => Promise<RuntimeInfo>
  readonly images: Images
  readonly imageEvents: EventEmitter<{ image: [ImageEvent] }>
  readonly networks: Networks
  readonly volumes: Volumes
  readonly containers: Containers
  readonly pods: Pods
  readonly recovered: RecoveryReport
  readonly teardown: Teardown
}

/** What comes from outside: the options, this machine, this process's environment. */
export interface RuntimeInputs {
  readonly paths: RuntimePaths
  readonly layers: LayerRules
  readonly policy: ImagePolicy
  readonly storageDriver: DriverChoice
  readonly facts: HostFacts
  readonly programs: ProgramSearch
  readonly volumeDrivers: Readonly<Record<string, VolumeDriver>>
  readonly cdiSpecDirs: readonly string[]
  readonly subIds: SubIdSource
}

/** Open the state directory, wire the modules, clean up after the dead. A failure closes what was opened. */
export async function openParts(inputs: RuntimeInputs): Promise<RuntimeParts> {
  const teardown = new Teardown()
  try {
    return await open(inputs, teardown)
  } catch (error) {
    await teardown.run('undo the opening of the runtime').catch(() => undefined)
    throw fileError(error, `open the runtime at ${inputs.paths.root}`)
  }
}

async function open(
  { paths, layers: rules, policy, storageDriver, facts, programs, volumeDrivers, cdiSpecDirs, subIds }: RuntimeInputs,
  teardown: Teardown,
): Promise<RuntimeParts> {
  const keep = async <T>(opening: Promise<T>, close: (part: T) => Promise<void>): Promise<T> => {
    const part = await opening
    teardown.add(() => close(part))
    return part
  }
  await makeRoot('root', paths.root)
  await makeRoot('runRoot', paths.runRoot)
  const gate = new Gate()
  const owner = await keep(Owner.register(paths.runRoot), (part) => part.release())
  const database = await keep(Database.open(`${paths.root}/database`), (part) => part.close())
  const rootless = !isPrivileged(facts)
  const cgroups = await keep(openCgroups({ parent: paths.cgroupParent, rootless }), (part) => part.close())
  const findProgram = (name: string): string | undefined =>
    lookForProgram(name, [...programs.path, ...programDirectories])
  const namespaces = rootless ? enterNamespaces(paths, facts, findProgram) : undefined
  const launcher = await keep(
    Launcher.start({
      warm: cgroups.plan('warm', {}).attach,
      ...(namespaces === undefined ? {} : { namespaces: namespaces.namespaces }),
    }),
    (part) => part.close(),
  )
  const confinement = isConfined(facts) ? lookAround(launcher.pid, rootless) : undefined
  const host = { ...readHostFacts(), ...(confinement === undefined ? {} : { confinement }) }
  const journal = EventJournal.open(`${paths.root}/events`)
  teardown.add(() => {
    journal.close()
    return Promise.resolve()
  })
  const tell: TellEvent = (event) => {
    journal.write(event)
  }
  const content = await ContentStore.open(`${paths.root}/content`, new BlobStamps(database))
  const storage = await keep(
    openStorage({ paths, choice: storageDriver, facts, confinement, database, launcher, findProgram }),
    (part) => part.close(),
  )
  const { layers, driver, openUnpacker } = storage
  const quotas = new Quotas(`${paths.root}/${driver.name}`, database.table('container-quotas'))
  const records = database.table<ContainerRecord>('containers')
  const imageEvents = new EventEmitter<{ image: [ImageEvent] }>()
  const images = await Images.open({
    directory: `${paths.root}/images`,
    content,
    layers,
    database,
    users: ({ id }) => containersOf(records, id),
    onEvent: (event) => {
      for (const one of journalEvents(event)) tell(one)
      imageEvents.emit('image', event)
    },
    rules,
    policy,
    programs,
    mount: (chainId) => openImageRoot(context, chainId),
  })
  teardown.add(() => images.close())
  const networks = await keep(
    Promise.resolve(
      new Networks({
        database,
        instance: paths.cgroupParent,
        lockFile: `${paths.runRoot}/networks.lock`,
        namesDirectory: `${paths.runRoot}/names`,
        space: rootless
          ? new SharedSpace({
              directory: `${paths.runRoot}/network`,
              helper: findHelper(),
              userNamespace: () => `/proc/${String(launcher.pid)}/ns/user`,
              monitorSockets: () => monitorSockets(paths.runRoot),
            })
          : new OwnSpace(findHelper()),
        cniDirectory: `${paths.root}/cni`,
        tell,
      }),
    ),
    (part) => part.close(),
  )
  const volumes = await Volumes.open({
    database,
    directory: `${paths.root}/volumes`,
    quotas: new Quotas(`${paths.root}/volumes`, database.table('volume-quotas')),
    lockFile: `${paths.runRoot}/volumes.lock`,
    openUnpacker,
    rights: storage.rights,
    ...(host.selinux === undefined ? {} : { label: sharedLabel(formatContext(host.selinux.file)) }),
    drivers: volumeDrivers,
    keepers: new Keepers(`${paths.runRoot}/v`, findHelper(), keptWithin(facts, launcher)),
    findProgram,
    tell,
  })
  teardown.add(() => {
    volumes.close()
    return Promise.resolve()
  })
  const context: ContainerContext = {
    gate,
    root: paths.root,
    runRoot: paths.runRoot,
    cgroupParent: paths.cgroupParent,
    owner: owner.id,
    host,
    journal,
    sampler: new Sampler(cgroups),
    cdiSpecDirs,
    database,
    records,
    seccomp: new SeccompStore(database.table<string>('seccomp')),
    names: database.table<string>('container-names'),
    userIds: database.table<UserIdMaps>('container-user-ids'),
    subIds,
    comingNames: new Set(),
    imageRoots: new Set(),
    images,
    layers,
    driver,
    quotas,
    levels: new Levels(database),
    apparmor: {
      isOn: isApparmorOn,
      loaded: loadedProfiles,
      loadDefault: () => loadDefaultProfile(findProgram),
    },
    cgroups,
    launcher,
    openCopier: copierBy(launcher),
    findProgram,
    fileDigests: new FileDigests(),
    startTimes: new StartTimes(),
    networks,
    // A bridge of the host's takes rights over its network.
    defaultNetwork: isPrivileged(facts) ? 'bridge' : 'pasta',
    volumes,
    pods: new PodLink(),
  }
  const warm = warmUp()
  const containers = new Containers(context)
  const pods = new Pods(context, containers)
  const left = await recoverContainers(context, (id) => Owner.lives(paths.runRoot, id))
  await Owner.forgetDead(paths.runRoot)
  await warm
  const recovered = { ...left, failures: [...left.failures, ...(await networks.recover())] }
  const info = async (): Promise<RuntimeInfo> => {
    const space = confinement && userNamespaceInfo(confinement, namespaces?.idFacts())
    return runtimeInfo(paths, storage, quotas, cgroups, facts, space)
  }
  return { gate, journal, context, info, imageEvents, images, networks, volumes, containers, pods, recovered, teardown }
}
