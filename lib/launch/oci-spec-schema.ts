/**
 * The rules of the OCI runtime specification 1.2 for Linux as a JSON schema, written from its text. Members that it
 * doesn't know are let through, as it asks (config.md, "Extensibility"), so a spec of a newer minor version is read too.
 */
import { seccompActions, seccompArchitectures, seccompFlags, seccompOperators } from '../security/linux-seccomp.js'
import { rlimitNumbers } from './rlimits.js'
import {
  ioPriorityClasses,
  memoryPolicyFlags,
  memoryPolicyModes,
  personalities,
  schedulerFlags,
  schedulerPolicies,
} from './scheduling-numbers.js'

const text = { type: 'string', noNul: true }
const texts = { type: 'array', items: text }
const absolute = { type: 'string', noNul: true, pattern: '^/', says: 'an absolute path' }
const absolutes = { type: 'array', items: absolute }
const textMap = { type: 'object', additionalProperties: text }
const flag = { type: 'boolean' }
const int32 = { type: 'integer', minimum: -(2 ** 31), maximum: 2 ** 31 - 1 }
const uint16 = { type: 'integer', minimum: 0, maximum: 65535 }
const uint32 = { type: 'integer', minimum: 0, maximum: 2 ** 32 - 1 }
const int64 = { type: 'integer', minimum: -(2 ** 63), maximum: 2 ** 63 }
const uint64 = { type: 'integer', minimum: 0, maximum: 2 ** 64 }
/** Bytes, or -1 for no limit. */
const limit = { type: 'integer', minimum: -1, maximum: 2 ** 63 }
const list = (items: object): object => ({ type: 'array', items })
const cpuList = { type: 'string', pattern: '^[0-9, \\n-]*$', says: `a list such as '0-3,7'` }

const idMappings = list({
  type: 'object',
  required: ['containerID', 'hostID', 'size'],
  properties: { containerID: uint32, hostID: uint32, size: uint32 },
})

const hooks = list({
  type: 'object',
  required: ['path'],
  properties: {
    path: absolute,
    args: texts,
    env: texts,
    timeout: { type: 'integer', minimum: 1 },
  },
})

const user = {
  type: 'object',
  required: ['uid', 'gid'],
  properties: {
    uid: uint32,
    gid: uint32,
    umask: { type: 'integer', minimum: 0, maximum: 0o777 },
    additionalGids: list(uint32),
    username: text,
  },
}

const process = {
  type: 'object',
  required: ['cwd', 'user'],
  properties: {
    terminal: flag,
    consoleSize: {
      type: 'object',
      required: ['height', 'width'],
      properties: { height: uint64, width: uint64 },
    },
    cwd: absolute,
    env: list({ type: 'string', noNul: true, pattern: '^[^=]+=', says: 'NAME=value' }),
    args: { ...texts, minItems: 1 },
    rlimits: list({
      type: 'object',
      required: ['type', 'soft', 'hard'],
      properties: { type: { enum: Object.keys(rlimitNumbers) }, soft: uint64, hard: uint64 },
    }),
    apparmorProfile: text,
    selinuxLabel: text,
    // The names are not checked: what a kernel doesn't know is a warning of the runtime, not a fault of the spec.
    capabilities: {
      type: 'object',
      properties: { bounding: texts, effective: texts, inheritable: texts, permitted: texts, ambient: texts },
    },
    noNewPrivileges: flag,
    oomScoreAdj: { type: 'integer', minimum: -1000, maximum: 1000 },
    scheduler: {
      type: 'object',
      required: ['policy'],
      properties: {
        policy: { enum: Object.keys(schedulerPolicies) },
        nice: int32,
        priority: int32,
        flags: list({ enum: Object.keys(schedulerFlags) }),
        runtime: uint64,
        deadline: uint64,
        period: uint64,
      },
    },
    ioPriority: {
      type: 'object',
      required: ['class'],
      properties: {
        class: { enum: Object.keys(ioPriorityClasses) },
        priority: { type: 'integer', minimum: 0, maximum: 7 },
      },
    },
    execCPUAffinity: { type: 'object', properties: { initial: cpuList, final: cpuList } },
    user,
  },
}

const device = { major: int64, minor: int64 }
const throttles = list({
  type: 'object',
  required: ['major', 'minor', 'rate'],
  properties: { ...device, rate: uint64 },
})

