import { readdirSync, readFileSync } from 'node:fs'

/** What containers on bridges leave on a host; tests have them in network namespaces of their own only. */
export function networkTraces(): string[] {
  const links = readdirSync('/sys/class/net').filter((name) => /^(podling|pod[0-9a-f]{10})/.test(name))
  const forwards = readFileSync('/proc/sys/net/ipv4/ip_forward', 'latin1').trim() === '1'
  return [...links.map((name) => `the link ${name}`), ...(forwards ? ['IP forwarding'] : [])]
}
