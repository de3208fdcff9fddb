/**
 * The secrets of volumes of CSI drivers, in the memory of this process alone. The disk knows which calls need some, so that
 * a process that has not been given them says so before it calls.
 */
import { PodlingError } from '../../../errors.js'
import { show, type Fault } from '../../../schema/faults.js'
import { nearestName } from '../../../schema/nearest-name.js'
import type { DriverVolume } from '../driver.js'

/** What a driver gets as `secrets` with a call. Their names are the driver's. */
export type CsiSecret = Readonly<Record<string, string>>

/** Secrets by the calls that get them. @default none */
export interface CsiSecrets {
  /** CreateVolume. */
  readonly create?: CsiSecret
  /** DeleteVolume. */
  readonly delete?: CsiSecret
  /** ControllerPublishVolume and ControllerUnpublishVolume. */
  readonly controllerPublish?: CsiSecret
  /** NodeStageVolume. */
  readonly nodeStage?: CsiSecret
  /** NodePublishVolume. */
  readonly nodePublish?: CsiSecret
  /** ControllerExpandVolume. */
  readonly controllerExpand?: CsiSecret
  /** NodeExpandVolume. */
  readonly nodeExpand?: CsiSecret
}

export type CsiSecretUse = keyof CsiSecrets

const uses: readonly CsiSecretUse[] = [
  'create',
  'delete',
  'controllerPublish',
  'nodeStage',
  'nodePublish',
  'controllerExpand',
  'nodeExpand',
]

/** What the disk knows of a volume's secrets. */
export interface NotedSecrets {
  /** The calls that need some. */
  readonly secrets?: readonly CsiSecretUse[]
}

export class CsiSecretStore {
  readonly #secrets = new Map<string, CsiSecrets>()

  /** @throws PodlingError `INVALID_OPTION`, without the secrets */
  put(volume: string, secrets: CsiSecrets): void {
    this.#secrets.set(volume, structuredClone(secrets))
  }

  forget(volume: string): void {
    this.#secrets.delete(volume)
  }

  clear(): void {
    this.#secrets.clear()
  }

  /** The uses that a volume has secrets for. */
  usesOf(volume: string): CsiSecretUse[] {
    const secrets = this.#secrets.get(volume) ?? {}
    return uses.filter((use) => secrets[use] !== undefined)
  }

  /** @returns undefined when that call needs none @throws PodlingError `VOLUME_LOCKED` */
  get({ name, options }: DriverVolume, { secrets = [] }: NotedSecrets, use: CsiSecretUse): CsiSecret | undefined {
    const secret = this.#secrets.get(name)?.[use]
    if (secret !== undefined || !secrets.includes(use)) return secret
    throw new PodlingError(
      'VOLUME_LOCKED',
      `use volume ${name}: its CSI driver needs the secrets that it was made with (${use}), and this process has not been ` +
        `given them; call volumes.csi('${options['endpoint'] ?? ''}').unlock('${name}', secrets)`,
    )
  }
}

/** What is wrong with secrets, without telling them. */
export function csiSecretFaults(secrets: unknown, path: string): Fault[] {
  if (!isRecord(secrets)) return [{ path, message: `must be an object, got ${show(typeof secrets)}` }]
  return Object.entries(secrets).flatMap(([use, secret]): Fault[] => {
    if (!uses.includes(use as CsiSecretUse)) {
      const near = nearestName(use, uses)
      const meant = near === undefined ? `, but one of ${uses.join(', ')}` : `; did you mean ${near}?`
      return [{ path: `${path}.${use}`, message: `is no call that takes secrets${meant}` }]
    }
    const fine =
      secret === undefined || (isRecord(secret) && Object.values(secret).every((one) => typeof one === 'string'))
    return fine ? [] : [{ path: `${path}.${use}`, message: 'must be an object of strings' }]
  })
}

/** A driver's words without the secrets that it was given: it may repeat them. */
export function withoutSecrets(text: string, secrets: CsiSecret): string {
  const values = Object.values(secrets).filter((value) => value !== '')
  // The longest first: one may be a part of another.
  return values.sort((a, b) => b.length - a.length).reduce((left, value) => left.replaceAll(value, '***'), text)
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
