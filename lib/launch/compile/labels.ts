/** The labels of a spec in a plan: what SELinux and AppArmor are told of the process, and of what is mounted. Pure. */
import type { SpecProcess } from '../oci-spec.js'
import type { Operation } from '../operation.js'

/**
 * Before the pivot, as only the host's /proc is known to be the kernel's, and behind the last program of the host: what is
 * executed next is called so.
 */
export function attributeOperations({
  selinuxLabel = '',
  apparmorProfile = '',
}: Pick<SpecProcess, 'selinuxLabel' | 'apparmorProfile'>): Operation[] {
  const called: Operation[] = [
    { op: 'attribute', name: 'keycreate', value: selinuxLabel },
    { op: 'attribute', name: 'exec', value: selinuxLabel },
  ]
  const confined: Operation = { op: 'attribute', name: 'apparmor/exec', value: `exec ${apparmorProfile}` }
  return [...(selinuxLabel === '' ? [] : called), ...(apparmorProfile === '' ? [] : [confined])]
}

/** File systems of the kernel's, whose files the policy has names for. */
const ownLabels = new Set(['proc', 'sysfs', 'cgroup', 'cgroup2', 'securityfs', 'debugfs', 'tracefs', 'selinuxfs'])

/** A file system of the container's own, as SELinux is to call it (`context=` of mount(8)). */
export function labelledMount(
  mount: Extract<Operation, { op: 'mount' }>,
  label: string,
): Extract<Operation, { op: 'mount' }> {
  const { fstype, options } = mount
  if (label === '' || ownLabels.has(fstype) || options.some((option) => option.startsWith('context='))) return mount
  // One superblock serves the whole IPC namespace, and was there before: its options are settled.
  return fstype === 'mqueue' ? { ...mount, label } : { ...mount, options: [...options, `context=${label}`] }
}

/** The root, and those of images, which the storage driver knows nothing of labels for. */
export function labelledRoot(operation: Operation, label: string): Operation {
  if (operation.op !== 'root-overlay' || label === '') return operation
  return { ...operation, options: [...operation.options, `context=${label}`] }
}
