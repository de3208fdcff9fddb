/** A CSI driver behind its socket: what it can do, and its calls. */
import { setTimeout as sleep } from 'node:timers/promises'
import { PodlingError } from '../../../errors.js'
import { withoutSecrets, type CsiSecret } from './csi-secrets.js'
import { grpcClient, GrpcError, type GrpcClient } from './grpc.js'
import { calls, controllerCalls, expansions, nodeCalls, pluginServices, type CsiCall } from './messages.js'
import { decodeMessage, encodeMessage, ProtobufError, type Message } from '../../../schema/protobuf.js'

/** What a driver says of itself. */
export interface CsiPluginInfo {
  /** `'hostpath.csi.k8s.io'` */
  readonly name: string
  readonly version: string
  /** It makes and deletes volumes; otherwise they are given by their ids. */
  readonly creates: boolean
  readonly capacity: boolean
  readonly snapshots: boolean
  /** It makes volumes larger. */
  readonly expands: boolean
}

/** What a driver can do. */
export interface CsiAbilities extends CsiPluginInfo {
  readonly controllerPublishes: boolean
  readonly stages: boolean
  readonly controllerExpands: boolean
  readonly nodeExpands: boolean
  /** Also while the volume is in use. */
  readonly expandsOnline: boolean
  /** Not every node reaches every volume. */
  readonly hasTopology: boolean
}

const timeout = 60_000
const tries = 6
const readyPause = 200
const readyTries = 100

export class CsiPlugin {
  readonly socket: string
  #client: GrpcClient | undefined
  #abilities: Promise<CsiAbilities> | undefined

  constructor(socket: string) {
    this.socket = socket
  }

  /** @throws PodlingError `VOLUME_FAILED` with the status and message that it gave */
  async call(name: CsiCall, request: Message = {}): Promise<Message> {
    const { service, request: shape, response } = calls[name]
    for (let attempt = 1; ; attempt++) {
      try {
        const bytes = await this.#connected().call(`/csi.v1.${service}/${name}`, encodeMessage(shape, request))
        return decodeMessage(response, bytes)
      } catch (error) {
        const status = error instanceof GrpcError ? error.status : ''
        // It may have been started anew since: all calls may be made again, by the specification.
        const stale = status === 'UNAVAILABLE' && attempt === 1
        if (status === 'UNAVAILABLE') this.close()
        // "Operation pending for volume": the specification wants it tried again.
        const pending = status === 'ABORTED' && attempt < tries
        if (!stale && !pending) throw this.#explained(name, error, request['secrets'] as CsiSecret | undefined)
        await sleep(50 * 2 ** attempt)
      }
    }
  }

  /** What it can do; asked once. Waits for it to be ready. */
  abilities(): Promise<CsiAbilities> {
    this.#abilities ??= this.#ask().catch((error: unknown) => {
      this.#abilities = undefined
      throw error
    })
    return this.#abilities
  }

  close(): void {
    this.#client?.close()
    this.#client = undefined
  }

  #connected(): GrpcClient {
    this.#client ??= grpcClient(this.socket, timeout)
    return this.#client
  }

  async #ask(): Promise<CsiAbilities> {
    for (let attempt = 1; ; attempt++) {
      const { ready } = (await this.call('Probe')) as { ready?: { value?: boolean } }
      // Absent: it is. A BoolValue that is false is an empty message.
      if (ready === undefined || ready.value === true) break
      if (attempt === readyTries) {
        throw new PodlingError(
          'VOLUME_FAILED',
          `CSI driver at ${this.socket}: it says that it is not ready yet; try again`,
        )
      }
      await sleep(readyPause)
    }
    const { name = '', vendorVersion = '' } = (await this.call('GetPluginInfo')) as {
      name?: string
      vendorVersion?: string
    }
    const { capabilities = [] } = (await this.call('GetPluginCapabilities')) as {
      capabilities?: readonly { service?: { type?: number }; volumeExpansion?: { type?: number } }[]
    }
    const controller = capabilities.some(({ service }) => service?.type === pluginServices.controller)
    const controls = controller ? await this.#rpcs('ControllerGetCapabilities') : new Set()
    const nodes = await this.#rpcs('NodeGetCapabilities')
    const controllerExpands = controls.has(controllerCalls.expandVolume)
    const nodeExpands = nodes.has(nodeCalls.expandVolume)
    return {
      name,
      version: vendorVersion,
      creates: controls.has(controllerCalls.createDeleteVolume),
      capacity: controls.has(controllerCalls.getCapacity),
      snapshots: controls.has(controllerCalls.snapshots),
      expands: controllerExpands || nodeExpands,
      controllerPublishes: controls.has(controllerCalls.publishUnpublish),
      stages: nodes.has(nodeCalls.stageUnstage),
      controllerExpands,
      nodeExpands,
      expandsOnline: capabilities.some(({ volumeExpansion }) => volumeExpansion?.type === expansions.online),
      hasTopology: capabilities.some(({ service }) => service?.type === pluginServices.accessibilityConstraints),
    }
  }

  async #rpcs(name: 'ControllerGetCapabilities' | 'NodeGetCapabilities'): Promise<Set<unknown>> {
    const { capabilities = [] } = (await this.call(name)) as { capabilities?: readonly { rpc?: { type?: number } }[] }
    return new Set(capabilities.map(({ rpc }) => rpc?.type))
  }

  #explained(name: CsiCall, raw: unknown, secrets: CsiSecret = {}): unknown {
    const what = `CSI driver at ${this.socket}: ${name}`
    const error = raw instanceof GrpcError ? new GrpcError(raw.status, withoutSecrets(raw.message, secrets)) : raw
    if (error instanceof ProtobufError) {
      return new PodlingError('VOLUME_FAILED', `${what}: its response is malformed: ${error.message}`, { cause: error })
    }
    if (!(error instanceof GrpcError)) return error
    const hint = error.status === 'UNAVAILABLE' ? '; see that the driver runs and listens there' : ''
    const code =
      error.status === 'RESOURCE_EXHAUSTED' || error.status === 'OUT_OF_RANGE' ? 'DISK_FULL' : 'VOLUME_FAILED'
    return new PodlingError(code, `${what}: ${error.status}: ${error.message}${hint}`, { cause: error })
  }
}

/** Whether a call failed for want of what it was about: gone already is success for whoever removes. */
export function isGone(error: unknown): boolean {
  return error instanceof PodlingError && error.cause instanceof GrpcError && error.cause.status === 'NOT_FOUND'
}

/** With these it may have been done, or be done yet; with all others it was not. */
const undecided = ['CANCELLED', 'DEADLINE_EXCEEDED', 'UNAVAILABLE', 'RESOURCE_EXHAUSTED', 'ABORTED']

/** Whether a call is known to have done nothing. */
export function isFinal(error: unknown): boolean {
  return error instanceof PodlingError && error.cause instanceof GrpcError && !undecided.includes(error.cause.status)
}
