/** `selinux` and `apparmor` in the words of podman-systemd.unit(5), and of `--security-opt label=` where these lack one. Pure. */
import type { SelinuxOption } from '../../security/selinux.js'
import type { Entry, Section } from './entry.js'

export function selinuxEntries(option: SelinuxOption, section: Section): Entry[] {
  const { user, role, type, fileType, level, disable } = option
  const flag = (name: string, value: string | undefined): Entry[] =>
    value === undefined ? [] : [section.flag('security-opt', `label=${name}:${value}`)]
  const line = (key: string, name: string, value: string | undefined): Entry[] =>
    value === undefined ? [] : [section.line(key, `security-opt=label=${name}`, value)]
  if (disable === true) return [section.line('SecurityLabelDisable', 'security-opt=label=disable', 'true')]
  return [
    ...flag('user', user),
    ...flag('role', role),
    ...line('SecurityLabelType', 'type', type),
    ...line('SecurityLabelFileType', 'filetype', fileType),
    ...line('SecurityLabelLevel', 'level', level),
  ]
}

/** AppArmor= is of podman 5.8. */
export function apparmorEntries(profile: string, section: Section): Entry[] {
  return [section.flag('security-opt', `apparmor=${profile}`)]
}
