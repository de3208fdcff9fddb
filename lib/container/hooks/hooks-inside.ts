/** The hooks that are run in the container's own namespaces, as steps of its start. Pure. */
import type { Operation } from '../../launch/operation.js'
import type { ContainerPaths, ContainerRecord } from '../record.js'
import { hooksOf, hookState } from './hook-state.js'

type HookOperation = Extract<Operation, { op: 'hook' }>

export function hooksInside(
  record: Pick<ContainerRecord, 'id' | 'spec'>,
  { runDirectory }: Pick<ContainerPaths, 'runDirectory'>,
): HookOperation[] {
  const operations = (stage: HookOperation['stage'], status: 'creating' | 'created'): HookOperation[] =>
    hooksOf(record.spec.hooks, stage).map(({ path, args, env, timeout }) => ({
      op: 'hook',
      stage,
      path,
      argv: args === undefined || args.length === 0 ? [path] : args,
      env: env ?? [],
      state: JSON.stringify(hookState(record, runDirectory, status)),
      ...(timeout === undefined ? {} : { timeout }),
      ...(stage === 'createContainer' ? { directory: runDirectory } : {}),
      asProgram: stage === 'startContainer',
    }))
  return [...operations('createContainer', 'creating'), ...operations('startContainer', 'created')]
}
