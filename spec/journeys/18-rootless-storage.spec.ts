/** The storage drivers of an ordinary user, and which one `auto` takes where one can't be had. */
import t from 'tap'
import { makeUser, openFuse, runAs } from '../fixtures/ordinary-user.js'
import { needs } from '../peers.js'

const needed = needs('root', 'busybox', 'uidmap', 'fuse-overlayfs')

for (const driver of ['overlay', 'fuse-overlayfs', 'vfs']) {
  t.test(driver, needed, async (t) => {
    await runAs(t, makeUser(t), 'drivers', { environment: { DRIVER: driver, EXPECTED: driver }, prepare: openFuse })
  })
}

/** What an overlay writes to can't stand on another one. */
const overlaidHome = [
  'mkdir "$HOME/lower" "$HOME/upper" "$HOME/work" "$HOME/.local"',
  'chown --reference="$HOME" "$HOME"/*/ "$HOME/.local"',
  'mount -t overlay -o lowerdir="$HOME/lower",upperdir="$HOME/upper",workdir="$HOME/work" none "$HOME/.local"',
].join('\n')

t.test('auto, where overlay has nothing to stand on', needed, async (t) => {
  const environment = { EXPECTED: 'fuse-overlayfs' }
  await runAs(t, makeUser(t), 'auto', { environment, prepare: `${openFuse}\n${overlaidHome}` })
})

t.test('auto, where there is no FUSE either', needed, async (t) => {
  const shutFuse = openFuse.replace('666', '600')
  await runAs(t, makeUser(t), 'auto', { environment: { EXPECTED: 'vfs' }, prepare: `${shutFuse}\n${overlaidHome}` })
})
