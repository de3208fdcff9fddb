/**
 * What `npm run test:vm` runs: specs on real kernels that this machine doesn't have, in QEMU without hardware's help. All
 * machines with their specs, or what is named: `npm run test:vm -- selinux spec/security/selinux.spec.ts`.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { has, isRoot } from '../peers.js'
import { installPeers } from '../runner/install.js'
import { boot } from './boot.js'
import { machines, type MachineName } from './machines.js'
import { makeRepoDisk } from './repo-disk.js'
import { rootDisk } from './root-disk.js'

const repository = fileURLToPath(new URL('../../../', import.meta.url))
const [name, ...specs] = process.argv.slice(2)
const names = Object.keys(machines) as MachineName[]
if (name !== undefined && !names.includes(name as MachineName)) {
  console.error(`There is no machine '${name}': the first argument is one of ${names.join(', ')}.`)
  process.exit(1)
}

const peers = ['e2fsprogs', 'erofs-utils', 'mmdebstrap', 'qemu'] as const
installPeers(peers)
if (process.arch !== 'x64' || !isRoot || !peers.every(has)) {
  console.error(
    "The machines want root of an x64 machine, and Debian's e2fsprogs, erofs-utils, mmdebstrap, qemu-system-x86.",
  )
  process.exit(1)
}

const directory = mkdtempSync(join(tmpdir(), 'podling-vm-'))
try {
  const root = rootDisk(join(repository, 'spec/vm/guest'))
  const repo = join(directory, 'repo.erofs')
  makeRepoDisk(repository, repo)
  const chosen = name === undefined ? names : [name as MachineName]
  const sum = [0, 0, 0]
  for (const machine of chosen) {
    const { kernel, specs: usual } = machines[machine]
    console.log(`\n== ${machine}`)
    const startedAt = Date.now()
    const options = {
      root,
      repo,
      kernel: process.env['CI'] === 'true' ? [...kernel, 'CI=true'] : kernel,
      args: specs.length > 0 ? specs : usual,
      directory,
      limit: 1500,
    }
    // QEMU's threads lose a timer now and then, and the guest's kernel stands still: that says nothing of the specs.
    const told = await boot(options).catch((error: unknown) => {
      console.error(error)
      return boot(options)
    })
    const seconds = Math.round((Date.now() - startedAt) / 1000)
    console.log(`${told.exitCode === 0 ? 'ok' : 'not ok'} ${machine} (${String(seconds)} s from power on to power off)`)
    if (told.exitCode !== 0) process.exitCode = 1
    told.sum.forEach((count, i) => (sum[i] = (sum[i] ?? 0) + count))
  }
  const [passed, failed, skipped] = sum.map(String)
  console.log(`\nOn ${chosen.join(' and ')}: ${passed ?? ''} passed, ${failed ?? ''} failed, ${skipped ?? ''} skipped`)
} finally {
  rmSync(directory, { recursive: true, force: true })
}
