/** The fields of each operation, in the order that native/interpret.c and its like read them. */
import type { MountAttributes, Operation } from '../operation.js'
import { noSlot, propagations } from './numbers.js'
import type { Writer } from './writer.js'

/** MOUNT_ATTR_* of linux/mount.h. */
const attributeFlags = {
  readOnly: 0x1,
  noSuid: 0x2,
  noDev: 0x4,
  noExec: 0x8,
  noDirAccessTime: 0x80,
  noSymFollow: 0x200000,
} as const

const accessTimes = { relatime: 0, noatime: 0x10, strictatime: 0x20 } as const

const accessTimeMask = 0x70

export function writeFields(out: Writer, operation: Operation): void {
  switch (operation.op) {
    case 'propagation':
      out.u8(propagations[operation.mode])
      return
    case 'root-overlay':
      out.texts(operation.lower)
      out.maybe(operation.upper)
      out.maybe(operation.work)
      out.texts(operation.options)
      out.text(operation.at)
      return
    case 'root-bind':
      out.text(operation.source)
      return
    case 'mount':
      out.text(operation.fstype)
      out.text(operation.source)
      out.text(operation.target)
      writeAttributes(out, operation.attributes)
      out.texts(operation.options)
      out.u8(operation.copyUp ?? false)
      out.maybe(operation.label)
      return
    case 'keep-root':
      out.u32(operation.slot)
      out.maybe(operation.subpath)
      return
    case 'adopt':
      out.text(operation.keeper)
      out.text(operation.target)
      return
    case 'take':
      out.u32(operation.slot)
      out.text(operation.source)
      out.maybe(operation.subpath)
      out.u8(operation.recursive)
      out.u8(operation.ofPeer ?? false)
      out.maybe(operation.owner)
      out.maybe(operation.idMaps?.uid)
      out.maybe(operation.idMaps?.gid)
      return
    case 'map-ids':
      out.text(operation.path)
      out.text(operation.idMaps.uid)
      out.text(operation.idMaps.gid)
      return
    case 'bind':
      out.u32(operation.taken ?? noSlot)
      out.text(operation.source)
      out.maybe(operation.subpath)
      out.text(operation.target)
      out.u8(operation.recursive)
      writeAttributes(out, operation.attributes)
      writeAttributes(out, operation.top ?? {})
      out.u8(propagations[operation.propagation ?? 'unchanged'])
      out.u8(operation.optional ?? false)
      out.maybe(operation.owner)
      out.maybe(operation.idMaps?.uid)
      out.maybe(operation.idMaps?.gid)
      out.maybe(operation.relabel?.label)
      out.texts(operation.relabel?.kept ?? [])
      return
    case 'fill':
      out.text(operation.data)
      out.text(operation.staging)
      out.text(operation.lock)
      out.text(operation.target)
      out.u8(operation.durable)
      return
    case 'mkdir':
      out.text(operation.path)
      out.u32(operation.mode)
      out.u32(operation.uid)
      out.u32(operation.gid)
      return
    case 'mknod':
      out.text(operation.path)
      out.u8(operation.type.charCodeAt(0))
      out.u32(operation.mode)
      out.u32(operation.major)
      out.u32(operation.minor)
      out.u32(operation.uid)
      out.u32(operation.gid)
      return
    case 'symlink':
      out.text(operation.target)
      out.text(operation.path)
      return
    case 'write-file':
      out.text(operation.path)
      out.u32(operation.mode)
      out.blob(typeof operation.content === 'string' ? Buffer.from(operation.content) : operation.content)
      return
    case 'account':
      out.text(operation.user)
      out.u32(operation.uid)
      out.text(operation.passwd)
      out.text(operation.group)
      out.u32(operation.gid)
      out.text(operation.members)
      return
    case 'mask':
      out.text(operation.path)
      out.maybe(operation.label)
      return
    case 'read-only':
    case 'mount-read-only':
      out.text(operation.path)
      return
    case 'hostname':
    case 'domainname':
      out.text(operation.name)
      return
    case 'attribute':
      out.text(operation.name)
      out.text(operation.value)
      return
    case 'sysctl':
      out.text(operation.key)
      out.text(operation.value)
      return
    case 'rlimit':
      out.u32(operation.resource)
      out.u64(operation.soft)
      out.u64(operation.hard)
      return
    case 'oom-score-adj':
      out.u32(operation.value)
      return
    case 'personality':
      out.u32(operation.persona)
      return
    case 'scheduler':
      out.u32(operation.policy)
      out.u64(operation.flags)
      out.u32(operation.nice)
      out.u32(operation.priority)
      out.u64(operation.runtime)
      out.u64(operation.deadline)
      out.u64(operation.period)
      return
    case 'io-priority':
      out.u32(operation.value)
      return
    case 'memory-policy':
      out.u32(operation.mode)
      out.blob(operation.nodes)
      return
    case 'init':
      out.maybe(operation.program)
      return
    case 'place-init':
      out.text(operation.path)
      return
    case 'affinity':
      out.blob(operation.initial)
      out.blob(operation.final)
      return
    case 'umask':
      out.u32(operation.mask)
      return
    case 'user':
      out.text(operation.user)
      out.texts(operation.groups)
      out.u8(operation.setHome)
      return
    case 'ids':
      out.u32(operation.uid)
      out.u32(operation.gid)
      out.texts(operation.groups.map(String))
      out.u8(operation.setHome)
      return
    case 'capabilities':
      out.u64(operation.effective)
      out.u64(operation.permitted)
      out.u64(operation.inheritable)
      out.u64(operation.bounding)
      out.u64(operation.ambient)
      return
    case 'seccomp':
      out.blob(operation.filter)
      out.u32(operation.flags)
      return
    case 'landlock':
      out.u64(operation.files)
      out.u64(operation.ports)
      out.u64(operation.scopes)
      out.list(operation.pathRules, ({ path, access }) => {
        out.u64(access)
        out.text(path)
      })
      out.list(operation.portRules, ({ port, access }) => {
        out.u64(access)
        out.u32(port)
      })
      return
    case 'chdir':
      out.text(operation.path)
      out.u8(operation.create)
      return
    case 'exec':
      out.texts(operation.argv)
      out.texts(operation.env)
      return
    case 'part':
      out.text(operation.program)
      out.texts(operation.env)
      out.u8(operation.awaitsStart)
      return
    case 'netlink':
      out.blobs(operation.messages)
      return
    case 'terminal':
      out.u32(operation.columns)
      out.u32(operation.rows)
      out.u8(operation.console)
      return
    case 'hook':
      out.text(operation.path)
      out.texts(operation.argv)
      out.texts(operation.env)
      out.text(operation.state.slice(0, -1))
      out.u32(operation.timeout ?? 0)
      out.maybe(operation.directory)
      out.u8(operation.asProgram)
      return
    case 'once':
      out.u32(operation.operations)
      return
    case 'open-network':
      out.u32(operation.fd)
      return
    case 'probe':
      out.u32(operation.port)
      out.maybe(operation.path)
      return
    case 'pivot-root':
    case 'loopback-up':
    case 'keyring':
    case 'no-new-privs':
    case 'enter-pids':
    case 'barrier':
    case 'exit':
    case 'hold':
    case 'enter-user':
      return
  }
}

function writeAttributes(out: Writer, value: MountAttributes): void {
  const { set, clear } = attributes(value)
  out.u32(set)
  out.u32(clear)
}

/** The flags to set and those to clear, as mount_setattr(2) takes them. */
function attributes(value: MountAttributes): { set: number; clear: number } {
  let set = 0
  for (const [name, flag] of Object.entries(attributeFlags)) {
    if (value[name as keyof typeof attributeFlags]) set |= flag
  }
  if (value.accessTime === undefined) return { set, clear: 0 }
  return { set: set | accessTimes[value.accessTime], clear: accessTimeMask }
}
