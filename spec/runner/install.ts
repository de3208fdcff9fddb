import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { has, isDebian, isRoot, peers, unpackedPeers, type Peer, type PeerName } from '../peers.js'

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
  if (!listsPresent()) aptGet(['update'])
  const unpacked = missing.filter(isUnpacked)
  const installed = missing.filter((name) => !isUnpacked(name))
  if (installed.length > 0) install(installed)
  if (unpacked.length > 0) unpack(unpacked)
  stopServices(installed)
}

function isUnpacked(name: PeerName): boolean {
  const { unpacked = false }: Peer = peers[name]
  return unpacked
}

function install(missing: readonly PeerName[]): void {
  const packages = missing.map((name) => peers[name].package)
  // Old lists name versions that the mirror has dropped: fetch new ones and try again before giving up.
  const words = ['install', '--yes', '--no-install-recommends', '--no-upgrade', ...packages]
  if (!aptGet(words) && !(aptGet(['update']) && aptGet(words))) {
    console.log('apt-get could not install them all; the tests that need the rest will be skipped.')
  }
}

function unpack(missing: readonly PeerName[]): void {
  const packages = missing.map((name) => peers[name].package)
  mkdirSync(unpackedPeers, { recursive: true })
  const directory = mkdtempSync(`${unpackedPeers}.`)
  try {
    const download = (): boolean => aptGet(['download', ...packages], directory)
    if (!download() && !(aptGet(['update']) && download())) {
      console.log('apt-get could not download them all; the tests that need the rest will be skipped.')
    }
    for (const file of readdirSync(directory)) {
      spawnSync('dpkg', ['--extract', join(directory, file), unpackedPeers], { stdio: 'inherit' })
    }
  } finally {
    rmSync(directory, { recursive: true })
  }
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

function aptGet(args: readonly string[], directory?: string): boolean {
  const { status } = spawnSync('apt-get', ['-q', '-o', 'Dpkg::Use-Pty=0', ...args], {
    ...(directory === undefined ? {} : { cwd: directory }),
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
