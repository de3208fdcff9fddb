import { watch, type FSWatcher } from 'node:fs'

/** How often to look where the kernel doesn't tell, in milliseconds. */
const PERIOD = 100

/**
 * Be told of changes in a directory (inotify(7)). The kernel counts what listens by users, and root of a container that has
 * no users of its own is the host's: one that takes all there is must not make the host deaf, which looks every now and then.
 * @param changed is given the name of what has changed; none: it may be anything
 */
export function watchDirectory(directory: string, changed: (name?: string) => void): { close(): void } {
  let timer: NodeJS.Timeout | undefined
  const look = (): void => {
    timer ??= setInterval(changed, PERIOD)
  }
  const watcher = listen(directory, changed, look)
  if (watcher === undefined) look()
  return {
    close() {
      watcher?.close()
      clearInterval(timer)
    },
  }
}

function listen(directory: string, changed: (name?: string) => void, failed: () => void): FSWatcher | undefined {
  try {
    return watch(directory, (_, name) => {
      changed(name ?? undefined)
    }).on('error', failed)
  } catch (error) {
    const { code = '' } = error as NodeJS.ErrnoException
    // Of instances, and of watches.
    if (code === 'EMFILE' || code === 'ENOSPC') return undefined
    throw error
  }
}
