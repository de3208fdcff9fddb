/** A container that fills the disk, with bytes or with files without any: a read-only root, and what is writable, has a limit. */
import t from 'tap'
import { attackLab } from '../fixtures/attack-lab.js'

const lab = await attackLab(t)
const fill = (place: string) => ({
  bytes: ['sh', '-c', `head -c 60000000 /dev/zero >${place}/bomb && echo ok; rm -f ${place}/bomb`],
  files: ['sh', '-c', `i=0; while [ $i -lt 3000 ]; do : >${place}/$i || exit; i=$((i + 1)); done; echo ok`],
})

t.test('where there is no limit', async (t) => {
  const { bytes, files } = fill('/var')
  t.strictSame((await lab.weak({ command: bytes }, {})).lines, ['ok'])
  t.strictSame((await lab.weak({ command: files }, {})).lines, ['ok'])
})

t.test('Podling', async (t) => {
  const small = { readOnly: true, tmpfs: ['/tmp:size=8m,nr_inodes=500'] }
  for (const [place, message] of [
    ['/tmp', /No space left|I\/O error/],
    ['/var', /Read-only file system/],
    ['/etc', /Read-only file system/],
  ] as const) {
    for (const command of Object.values(fill(place))) {
      const { lines } = await lab.strong({ ...small, command })
      t.match(lines[0], message, `${place}: ${lines.join(', ')}`)
      t.notOk(lines.includes('ok'))
    }
  }
  for (const place of ['/dev/shm', '/dev']) {
    const { lines } = await lab.strong({
      command: ['sh', '-c', `head -c 70000000 /dev/zero >${place}/bomb && echo ok`],
    })
    t.notOk(lines.includes('ok'), `${place} has a size of its own`)
  }
})
