/** When the hooks of a container are run, and what of them is noted. */
import { existsSync, unlinkSync, writeFileSync } from 'node:fs'
import { formatSpec } from '../../launch/validate-spec.js'
import type { SpecHooks } from '../../launch/oci-spec.js'
import type { ContainerPaths, ContainerRecord } from '../record.js'
import { hooksOf, hookState, type HookState } from './hook-state.js'
import { runHooks } from './run-hooks.js'

interface Hooked {
  readonly record: ContainerRecord
  readonly paths: Pick<ContainerPaths, 'runDirectory'>
}

/** Before it runs: once its namespaces are there, before its root is its `/`. The command waits meanwhile. */
const before = ['prestart', 'createRuntime'] as const

export function hasHooksBefore({ spec }: ContainerRecord): boolean {
  return before.some((stage) => hooksOf(spec.hooks, stage).length > 0)
}

/** From here on `poststop` is due. Hooks find the spec where OCI runtimes have it, as `config.json` of the bundle. */
export function prepareHooks({ record, paths }: Hooked): void {
  if (record.spec.hooks === undefined) return
  writeFileSync(`${paths.runDirectory}/config.json`, formatSpec(record.spec), { mode: 0o600 })
  if (hooksOf(record.spec.hooks, 'poststop').length > 0) writeFileSync(dueFile(paths), '', { mode: 0o600 })
}

/** @throws PodlingError `HOOK_FAILED`; it must not run then */
export async function runHooksBefore(container: Hooked, pid: number): Promise<void> {
  for (const stage of before) await run(container, stage, 'creating', pid)
}

/** @throws PodlingError `HOOK_FAILED` */
export async function runPoststart(container: Hooked, pid: number): Promise<void> {
  await run(container, 'poststart', 'running', pid)
}

/**
 * Once for each start, by whoever sees first that it has ended: this process, or after its death the next one on this
 * root. Whether they fail changes nothing any more (runtime-spec, "Lifecycle", 13).
 */
export async function runPoststop(container: Hooked): Promise<void> {
  const due = dueFile(container.paths)
  if (container.record.spec.hooks === undefined || !existsSync(due)) return
  try {
    unlinkSync(due)
  } catch {
    return // Another process saw it first.
  }
  for (const hook of hooksOf(container.record.spec.hooks, 'poststop')) {
    await runHooks('poststop', [hook], stateOf(container, 'stopped')).catch(() => undefined)
  }
}

async function run(container: Hooked, stage: keyof SpecHooks, status: HookState['status'], pid: number): Promise<void> {
  await runHooks(stage, hooksOf(container.record.spec.hooks, stage), { ...stateOf(container, status), pid })
}

function stateOf({ record, paths }: Hooked, status: HookState['status']): HookState {
  return hookState(record, paths.runDirectory, status)
}

function dueFile({ runDirectory }: Hooked['paths']): string {
  return `${runDirectory}/poststop-due`
}
