// Who made a result, when, with what, from what: so that it can be made again.
import os from 'node:os'
import path from 'node:path'
import type { InputFile } from '../checkpoint/index.js'
import { escapeHtml } from './escape.js'
import { table, wordTable } from './tables.js'

export type { InputFile }

export interface Provenance {
  /** when the page was made; default: now */
  date?: Date
  /** to type again; null where it is not known */
  command: string | null
  tool: { name: string; version: string; commit?: string | null }
  /** device, seed, time, memory: name and value */
  facts?: readonly [string, string][]
  files: readonly InputFile[]
  /** why files are missing, or other remarks */
  notes?: readonly string[]
}

export function provenance({ date = new Date(), command, tool, facts = [], files, notes = [] }: Provenance): string {
  const rows: [string, string][] = [
    ['made', `${date.toISOString().slice(0, 16).replace('T', ' ')} UTC`],
    ['by', `${tool.name} ${tool.version}${tool.commit ? `, commit ${tool.commit}` : ''}`],
    ...facts,
  ]
  return [
    wordTable(rows),
    command === null ? '' : `<p>The same again:</p><pre><code>${escapeHtml(command)}</code></pre>`,
    files.length > 0 ? inputTable(files) : '',
    ...notes.map((note) => `<p class="soft">${escapeHtml(note)}</p>`),
  ].join('')
}

export function inputTable(files: readonly InputFile[]): string {
  return table(
    ['file, SHA-256', 'of', 'bytes'],
    files.map(({ role, path: file, size, sha256 }) => [
      `${escapeHtml(shownPath(file))}<code class="hash">${escapeHtml(sha256 ?? 'changed since it was read')}</code>`,
      escapeHtml(role),
      String(size),
    ]),
    { caption: 'What went in' },
  )
}

/** A path as a page shows it: from the working folder, or from `~`; names of the hub as they are. */
export function shownPath(given: string, from = process.cwd(), home = os.homedir()): string {
  if (!path.isAbsolute(given)) return given
  const below = (folder: string) => folder.length > 1 && (given === folder || given.startsWith(`${folder}${path.sep}`))
  if (below(from)) return path.relative(from, given) || '.'
  if (below(home)) return `~${given.slice(home.length)}`
  return path.relative(from, given)
}

/** The name of a model as people say it: of the hub, or of its folder. */
export function modelName(given: string): string {
  if (given.startsWith('hf:')) return given.slice(3).replace(/@.*$/, '')
  return path.basename(path.resolve(given)) || given
}

/** Options whose values follow each other as arguments of their own; other lists are joined by commas. */
const severalArguments = ['reference', 'probes', 'data', 'corpus', 'test', 'true', 'texts', 'checkpoint', 'base-models']

/** Options that exist as `--no-…` alone. */
const onByDefault = ['truncate']

/** A command line that asks for the same: options as a program has them, in camelCase. */
export function commandLine(words: readonly string[], options: Record<string, unknown>): string {
  const parts: string[] = ['warp', ...words]
  for (const [key, value] of Object.entries(options)) {
    if (value === undefined || value === null || (value === true && onByDefault.includes(key))) continue
    const name = key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)
    if (value === true) parts.push(`--${name}`)
    else if (value === false) parts.push(`--no-${name}`)
    else parts.push(`--${name} ${argument(name, value)}`)
  }
  const long = parts.join(' ').length > 100
  return long ? joinLong(parts, words.length + 1) : parts.join(' ')
}

const joinLong = (parts: string[], first: number): string =>
  [parts.slice(0, first).join(' '), ...parts.slice(first)].join(' \\\n  ')

function argument(name: string, value: unknown): string {
  if (Array.isArray(value)) {
    const values = value.map((one) => plain(one))
    return severalArguments.includes(name) ? values.map(quoted).join(' ') : quoted(values.join(','))
  }
  if (name === 'base-head' && typeof value === 'object') return `seed:${(value as { seed: number }).seed}`
  if (typeof value === 'object') {
    const pairs = Object.entries(value as Record<string, unknown>)
    return quoted(pairs.map(([from, to]) => `${from}=${plain(to)}`).join(','))
  }
  return quoted(plain(value))
}

const plain = (value: unknown): string => (typeof value === 'string' ? shownPath(value) : String(value))

/** For a shell: as it is where nothing in it means anything there. */
const quoted = (text: string): string => (/^[\w@%+=:,./~-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`)
