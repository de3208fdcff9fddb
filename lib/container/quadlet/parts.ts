/** Units of the volumes and networks that others use. Pure. */
import type { Network } from '../../network/network-record.js'
import type { Volume } from '../../storage/volumes/volume.js'
import { omit, Section, setting, type Entry } from './entry.js'

export function volumeEntries({ name, driver, labels, options, encrypted }: Volume): Entry[] {
  const section = new Section('Volume')
  const { type, device, o, ...others } = options
  const all = [...(o === undefined ? [] : [o]), ...Object.entries(others).map(([key, value]) => `${key}=${value}`)]
  return [
    setting('Volume', 'VolumeName', name),
    ...Object.entries(labels).flatMap(([key, value]) => section.words('Label', 'label', `${key}=${value}`)),
    ...(driver === 'local' ? [] : [omit(`volume ${name}: Podman has no driver ${driver}; it gets one of its own`)]),
    ...(encrypted ? [omit(`volume ${name}: Podman has no encrypted volumes`)] : []),
    ...(driver !== 'local'
      ? []
      : [
          ...(type === undefined ? [] : [section.flag('opt', `type=${type}`)]),
          ...(device === undefined ? [] : [section.flag('opt', `device=${device}`)]),
          ...(all.length === 0 ? [] : [section.flag('opt', `o=${all.join(',')}`)]),
        ]),
  ]
}

export function networkEntries(network: Network): Entry[] {
  const { name, driver, subnets, internal, isolate, dns, labels, mtu } = network
  const section = new Section('Network')
  const head = setting('Network', 'NetworkName', name)
  if (driver === 'cni') return [head, omit(`network ${name}: Podman has no CNI plugins; it gets a bridge of its own`)]
  return [
    head,
    ...(driver === 'bridge' ? [] : [setting('Network', 'Driver', driver)]),
    ...(driver === 'macvlan' && network.interface !== undefined
      ? [section.flag('opt', `parent=${network.interface}`)]
      : []),
    ...subnets.flatMap(({ subnet, gateway, range }) => [
      setting('Network', 'Subnet', subnet),
      ...(gateway === undefined ? [] : [setting('Network', 'Gateway', gateway)]),
      ...(range === undefined ? [] : [setting('Network', 'IPRange', range)]),
    ]),
    ...(subnets.some(({ subnet }) => subnet.includes(':')) ? [setting('Network', 'IPv6', 'true')] : []),
    ...(internal ? [setting('Network', 'Internal', 'true')] : []),
    ...(dns ? [] : [setting('Network', 'DisableDNS', 'true')]),
    ...(isolate && driver === 'bridge' ? [section.flag('opt', 'isolate=true')] : []),
    ...(mtu === undefined ? [] : [section.flag('opt', `mtu=${String(mtu)}`)]),
    ...Object.entries(labels).flatMap(([key, value]) => section.words('Label', 'label', `${key}=${value}`)),
  ]
}
