/** The thread that unpacks layers: jobs come as messages, one at a time; see unpack-thread.ts for the other end. */
import { parentPort } from 'node:worker_threads'
import { PodlingError } from '../errors.js'
import { giveWay } from '../sys/give-way.js'
import { BlobLost } from './blob-bytes.js'
import { unpackBlob } from './unpack-blob.js'
import type { UnpackJob } from './unpack-flags.js'
import type { ThreadMessage } from './unpack-thread.js'

/** Milliseconds between two words of progress. */
const progressInterval = 100

giveWay()

const port = parentPort
port?.on('message', (job: UnpackJob) => {
  void perform(job)
})

async function perform(job: UnpackJob): Promise<void> {
  let told = 0
  try {
    const result = await unpackBlob(job, (progress) => {
      const now = performance.now()
      if (now - told < progressInterval && progress.bytes < progress.total) return
      told = now
      post({ is: 'progress', progress })
    })
    post({ is: 'done', result })
  } catch (error) {
    post(error instanceof BlobLost ? { is: 'lost' } : { is: 'failed', ...plain(error) })
  }
}

function post(message: ThreadMessage): void {
  port?.postMessage(message)
}

/** An error of a class of ours doesn't travel between threads. */
function plain(error: unknown): Omit<Extract<ThreadMessage, { is: 'failed' }>, 'is'> {
  if (error instanceof PodlingError) {
    const { code, message, syscall, errno, path } = error
    return {
      code,
      message,
      details: {
        ...(syscall === undefined ? {} : { syscall }),
        ...(errno === undefined ? {} : { errno }),
        ...(path === undefined ? {} : { path }),
      },
    }
  }
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error)
  return { code: 'SYSTEM_CALL_FAILED', message: `unpack a layer: ${text}`, details: {} }
}
