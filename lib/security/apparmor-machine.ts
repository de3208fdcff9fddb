/** Whether AppArmor is on here, and with which profiles. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { defaultProfile, defaultProfileName, parseProfiles } from './apparmor.js'

/** As aa_is_enabled(2) finds it, but that the module's own word is enough: nobody need have mounted securityfs. */
export function isApparmorOn(): boolean {
  return textOf('/sys/module/apparmor/parameters/enabled')?.startsWith('Y') === true
}

/** @returns undefined where that can't be told: for want of rights, or of securityfs */
export function loadedProfiles(): Set<string> | undefined {
  const text = textOf('/sys/kernel/security/apparmor/profiles')
  return text === undefined ? undefined : parseProfiles(text)
}

/**
 * See to it that the default profile is loaded. Until the machine is switched off it stays so.
 * @returns why it can't be; undefined: it is
 */
export async function loadDefaultProfile(
  findProgram: (name: string) => string | undefined,
): Promise<string | undefined> {
  const loaded = loadedProfiles()
  if (loaded === undefined) return 'only root, with securityfs mounted at /sys/kernel/security, can load a profile'
  if (loaded.has(defaultProfileName)) return undefined
  const parser = findProgram('apparmor_parser')
  if (parser === undefined) return 'there is no apparmor_parser to load a profile with; install the package apparmor'
  // Replace: another process may load it in the same moment. No cache: it is read once.
  const child = spawn(parser, ['--replace', '--skip-cache'], { stdio: ['pipe', 'ignore', 'pipe'], env: {} })
  let said = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    said = (said + text).slice(-1000)
  })
  child.stdin.on('error', () => undefined)
  child.stdin.end(defaultProfile)
  try {
    const [code] = (await once(child, 'close')) as [number | null]
    return code === 0 ? undefined : `apparmor_parser could not load a profile: ${said.trim().replace(/\s+/g, ' ')}`
  } catch (error) {
    return `apparmor_parser could not be run: ${error instanceof Error ? error.message : String(error)}`
  }
}

function textOf(path: string): string | undefined {
  try {
    return readFileSync(path, 'latin1')
  } catch {
    return undefined
  }
}
