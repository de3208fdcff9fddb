/** Files of the kernel that tell of the host or change it: /proc/kcore, /proc/keys, /proc/sysrq-trigger, /proc/sys ... */
import { existsSync } from 'node:fs'
import t from 'tap'
import { defaultMaskedPaths, defaultReadonlyPaths } from '../../lib/container/default-mounts.js'
import { attackLab, without } from '../fixtures/attack-lab.js'

const lab = await attackLab(t)
// Opened for writing, and nothing written: what sysrq-trigger does is no test.
const writable = [...defaultReadonlyPaths, '/proc/sys/kernel/panic', '/proc/sys/vm/swappiness'].filter(existsSync)
const readable = defaultMaskedPaths.filter(existsSync)
const script = `
  for path in ${readable.join(' ')}; do
    if [ -d $path ]; then [ -n "$(ls $path)" ] && echo read $path
    else [ "$(head -c 1 $path | wc -c)" = 1 ] && echo read $path; fi
  done 2>/dev/null
  for path in ${writable.join(' ')}; do
    if [ -d $path ]; then [ -w $path ] && for file in $(find $path -type f -perm -200 | head -n 3); do (: >>$file) && echo wrote $file; done
    else (: >>$path) && echo wrote $path; fi
  done 2>/dev/null
  true`
// Some can be read only by whom this capability lets.
const attack = { command: ['sh', '-c', script], capAdd: ['SYS_RAWIO', 'SYSLOG'] }

t.test('without masks and read-only paths', async (t) => {
  const { lines } = await lab.weak(attack, { plan: without('mask', 'read-only') })
  t.ok(
    lines.some((line) => line.startsWith('read ')),
    lines.join(', '),
  )
  t.ok(lines.some((line) => line.startsWith('wrote /proc/sys/')))
  for (const path of ['/proc/kcore', '/proc/sysrq-trigger'].filter(existsSync))
    t.ok(
      lines.some((line) => line.endsWith(path)),
      path,
    )
})

t.test('Podling', async (t) => {
  t.strictSame((await lab.strong(attack)).lines, [])
})

t.test('Podling, by mounting another procfs or taking the cover off', async (t) => {
  const again = 'mount -t proc proc /tmp; umount /proc/keys; mount -o remount,rw /proc/sys; cat /tmp/keys /proc/keys'
  t.strictSame((await lab.strong({ command: ['sh', '-c', `(${again}) 2>/dev/null | wc -c`] })).lines, ['0'])
})
