/** Restart policies: their words, and what they mean to a monitor and after a reboot. Pure. */
import type { PlanRestart } from '../launch/plan.js'

/** Whether a container is started again when it has ended. */
export interface RestartPolicy {
  readonly name: 'no' | 'on-failure' | 'always' | 'unless-stopped'
  /** How often at most, with `on-failure`; 0: however often. */
  readonly maximum: number
}

export const restartPattern = '^(no|always|unless-stopped|on-failure(:[0-9]{1,9})?)$'
export const restartWords = `'no', 'on-failure', 'on-failure:N', 'always' or 'unless-stopped'`

/** @param text one that {@link restartPattern} matches */
export function parseRestart(text: string | undefined): RestartPolicy | undefined {
  if (text === undefined || text === 'no') return undefined
  const [name, maximum = '0'] = text.split(':')
  return { name: name as RestartPolicy['name'], maximum: Number(maximum) }
}

/** As it was given. */
export function restartText(policy: RestartPolicy | undefined): string {
  if (policy === undefined) return 'no'
  return policy.maximum === 0 ? policy.name : `${policy.name}:${String(policy.maximum)}`
}

/**
 * As long as the machine runs, `unless-stopped` is `always`: one that was stopped isn't started by either.
 * @param onRequest its health check may want a start, whatever the policy says
 */
export function planRestart(policy: RestartPolicy | undefined, onRequest: boolean): { readonly restart?: PlanRestart } {
  if (policy === undefined || policy.name === 'no') return onRequest ? { restart: { policy: 'on-request' } } : {}
  if (policy.name === 'on-failure') return { restart: { policy: 'on-failure', maximum: policy.maximum } }
  return { restart: { policy: 'always' } }
}

/**
 * Is it to be started after a reboot? As `podman start --all --filter should-start-on-boot=true` has it.
 * @param stoppedByUser whether its last run was ended by whoever has it
 */
export function startsOnBoot(policy: RestartPolicy | undefined, stoppedByUser: boolean): boolean {
  return policy?.name === 'always' || (policy?.name === 'unless-stopped' && !stoppedByUser)
}
