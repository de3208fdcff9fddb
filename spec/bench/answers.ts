/** A server on a published port, and who waits for it. */
import { setImmediate as turn } from 'node:timers/promises'
import { connect } from 'node:net'

/** busybox's nc: it answers each connection. */
export const ANSWERS: readonly string[] = [
  '/bin/busybox',
  'nc',
  '-ll',
  '-p',
  '80',
  '-e',
  '/bin/busybox',
  'echo',
  'here',
]

/** The host's own programs and libraries, for Podling and its peers alike. */
export const LIBRARIES: readonly string[] = ['/usr:/usr:ro', '/lib:/lib:ro', '/lib64:/lib64:ro']

/** Until something is said at a port of loopback. */
export async function untilAnswered(port: number): Promise<void> {
  while (!(await says(port))) await turn()
}

/** Who forwards may take a connection before there is anybody to bring it to. */
function says(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1' })
    socket.on('data', () => {
      resolve(true)
      socket.destroy()
    })
    socket.on('error', () => undefined)
    socket.on('close', () => {
      resolve(false)
    })
  })
}
