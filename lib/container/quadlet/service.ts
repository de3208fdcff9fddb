/** Restart policies and timeouts in the words of systemd.service(5) and systemd.unit(5). Pure. */
import type { GivenOptions } from '../record.js'
import { parseRestart } from '../restart-policy.js'
import { omit, setting, type Entry } from './entry.js'

/** As the monitor has it: after 100 ms, then about twice as long each time, up to a minute. */
const backOff = [
  setting('Service', 'RestartSec', '100ms'),
  setting('Service', 'RestartSteps', '9'),
  setting('Service', 'RestartMaxDelaySec', '60s'),
]

/** systemd gives up by itself on what ends five times in ten seconds, unless it is told how often is too often. */
function startLimit(starts: number): Entry[] {
  if (starts === 0) return [setting('Unit', 'StartLimitIntervalSec', '0')]
  return [setting('Unit', 'StartLimitIntervalSec', 'infinity'), setting('Unit', 'StartLimitBurst', String(starts))]
}

export function restartEntries(restart: GivenOptions['restart']): Entry[] {
  const policy = parseRestart(restart)
  if (policy === undefined) return []
  if (policy.name === 'on-failure') {
    const starts = policy.maximum === 0 ? 0 : policy.maximum + 1
    return [setting('Service', 'Restart', 'on-failure'), ...backOff, ...startLimit(starts)]
  }
  return [
    setting('Service', 'Restart', 'always'),
    ...backOff,
    ...startLimit(0),
    // What these two are started by after a reboot.
    setting('Install', 'WantedBy', 'multi-user.target default.target'),
    ...(policy.name === 'unless-stopped'
      ? [
          omit(
            'restart: unless-stopped: systemd starts it after a reboot, also when it was stopped; disable the unit for that',
          ),
        ]
      : []),
  ]
}

/** podman-run(1) counts in seconds. systemd would kill what takes longer than its own limit, 90 s. */
export function stopEntries(stopTimeout: number): Entry[] {
  const seconds = Math.ceil(stopTimeout / 1000)
  return [
    setting('Container', 'StopTimeout', String(seconds)),
    ...(seconds < 80 ? [] : [setting('Service', 'TimeoutStopSec', String(seconds + 10))]),
  ]
}
