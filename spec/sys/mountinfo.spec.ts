import t from 'tap'
import { readFileSync } from 'node:fs'
import { parseMountInfo } from '../../lib/sys/mountinfo.js'

t.test('reads the fields on both sides of the hyphen', async (t) => {
  const [mount] = parseMountInfo(
    '36 35 98:0 /mnt1 /mnt/a\\040b rw,noatime shared:1 master:1 - ext3 /dev/root rw,errors=continue\n',
  )
  t.strictSame(mount, {
    id: 36,
    parentId: 35,
    device: '98:0',
    root: '/mnt1',
    mountPoint: '/mnt/a b',
    options: ['rw', 'noatime'],
    type: 'ext3',
    source: '/dev/root',
    superOptions: ['rw', 'errors=continue'],
  })
})

t.test('no optional fields, and options of nothing', async (t) => {
  t.match(parseMountInfo('1 0 0:1 / / rw - tmpfs none \n'), [{ type: 'tmpfs', source: 'none', superOptions: [] }])
})

t.test('lines of another shape are left out', async (t) => {
  t.strictSame(parseMountInfo('\nnonsense\n1 0 0:1 / / rw tmpfs none rw\n'), [])
})

t.test("this machine's own table has a root", async (t) => {
  const mounts = parseMountInfo(readFileSync('/proc/self/mountinfo', 'utf8'))
  t.ok(mounts.some(({ mountPoint }) => mountPoint === '/'))
})
