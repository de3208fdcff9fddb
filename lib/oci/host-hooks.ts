import type { SpecHook, SpecHooks } from '../launch/oci-spec.js'

/**
 * The hooks of a stage that are run beside this process: one without an `env` has the variables of this process, as with
 * runc and crun, whose hooks count on a PATH. Those that are run in the container have none but their own.
 */
export function hostHooks(
  hooks: SpecHooks | undefined,
  stage: 'prestart' | 'createRuntime' | 'poststart' | 'poststop',
): SpecHook[] {
  const env = Object.entries(process.env).map(([name, value = '']) => `${name}=${value}`)
  return (hooks?.[stage] ?? []).map((hook) => ({ env, ...hook }))
}
