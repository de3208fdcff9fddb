import type { Operation } from '../operation.js'
import type { LaunchInput } from './input.js'

export function hooksAt(at: 'createContainer' | 'startContainer', hooks: LaunchInput['hooks'] = []): Operation[] {
  return hooks.filter(({ stage }) => stage === at)
}
