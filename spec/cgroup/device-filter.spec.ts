/** The device filter in the kernel: the program through the verifier and at work, or v1's own lines. */
import t from 'tap'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openCgroups } from '../../lib/cgroup/open.js'
import type { DeviceRule } from '../../lib/cgroup/resources.js'
import { detectLayout } from '../../lib/cgroup/layout.js'
import { readFileSync } from 'node:fs'
import { needs } from '../peers.js'
import { makeCgroup } from './enact.js'

const machine = detectLayout(readFileSync('/proc/self/mountinfo', 'utf8'))!.mode

const ACCESSES = ['rw:/dev/null', 'r:/dev/urandom', 'r:/dev/kmsg', 'w:/dev/kmsg', 'rw:/dev/ptmx']

async function answers(t: Tap, rules: DeviceRule[] | undefined, mode: 'v2' | 'hybrid' | 'v1'): Promise<string[]> {
  const directory = mkdtempSync(join(tmpdir(), 'podling-devices-'))
  const cgroups = await openCgroups({ parent: `podling-spec-devices-${String(process.pid)}`, mode })
  t.teardown(async () => {
    await cgroups.kill('box')
    await cgroups.remove('box')
    await cgroups.close()
    rmSync(directory, { recursive: true })
  })
  const plan = cgroups.plan('box', rules === undefined ? {} : { devices: rules })
  makeCgroup(plan)
  const fixture = join(directory, 'device-filter')
  execFileSync('cc', ['-O1', '-Wall', '-Wextra', '-o', fixture, 'spec/fixtures/device-filter.c'])
  const enter = plan.unified ?? plan.directories.find((path) => path.includes('/devices/'))!
  const accesses = [...ACCESSES, `mb:8:0:${directory}/disk`]
  const out = execFileSync(fixture, [enter, ...accesses], {
    input: plan.deviceProgram ?? Buffer.alloc(0),
    encoding: 'utf8',
  })
  return out.trim().split('\n')
}

type Tap = Pick<typeof t, 'teardown'>
const NO = 'Operation not permitted'

for (const mode of machine === 'hybrid' ? (['hybrid', 'v1'] as const) : [machine]) {
  t.test(`${mode}: the default rules`, needs('root'), async (t) => {
    t.strictSame(await answers(t, undefined, mode), ['ok', 'ok', NO, NO, 'ok', 'ok'])
  })

  t.test(`${mode}: an own rule opens one device for reading only`, needs('root'), async (t) => {
    const rules: DeviceRule[] = [{ allow: true, type: 'c', major: 1, minor: 11, access: 'r' }]
    t.strictSame(await answers(t, rules, mode), ['ok', 'ok', 'ok', NO, 'ok', 'ok'])
  })

  t.test(`${mode}: everything`, needs('root'), async (t) => {
    const result = await answers(t, [{ allow: true, access: 'rwm' }], mode)
    t.strictSame(result, ['ok', 'ok', 'ok', 'ok', 'ok', 'ok'])
  })
}
