/**
 * A container made, and waiting for its start: what `create` is, and the first half of `run`.
 *
 *   record without a pid ─▶ helper, cgroups, pid 1 ─▶ hooks of the host ─▶ record with its pid ─▶ parting
 *
 * Up to the parting the death of this process takes all of that along but the record, which then says what is left.
 */
import { runHooks } from '../container/hooks/run-hooks.js'
import { hookState } from '../container/hooks/hook-state.js'
import type { Bundle } from './bundle.js'
import { readBundle } from './bundle.js'
import { checkConsole } from './console.js'
import type { Context } from './context.js'
import { Helper } from './detached.js'
import { hostHooks } from './host-hooks.js'
import { requireLabels } from './labels.js'
import { OciError } from './oci-error.js'
import { passedDescriptors, passedEnvironment } from './passed.js'
import { prepare, type Prepared } from './prepare.js'
import { begun } from './process-of.js'
import type { ContainerRecord } from './record.js'
import { replaceFile } from './store.js'
import { refuseUnsupported } from './supported.js'
import { refuseSysctls } from './sysctls.js'
import { checkVacant } from './vacant.js'

export interface Made {
  readonly record: ContainerRecord
  readonly helper: Helper
}

/**
 * @param detaches nobody will wait for it here
 * @param begin is run while the container is locked, and its directory removed should it fail
 */
export async function make<T>(
  context: Context,
  id: string,
  detaches: boolean,
  begin: (made: Made) => Promise<T>,
): Promise<T> {
  const { store, line, log } = context
  const bundle = withPassed(admittedBundle(context), context)
  const socket = checkConsole(line.value('console-socket'), bundle.spec.process, detaches)
  return store.create(id, async () => {
    const prepared = await prepare(id, bundle, { keepsKeyring: line.has('no-new-keyring') })
    const { plan, stopsForHooks } = prepared
    await checkVacant(prepared.cgroup, (message) => {
      log.warn(message)
    })
    const record = newRecord(id, bundle, prepared)
    store.writeSpec(id, bundle.spec)
    store.write(record)
    const helper = new Helper(plan, { fifo: store.fifo(id), console: socket, passed: passedDescriptors(context) })
    try {
      let started = await helper.ready()
      if (stopsForHooks) {
        for (const stage of ['prestart', 'createRuntime'] as const) {
          const state = { ...hookState({ id, spec: bundle.spec }, bundle.path, 'creating'), pid: started.pid }
          await runHooks(stage, hostHooks(bundle.spec.hooks, stage), state)
        }
        helper.goOn()
        started = await helper.ready()
      }
      const made = { ...record, ...begun(started.pid) }
      const pidFile = line.value('pid-file')
      if (pidFile !== undefined) replaceFile(pidFile, String(started.pid), 0o644)
      store.write(made)
      return await begin({ record: made, helper })
    } catch (error) {
      await helper.abandon()
      throw error
    }
  })
}

/** The bundle that is asked for, with nothing in its spec that can't be done. @throws OciError, PodlingError `SPEC_INVALID` */
export function admittedBundle({ line, log, systemdCgroup }: Context): Bundle {
  const warn = (message: string): void => {
    log.warn(message)
  }
  const bundle = readBundle(line.value('bundle') ?? '.', { config: line.value('config'), warn })
  refuseUnsupported(bundle.spec)
  refuseSysctls(bundle.spec)
  requireLabels(bundle.spec)
  if (!systemdCgroup) return bundle
  throw new OciError(
    'podling-oci makes cgroups itself and asks no systemd for them: leave --systemd-cgroup out ' +
      '(podman --cgroup-manager=cgroupfs, dockerd --exec-opt native.cgroupdriver=cgroupfs)',
  )
}

/** What is written down before there is a process. */
export function newRecord(id: string, { path, rootfs, spec }: Bundle, { place, cgroup }: Prepared): ContainerRecord {
  const { directories, attach, into, unified, freezer } = cgroup
  return {
    ociVersion: spec.ociVersion,
    id,
    bundle: path,
    rootfs,
    created: new Date().toISOString(),
    ...(spec.annotations === undefined ? {} : { annotations: spec.annotations }),
    place,
    cgroup: {
      directories,
      attach,
      ...(into === undefined ? {} : { into }),
      ...(unified === undefined ? {} : { unified }),
      ...(freezer === undefined ? {} : { freezer }),
    },
  }
}

/** The program is told of descriptors that systemd passes (sd_listen_fds(3)). */
function withPassed(bundle: Bundle, context: Context): Bundle {
  const { process: program } = bundle.spec
  if (context.listenFds === 0 || program === undefined) return bundle
  const env = passedEnvironment(program.env, context)
  return { ...bundle, spec: { ...bundle.spec, process: { ...program, env } } }
}
