import { closeSync, existsSync, fstatSync, readdirSync, readSync, writeSync } from 'node:fs'
import t from 'tap'
import { labelledPipe } from '../../lib/sys/labelled-pipe.js'

t.test('a pipe that had a name once', async (t) => {
  const directory = t.testdir()
  // Without SELinux the attribute is one as any other, and a file system that has none is no failure.
  const { read, write } = labelledPipe(directory, 'system_u:object_r:container_file_t:s0:c1,c2')
  t.strictSame(readdirSync(directory), [])
  t.ok(fstatSync(read).isFIFO() && fstatSync(write).isFIFO())
  t.equal(writeSync(write, 'through it'), 10)
  const bytes = Buffer.alloc(64)
  t.equal(bytes.toString('latin1', 0, readSync(read, bytes)), 'through it')
  closeSync(write)
  t.equal(readSync(read, bytes), 0, 'it ends with its writer')
  closeSync(read)
})

t.test('nothing is left of one that could not be made', async (t) => {
  const directory = t.testdir()
  const before = readdirSync('/proc/self/fd').length
  t.throws(() => labelledPipe(`${directory}/missing`, 'a:b:c'), { code: 'SYSTEM_CALL_FAILED', message: /ENOENT/ })
  t.notOk(existsSync(`${directory}/missing`))
  t.equal(readdirSync('/proc/self/fd').length, before)
})
