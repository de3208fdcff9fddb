/**
 * A fixture for a test file: one PostgreSQL out of what this machine has installed, a fresh database for each test, and
 * nothing left afterwards. `node --test postgres.js`
 */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { readdirSync } from 'node:fs'
import test from 'node:test'
import { promisify } from 'node:util'
import { Runtime, type Container } from 'podling'

/** Who reaches it needs no password: that is this machine alone, by the bridge. */
const setUp = 'initdb --auth=trust --no-sync && echo host all all all trust >>"$PGDATA/pg_hba.conf"'

interface Database extends AsyncDisposable {
  /** For a client library, from this machine: `new pg.Client(url)`. */
  readonly url: string
  /** Rows of columns, by the container's own psql. */
  query(sql: string): Promise<string[][]>
}

class Postgres implements AsyncDisposable {
  readonly #runtime: Runtime
  readonly #server: Container
  #made = 0

  private constructor(runtime: Runtime, server: Container) {
    this.#runtime = runtime
    this.#server = server
  }

  static async start(): Promise<Postgres> {
    const runtime = await Runtime.open()
    try {
      const server = await runtime.run({
        image: await postgresImage(runtime),
        // No test needs its data after a loss of power: fsync=off makes it much faster.
        command: ['sh', '-c', `${setUp} && exec postgres -c fsync=off -c listen_addresses=*`],
        tmpfs: ['/var/lib/postgresql', '/var/run/postgresql'],
        ports: ['127.0.0.1::5432'],
        ready: { log: /ready to accept connections/ },
      })
      return new Postgres(runtime, server)
    } catch (error) {
      await runtime.close()
      throw error
    }
  }

  async database(): Promise<Database> {
    const name = `test_${String(++this.#made)}`
    await this.#psql('postgres', `create database ${name}`)
    return {
      url: `postgres://postgres@127.0.0.1:${String(this.#server.ports[0]?.host)}/${name}`,
      query: (sql) => this.#psql(name, sql),
      [Symbol.asyncDispose]: async () => {
        await this.#psql('postgres', `drop database ${name} with (force)`)
      },
    }
  }

  async #psql(database: string, sql: string): Promise<string[][]> {
    const options = ['--no-psqlrc', '--quiet', '--tuples-only', '--no-align', '--field-separator=\t']
    const { exitCode, stdout, stderr } = await this.#server.exec(['psql', ...options, '--dbname', database], {
      stdin: `\\set ON_ERROR_STOP on\n${sql}`,
    })
    if (exitCode !== 0) throw new Error(stderr.trim())
    const lines = stdout.split('\n').filter((line) => line !== '')
    return lines.map((line) => line.split('\t'))
  }

  /** The container goes with the runtime that it is bound to. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#runtime.close()
  }
}

/** Debian's PostgreSQL, the newest that is installed. Making it again copies nothing. */
async function postgresImage(runtime: Runtime) {
  const versions = readdirSync('/usr/lib/postgresql').sort((a, b) => Number(b) - Number(a))
  const [version = ''] = versions
  const [programs, library] = [`/usr/lib/postgresql/${version}/bin`, `/usr/lib/postgresql/${version}/lib`]
  return runtime.images.fromHost({
    binaries: ['sh', ...['initdb', 'postgres', 'psql'].map((name) => `${programs}/${name}`)],
    directories: [`/usr/share/postgresql/${version}`],
    files: [
      `${library}/dict_snowball.so`,
      `${library}/plpgsql.so`,
      { to: '/etc/passwd', content: 'postgres:x:999:999::/:/bin/sh\n' },
    ],
    config: { user: 'postgres', env: { PGDATA: '/var/lib/postgresql/data', LC_ALL: 'C' }, stopSignal: 'SIGINT' },
  })
}

await using postgres = await Postgres.start()

await test('keeps what is written to it', async () => {
  await using database = await postgres.database()
  await database.query("create table people (name text); insert into people values ('Ada'), ('Grace')")
  assert.deepEqual(await database.query('select name, length(name) from people order by 1'), [
    ['Ada', '3'],
    ['Grace', '5'],
  ])
})

await test('is fresh for each test', async () => {
  await using database = await postgres.database()
  await assert.rejects(database.query('select * from people'), /relation "people" does not exist/)
})

await test('is reached from this machine, and gone with its test', async () => {
  await using database = await postgres.database()
  const { stdout } = await promisify(execFile)('psql', [database.url, '-Atc', 'select datname from pg_database'])
  assert.deepEqual(stdout.match(/test_.*/g), ['test_3'])
})
