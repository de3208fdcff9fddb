import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import ts from 'typescript'

const root = fileURLToPath(new URL('../../', import.meta.url))

/**
 * Compile programs in an empty package that has podling and Node's types installed, as a consumer would.
 * @param type What its package.json says.
 * @param options What its tsconfig.json says beside `strict`.
 */
export function compile(
  directory: string,
  type: string,
  options: ts.CompilerOptions,
  sources: Readonly<Record<string, string>>,
): { program: ts.Program; messages: (name: string | undefined) => string[] } {
  mkdirSync(join(directory, 'node_modules/@types'), { recursive: true })
  symlinkSync(root, join(directory, 'node_modules/podling'))
  symlinkSync(join(root, 'node_modules/@types/node'), join(directory, 'node_modules/@types/node'))
  writeFileSync(join(directory, 'package.json'), JSON.stringify({ type }))
  const files = Object.entries(sources).map(([name, text]) => {
    const path = join(directory, `${name}.ts`)
    writeFileSync(path, text)
    return path
  })
  const program = ts.createProgram(files, {
    ...options,
    target: ts.ScriptTarget.ES2022,
    strict: true,
    exactOptionalPropertyTypes: true,
    noEmit: true,
    types: ['node'],
    typeRoots: [join(directory, 'node_modules/@types')],
  })
  const diagnostics = ts.getPreEmitDiagnostics(program)
  /** Those of one program, or without a name those of every file that is not one. */
  const messages = (name: string | undefined): string[] =>
    diagnostics
      .filter(({ file }) => {
        const own = file && files.includes(file.fileName) ? basename(file.fileName, '.ts') : undefined
        return own === name
      })
      .map(({ file, start, messageText }) => {
        const text = ts.flattenDiagnosticMessageText(messageText, '\n')
        if (!file) return text
        const line = file.getLineAndCharacterOfPosition(start ?? 0).line + 1
        return `${file.fileName}:${String(line)}: ${text}`
      })
  return { program, messages }
}
