/** What went over the links of a network namespace: /proc/PID/net/dev (proc_pid_net(5)). Pure. */

/** One link, since it was made. */
export interface InterfaceStats {
  /** As the container calls it, `eth0`. */
  readonly name: string
  readonly receivedBytes: number
  readonly receivedPackets: number
  readonly receivedErrors: number
  readonly receivedDropped: number
  readonly sentBytes: number
  readonly sentPackets: number
  readonly sentErrors: number
  readonly sentDropped: number
}

/** Two lines of headings, then one a link: its name, eight numbers of what it received, eight of what it sent. */
export function parseInterfaces(text: string): InterfaceStats[] {
  return text.split('\n').flatMap((line) => {
    // A link's name may hold a colon itself.
    const colon = line.lastIndexOf(':')
    if (colon < 0) return []
    const numbers = line
      .slice(colon + 1)
      .trim()
      .split(/\s+/)
      .map(Number)
    const at = (index: number): number => numbers[index] ?? 0
    return [
      {
        name: line.slice(0, colon).trim(),
        receivedBytes: at(0),
        receivedPackets: at(1),
        receivedErrors: at(2),
        receivedDropped: at(3),
        sentBytes: at(8),
        sentPackets: at(9),
        sentErrors: at(10),
        sentDropped: at(11),
      },
    ]
  })
}
