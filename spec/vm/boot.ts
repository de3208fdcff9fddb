/** A machine, from power on to power off. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { RootDisk } from './root-disk.js'

export interface BootOptions {
  readonly root: RootDisk
  readonly repo: string
  /** Words of the kernel's command line; `NAME=value` that it doesn't know is a variable of pid 1. */
  readonly kernel: readonly string[]
  /** Of pid 1. */
  readonly args: readonly string[]
  /** A directory for what the machine writes while it runs. */
  readonly directory: string
  /** Seconds from its first word on until it is switched off by force. */
  readonly limit: number
}

/** Seconds. It takes 4 to 30. */
const FIRST_WORD = 240

/** What the guest told. */
export interface Told {
  /** Of the runner. */
  readonly exitCode: number
  /** How many tests passed, failed and were skipped. */
  readonly sum: readonly [number, number, number]
}

/**
 * Boot, and print what the guest says.
 * @throws Error with the end of the kernel's log when the guest told no exit code
 */
export async function boot({ root, repo, kernel, args, directory, limit }: BootOptions): Promise<Told> {
  const [log, status] = [join(directory, 'console'), join(directory, 'status')]
  const words = ['root=/dev/nvme0n1', 'rootwait', 'rw', 'console=ttyS0', 'panic=-1', 'mitigations=off', ...kernel, '--', ...args] // prettier-ignore
  if (words.join(' ').length > 2047) throw new Error('the command line of the kernel takes 2,047 characters')
  const machine = [
    ...['-machine', 'q35', '-accel', 'tcg,thread=multi', '-cpu', 'max', '-smp', '2', '-m', '3G'],
    ...['-nodefaults', '-no-reboot', '-display', 'none', '-monitor', 'none', '-serial', `file:${log}`],
    ...['-kernel', root.kernel, '-append', words.join(' ')],
    // Of buses of their own: disks of one get their numbers as they are found, now so, now so.
    ...['-drive', `if=none,id=root,file=${root.disk},format=raw,snapshot=on`, '-device', 'nvme,serial=root,drive=root'],
    ...['-drive', `if=none,id=repo,file=${repo},format=raw,readonly=on`, '-device', 'virtio-blk,drive=repo'],
    ...['-device', 'virtio-serial', '-chardev', 'stdio,id=said,signal=off', '-device', 'virtserialport,chardev=said'],
    ...['-chardev', `file,id=status,path=${status}`, '-device', 'virtserialport,chardev=status'],
  ]
  // It must not outlive this process, however that ends.
  const command = ['--pdeathsig', 'KILL', 'qemu-system-x86_64', ...machine]
  const qemu = spawn('setpriv', command, {
    // At the end of its input qemu takes the guest's port for unplugged, and the guest waits for ever.
    stdio: ['pipe', 'pipe', 'inherit'],
    env: { ...process.env, TMPDIR: directory },
  })
  const after = (seconds: number): NodeJS.Timeout => setTimeout(() => qemu.kill('SIGKILL'), seconds * 1000)
  let late = after(FIRST_WORD)
  let said = ''
  qemu.stdout.on('data', (chunk: Buffer) => {
    if (said === '') {
      clearTimeout(late)
      late = after(limit)
    }
    process.stdout.write(chunk)
    said = (said + chunk.toString('latin1')).slice(-4096)
  })
  await once(qemu, 'close')
  clearTimeout(late)
  const exitCode = text(status).trim()
  const [, ...sum] = /^(\d+) passed, (\d+) failed, (\d+) skipped$/m.exec(said) ?? []
  const [passed = 0, failed = 0, skipped = 0] = sum.map(Number)
  if (/^\d+$/.test(exitCode)) return { exitCode: Number(exitCode), sum: [passed, failed, skipped] }
  const patience = said === '' ? FIRST_WORD : limit
  const why = qemu.killed ? `was switched off after ${String(patience)} seconds` : 'ended'
  throw new Error(`the machine ${why} before it told an exit code; its console:\n${text(log).slice(-4000)}`)
}

function text(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return '' // qemu did not come so far
  }
}
