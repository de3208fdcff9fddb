import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync } from 'node:fs'
import { has, isDebian, isRoot, peers, type Peer, type PeerName } from '../peers.js'

/**
 * Install the peers that are missing when this is root on Debian; say what is missing otherwise. Either way the tests go
 * on: those that lack something are skipped, with the reason.
 * @param wanted none but these
 */
export function installPeers(wanted: readonly PeerName[] = Object.keys(peers) as PeerName[]): void {
  const missing = wanted.filter((name) => !has(name))
  if (missing.length === 0) return
  if (!isRoot || !isDebian()) {
    console.log(`Some tests will be skipped: ${isRoot ? 'this is not Debian' : 'not root'}, so nothing is installed.`)
    for (const name of missing) describe(name, ` (${peers[name].specs})`)
    return
  }
  console.log("Installing from Debian's packages what the tests need and this machine lacks:")
  for (const name of missing) describe(name, '')
  const packages = missing.map((name) => peers[name].package)
  if (!listsPresent()) aptGet('update')
  // Old lists name versions that the mirror has dropped: fetch new ones and try again before giving up.
  const install = ['install', '--yes', '--no-install-recommends', '--no-upgrade', ...packages]
  if (!aptGet(...install) && !(aptGet('update') && aptGet(...install))) {
    console.log('apt-get could not install them all; the tests that need the rest will be skipped.')
  }
  stopServices(missing)
}

function describe(name: PeerName, more: string): void {
  const peer = peers[name]
  console.log(`  ${peer.package}: ${peer.reason}${more}`)
}

function listsPresent(): boolean {
  const directory = '/var/lib/apt/lists'
  return (
    existsSync(directory) && readdirSync(directory).some((name) => name.endsWith('_Packages') || name.endsWith('.lz4'))
  )
}

function aptGet(...args: readonly string[]): boolean {
  const { status } = spawnSync('apt-get', ['-q', '-o', 'Dpkg::Use-Pty=0', ...args], {
    stdio: ['ignore', 'inherit', 'inherit'],
    env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
  })
  return status === 0
}

/** A test run leaves no service behind that was not there before. */
function stopServices(installed: readonly PeerName[]): void {
  if (!existsSync('/run/systemd/system')) return
  for (const name of installed) {
    const { service }: Peer = peers[name]
    if (service !== undefined) spawnSync('systemctl', ['disable', '--now', service], { stdio: 'ignore' })
  }
}
