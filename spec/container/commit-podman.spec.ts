/** The configuration of an image that is made of a container, beside the one that `podman commit` makes of the same words. */
import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { Runtime, type CommitOptions, type ContainerOptions } from 'podling'
import t from 'tap'
import { temporaryDirectory } from '../fixtures/directory.js'
import { busyboxLayout } from '../fixtures/images.js'
import { needs } from '../peers.js'

interface Case {
  readonly options: Omit<ContainerOptions, 'image'>
  /** The same in Podman's words. */
  readonly flags: readonly string[]
  readonly commit?: CommitOptions
  readonly commitFlags?: readonly string[]
}

const image = {
  Entrypoint: ['/bin/sh'], Cmd: ['-c', 'true'], Env: ['PATH=/bin', 'A=image', 'B=image'], User: '1', WorkingDir: '/etc',
  ExposedPorts: { '7/tcp': {} }, Volumes: { '/image': {} }, Labels: { a: 'image', b: 'image' }, StopSignal: 'SIGQUIT',
} // prettier-ignore

const all: ContainerOptions = {
  image: '', env: { A: 'own', C: 'own' }, user: '2:3', workdir: '/root', labels: { a: 'own', c: 'own' }, stopSignal: 'SIGINT',
  ports: ['12801:80', '12802:53/udp'], volumes: ['/anonymous', '/tmp:/bound', 'named:/named'], tmpfs: ['/scratch'],
} // prettier-ignore
const allFlags = [
  '-e', 'A=own', '-e', 'C=own', '--user', '2:3', '--workdir', '/root', '--label', 'a=own', '--label', 'c=own',
  '--stop-signal', 'SIGINT', '-p', '12801:80', '-p', '12802:53/udp', '-v', '/anonymous', '-v', '/tmp:/bound', '-v', 'named:/named',
  '--tmpfs', '/scratch',
] // prettier-ignore

const cases: Readonly<Record<string, Case>> = {
  nothing: { options: {}, flags: [] },
  'a command': { options: { command: ['own'] }, flags: ['IMAGE', 'own'] },
  'an entrypoint': { options: { entrypoint: ['own'] }, flags: ['--entrypoint', '["own"]'] },
  'an entrypoint and a command': {
    options: { entrypoint: ['own'], command: ['x'] },
    flags: ['--entrypoint', '["own"]', 'IMAGE', 'x'],
  },
  'no entrypoint': {
    options: { entrypoint: '', command: ['/bin/true'] },
    flags: ['--entrypoint', '', 'IMAGE', '/bin/true'],
  },
  'all options': { options: all, flags: allFlags },
  'all volumes': {
    options: all,
    flags: allFlags,
    commit: { includeVolumes: true },
    commitFlags: ['--include-volumes'],
  },
  changes: {
    options: all,
    flags: allFlags,
    commit: {
      author: 'me',
      config: {
        cmd: ['new'], entrypoint: ['e'], env: { A: 'new', D: 'new' }, user: '9', workingDir: '/usr', labels: { a: 'new' },
        exposedPorts: [90], volumes: ['/new'], stopSignal: 'SIGUSR1',
      }, // prettier-ignore
    },
    commitFlags: [
      '--author=me', '--change=ENTRYPOINT ["e"]', '--change=CMD ["new"]', '--change=ENV A=new', '--change=ENV D=new', '--change=USER 9',
      '--change=WORKDIR /usr', '--change=LABEL a=new', '--change=EXPOSE 90', '--change=VOLUME /new', '--change=STOPSIGNAL SIGUSR1',
    ], // prettier-ignore
  },
}

t.test('beside podman', needs('root', 'podman', 'runc', 'busybox'), async (t) => {
  const directory = await temporaryDirectory(t, 'podling-commit-')
  const layout = await busyboxLayout(join(directory, 'layout'), image)
  await using runtime = await Runtime.open({ root: join(directory, 'root') })
  await runtime.images.load(layout.directory, { ref: 'localhost/app:1' })
  const podman = (...words: string[]): string => {
    const places = ['--root', join(directory, 'store'), '--runroot', join(directory, 'run')]
    const env = { ...process.env, PODMAN_IGNORE_CGROUPSV1_WARNING: '1' }
    const all = [...places, '--storage-driver', 'vfs', '--runtime', 'runc', ...words]
    return execFileSync('podman', all, { encoding: 'utf8', env, stdio: ['ignore', 'pipe', 'pipe'] }).trim()
  }
  const tar = join(directory, 'app.tar')
  await runtime.images.save('localhost/app:1', tar)
  podman('load', '-q', '-i', tar)
  t.teardown(() => {
    podman('rm', '--all', '--force', '--time', '0')
    podman('volume', 'rm', '--all')
  })
  for (const [name, { options, flags, commit, commitFlags = [] }] of Object.entries(cases)) {
    await t.test(name, async (t) => {
      await using container = await runtime.containers.create({
        network: 'bridge',
        ...options,
        image: 'localhost/app:1',
      })
      const ours = await container.commit(commit)
      const words = flags.includes('IMAGE') ? flags : [...flags, 'IMAGE']
      const id = podman('create', ...words.map((word) => (word === 'IMAGE' ? 'localhost/app:1' : word)))
      const committed = podman('commit', '-q', ...commitFlags, id)
      const archive = join(directory, 'committed.tar')
      podman('save', '-q', '--format', 'oci-archive', '-o', archive, committed)
      const theirs = await runtime.images.load(archive)
      execFileSync('rm', [archive])
      t.same(comparable(ours.config), comparable(theirs.config))
      // Podman leaves out the container's own.
      const own = options.stopSignal === undefined ? 'SIGQUIT' : 'SIGINT'
      t.equal(ours.config.stopSignal, commit?.config?.stopSignal ?? own)
      t.equal(theirs.config.stopSignal, commit?.config?.stopSignal ?? 'SIGQUIT')
    })
  }
})

type Config = Awaited<ReturnType<Runtime['images']['get']>>['config']

/** In one order. */
function comparable({ env, exposedPorts, volumes, labels, entrypoint, stopSignal: _, ...config }: Config): object {
  // Podman puts in what it sets itself, and who built it.
  const theirs = ['TERM=xterm', 'container=podman']
  const { 'io.buildah.version': __, ...others } = labels
  return {
    ...config,
    labels: others,
    // `--entrypoint ''` comes out as one empty word, which stands for none.
    entrypoint: entrypoint.filter((word) => word !== ''),
    env: env.filter((variable) => !theirs.includes(variable)).sort(),
    volumes: [...volumes].sort(),
    exposedPorts: exposedPorts.map(({ port, protocol }) => `${String(port)}/${protocol}`).sort(),
  }
}
