import type { SpecHook, SpecHooks } from '../../launch/oci-spec.js'
import type { ContainerRecord } from '../record.js'

/** What a hook reads on its standard input (runtime-spec, "State"). */
export interface HookState {
  readonly ociVersion: string
  readonly id: string
  readonly status: 'creating' | 'created' | 'running' | 'stopped'
  /** Of pid 1, as whoever runs the hook counts. */
  readonly pid?: number
  readonly bundle: string
  readonly annotations?: Readonly<Record<string, string>>
}

export function hookState(
  { id, spec }: Pick<ContainerRecord, 'id' | 'spec'>,
  bundle: string,
  status: HookState['status'],
): HookState {
  const { ociVersion, annotations = {} } = spec
  return { ociVersion, id, status, bundle, annotations }
}

export function hooksOf(hooks: SpecHooks | undefined, stage: keyof SpecHooks): readonly SpecHook[] {
  return hooks?.[stage] ?? []
}