const resources = {
  type: 'object',
  properties: {
    devices: list({
      type: 'object',
      required: ['allow'],
      properties: {
        allow: flag,
        type: { enum: ['a', 'c', 'b', 'u', 'p'] },
        ...device,
        access: { type: 'string', pattern: '^[rwm]*$', says: 'of the letters r, w and m' },
      },
    }),
    memory: {
      type: 'object',
      properties: {
        limit,
        reservation: limit,
        swap: limit,
        kernel: limit,
        kernelTCP: limit,
        swappiness: { type: 'integer', minimum: 0, maximum: 100 },
        disableOOMKiller: flag,
        useHierarchy: flag,
        checkBeforeUpdate: flag,
      },
    },
    cpu: {
      type: 'object',
      properties: {
        shares: uint64,
        quota: int64,
        burst: uint64,
        period: uint64,
        realtimeRuntime: int64,
        realtimePeriod: uint64,
        cpus: cpuList,
        mems: cpuList,
        idle: int64,
      },
    },
    pids: { type: 'object', properties: { limit: int64 } },
    blockIO: {
      type: 'object',
      properties: {
        weight: uint16,
        leafWeight: uint16,
        weightDevice: list({
          type: 'object',
          required: ['major', 'minor'],
          properties: { ...device, weight: uint16, leafWeight: uint16 },
        }),
        throttleReadBpsDevice: throttles,
        throttleWriteBpsDevice: throttles,
        throttleReadIOPSDevice: throttles,
        throttleWriteIOPSDevice: throttles,
      },
    },
    hugepageLimits: list({
      type: 'object',
      required: ['pageSize', 'limit'],
      properties: {
        pageSize: { type: 'string', pattern: '^[1-9][0-9]*[KMG]B$', says: 'a page size such as 2MB' },
        limit: uint64,
      },
    }),
    network: {
      type: 'object',
      properties: {
        classID: uint32,
        priorities: list({
          type: 'object',
          required: ['name', 'priority'],
          properties: { name: text, priority: uint32 },
        }),
      },
    },
    rdma: {
      type: 'object',
      additionalProperties: {
        type: 'object',
        minProperties: 1,
        properties: { hcaHandles: uint32, hcaObjects: uint32 },
      },
    },
    unified: {
      ...textMap,
      propertyNames: { pattern: '^[a-zA-Z0-9_]+\\.[a-zA-Z0-9_.]+$', says: 'a cgroup2 file' },
    },
  },
}

const errno = { type: 'integer', minimum: 0, maximum: 2 ** 16 - 1 }

const seccomp = {
  type: 'object',
  required: ['defaultAction'],
  properties: {
    defaultAction: { enum: seccompActions },
    defaultErrnoRet: errno,
    architectures: list({ enum: seccompArchitectures }),
    flags: list({ enum: seccompFlags }),
    listenerPath: text,
    listenerMetadata: text,
    syscalls: list({
      type: 'object',
      required: ['names', 'action'],
      properties: {
        names: { ...texts, minItems: 1 },
        action: { enum: seccompActions },
        errnoRet: errno,
        args: list({
          type: 'object',
          required: ['index', 'value', 'op'],
          properties: {
            index: { type: 'integer', minimum: 0, maximum: 5 },
            value: { uint64: true },
            valueTwo: { uint64: true },
            op: { enum: seccompOperators },
          },
        }),
      },
    }),
  },
}

const linux = {
  type: 'object',
  properties: {
    namespaces: list({
      type: 'object',
      required: ['type'],
      properties: {
        type: { enum: ['pid', 'network', 'mount', 'ipc', 'uts', 'user', 'cgroup', 'time'] },
        path: absolute,
      },
    }),
    uidMappings: idMappings,
    gidMappings: idMappings,
    timeOffsets: {
      type: 'object',
      additionalProperties: { type: 'object', properties: { secs: int64, nanosecs: uint32 } },
    },
    devices: list({
      type: 'object',
      required: ['type', 'path'],
      properties: {
        type: { enum: ['c', 'b', 'u', 'p'] },
        path: absolute,
        ...device,
        // Go writes the type of the file into it too.
        fileMode: { type: 'integer', minimum: 0, maximum: 2 ** 32 - 1 },
        uid: uint32,
        gid: uint32,
      },
      if: { properties: { type: { enum: ['c', 'b', 'u'] } } },
      then: { required: ['major', 'minor'] },
    }),
    netDevices: { type: 'object', additionalProperties: { type: 'object', properties: { name: text } } },
    cgroupsPath: text,
    resources,
    intelRdt: {
      type: 'object',
      properties: {
        closID: text,
        schemata: texts,
        l3CacheSchema: text,
        memBwSchema: { type: 'string', pattern: '^MB:[^\\n]*$', says: `one line that begins with MB:` },
        enableMonitoring: flag,
      },
    },
    memoryPolicy: {
      type: 'object',
      required: ['mode'],
      properties: {
        mode: { enum: Object.keys(memoryPolicyModes) },
        nodes: cpuList,
        flags: list({ enum: Object.keys(memoryPolicyFlags) }),
      },
    },
    sysctl: textMap,
    seccomp,
    rootfsPropagation: { enum: ['shared', 'slave', 'private', 'unbindable'].flatMap((mode) => [mode, `r${mode}`]) },
    maskedPaths: absolutes,
    readonlyPaths: absolutes,
    mountLabel: text,
    personality: {
      type: 'object',
      required: ['domain'],
      properties: { domain: { enum: Object.keys(personalities) }, flags: texts },
    },
  },
}

export const specSchema = {
  type: 'object',
  required: ['ociVersion'],
  properties: {
    ociVersion: {
      type: 'string',
      pattern: '^[01]\\.\\d+\\.\\d+(-[0-9A-Za-z.-]+)?(\\+[0-9A-Za-z.-]+)?$',
      says: 'a version of the specification such as 1.2.0',
    },
    root: {
      type: 'object',
      required: ['path'],
      properties: { path: { ...text, minLength: 1 }, readonly: flag },
    },
    process,
    hostname: text,
    domainname: text,
    mounts: list({
      type: 'object',
      required: ['destination'],
      properties: {
        destination: { ...text, minLength: 1 },
        type: text,
        source: text,
        options: texts,
        uidMappings: idMappings,
        gidMappings: idMappings,
      },
    }),
    hooks: {
      type: 'object',
      properties: {
        prestart: hooks,
        createRuntime: hooks,
        createContainer: hooks,
        startContainer: hooks,
        poststart: hooks,
        poststop: hooks,
      },
    },
    annotations: { ...textMap, propertyNames: { minLength: 1 } },
    linux,
  },
} as const
