/** The seccomp filters in CRIU's images (https://criu.org/Images), against those that the container is to have. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { PodlingError } from '../../errors.js'
import type { Spec } from '../../launch/oci-spec.js'
import { decodeMessage, ProtobufError, type MessageSchema } from '../../schema/protobuf.js'
import { compileSeccomp } from '../../security/seccomp-compile.js'
import { isErrno } from '../../storage/file-error.js'
import { machine } from '../../security/seccomp-profile.js'

const schema: MessageSchema = {
  filters: {
    number: 1,
    repeated: true,
    kind: {
      filter: { number: 1, kind: 'bytes' },
      prev: { number: 2, kind: 'int64' },
    },
  },
}

interface Filter {
  readonly filter?: Uint8Array
  readonly prev?: number
}

/** Two magic numbers in front, then the size of the message, as u32. */
const HEAD = 12

/**
 * Every chain of filters must begin with the container's own; a program may have put its own on top.
 * @throws PodlingError `CHECKPOINT_INVALID`
 */
export async function checkFilters(what: string, images: string, spec: Spec): Promise<void> {
  if (spec.linux?.seccomp === undefined) return
  const { filter } = compileSeccomp(spec.linux.seccomp, machine)
  let bytes: Buffer
  try {
    bytes = await readFile(join(images, 'seccomp.img'))
  } catch (error) {
    if (isErrno(error, 'ENOENT')) throw refuse(what, 'its processes had no seccomp filter')
    throw error
  }
  let filters: readonly Filter[]
  try {
    const size = bytes.length < HEAD ? 0 : bytes.readUInt32LE(8)
    filters =
      (decodeMessage(schema, bytes.subarray(HEAD, HEAD + size)) as { filters?: readonly Filter[] }).filters ?? []
  } catch (error) {
    if (error instanceof ProtobufError) throw refuse(what, `seccomp.img can't be read: ${error.message}`)
    throw error
  }
  const expected = Buffer.from(filter)
  const first = filters.filter(({ prev }) => prev === undefined)
  if (first.length > 0 && first.every((one) => expected.equals(one.filter ?? new Uint8Array()))) return
  throw refuse(what, "its processes had other seccomp filters than the container's")
}

function refuse(what: string, why: string): PodlingError {
  return new PodlingError('CHECKPOINT_INVALID', `${what}: ${why}; give the seccomp option that it was made with`)
}
