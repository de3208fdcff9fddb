import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import t from 'tap'
import { close } from '../../lib/sys/descriptors.js'
import { connectPackets, receiveDescriptor } from '../../lib/sys/unix-sockets.js'
import { temporaryDirectory } from '../fixtures/directory.js'
import { needs } from '../peers.js'

/** Has the one it speaks to get the signal of a child's end, in the middle of its wait for the answer. */
const server = `
import os, signal, socket, sys, time
listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
listener.bind(sys.argv[1])
listener.listen()
print('listens', flush=True)
connection, _ = listener.accept()
for _ in range(20):
    os.kill(os.getppid(), signal.SIGCHLD)
    time.sleep(0.01)
connection.send(b'the answer')
`

t.test('an answer is waited for, whatever signals come meanwhile', needs('python3'), async (t) => {
  const path = join(await temporaryDirectory(t), 'socket')
  const child = spawn('python3', ['-c', server, path], { stdio: ['ignore', 'pipe', 'inherit'] })
  const ended = once(child, 'close')
  const [line] = (await once(createInterface(child.stdout), 'line')) as [string]
  t.equal(line, 'listens')
  const socket = connectPackets(path, 30)
  const room = Buffer.alloc(100)
  const { size, fd } = receiveDescriptor(socket, room, 'ask')
  t.equal(room.toString('utf8', 0, size), 'the answer')
  t.equal(fd, undefined)
  close(socket)
  t.strictSame(await ended, [0, null])
})
