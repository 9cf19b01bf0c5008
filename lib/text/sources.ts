import type { Dirent, Stats } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { basename, dirname, extname, join } from 'node:path'
import { inputError, usageError } from '../errors.js'
import { localFolder } from '../hub/index.js'
import { nearest } from './nearest.js'
import { errorAt, list } from './place.js'
import { isTerminal } from './source.js'
import { type Compression, compressionExtensions } from './compression.js'
import type { ProbeFormat, ReadControl, SourceFile } from './types.js'
import { stat } from '../stat.js'

export const probeFormats: readonly ProbeFormat[] = ['jsonl', 'json', 'csv', 'tsv', 'txt', 'parquet']

export const byExtension: Record<string, ProbeFormat> = {
  '.jsonl': 'jsonl',
  '.ndjson': 'jsonl',
  '.json': 'json',
  '.csv': 'csv',
  '.tsv': 'tsv',
  '.tab': 'tsv',
  '.txt': 'txt',
  '.parquet': 'parquet',
}
const otherCompressions = new Set(['.zip', '.bz2', '.xz'])

export interface Sources {
  files: SourceFile[]
  inputs: { path: string; folder: boolean }[]
  /** bytes of all files; 0 where one is a pipe */
  total: number
}

/**
 * The files behind the sources in the order in which they are read: a source may be a file, a folder with one file or
 * folder per domain, or `-` for stdin. Looks at names and sizes only; every source is checked before any is read.
 */
export async function listSources(
  sources: string[],
  format: ProbeFormat | undefined,
  control: ReadControl,
): Promise<Sources> {
  if (sources.length === 0) throw usageError('PROBES_NONE', 'no probes are given', {}, '--probes FILE…')
  const files: SourceFile[] = []
  const inputs: Sources['inputs'] = []
  const seen = new Map<string, string>()
  let total = 0
  let known = true
  for (const [input, given] of sources.entries()) {
    const source = given === '-' ? given : (await localFolder(given, 'dataset', control)).dir
    const info = source === '-' ? undefined : await look(source)
    const identity = info === undefined ? '-' : `${info.dev}:${info.ino}`
    if (seen.has(identity)) {
      throw inputError('PROBES_SOURCE_TWICE', `${source} is given twice`, { file: source }, 'name each source once')
    }
    seen.set(identity, source)
    inputs.push({ path: source, folder: info?.isDirectory() === true })
    if (info === undefined) {
      if (isTerminal(control.stdin ?? process.stdin)) {
        throw usageError('PROBES_STDIN_TERMINAL', 'stdin is a terminal', {}, 'pipe JSON lines into the command')
      }
      files.push(stdinFile(format, input))
      known = false
    } else if (info.isDirectory()) {
      for (const file of await listDomains(source, format, input)) {
        files.push(file)
        total += (await stat(file.path as string)).size
      }
    } else {
      files.push(plainFile(source, info, format, input))
      total += info.size
      known &&= info.isFile()
    }
  }
  return { files, inputs, total: known ? total : 0 }
}

async function look(path: string): Promise<Stats> {
  try {
    return await stat(path)
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code
    if (code !== 'ENOENT' && code !== 'ENOTDIR') {
      throw inputError(
        'PROBES_UNREADABLE',
        `${path}: cannot be read (${code})`,
        { file: path, found: code },
        'check its permissions',
      )
    }
    const siblings = await readdir(dirname(path)).catch(() => [])
    const near = nearest(basename(path), siblings)
    throw inputError(
      'PROBES_NOT_FOUND',
      `${path}: no such file or folder`,
      { file: path },
      near === undefined ? 'check the path' : `did you mean ${join(dirname(path), near)}?`,
    )
  }
}

function stdinFile(format: ProbeFormat = 'jsonl', input: number): SourceFile {
  const file = {
    path: undefined,
    name: 'stdin',
    format,
    compression: undefined,
    domain: undefined,
    whole: false,
    input,
  }
  if (format !== 'parquet') return file
  throw usageError('PROBES_PARQUET_STDIN', 'a Parquet file cannot be read from stdin', {}, 'give the file itself')
}

function plainFile(path: string, info: Stats, format: ProbeFormat | undefined, input: number): SourceFile {
  if (!info.isFile() && !info.isFIFO()) {
    throw inputError('PROBES_NOT_A_FILE', `${path}: neither a file nor a folder`, { file: path }, 'give a file')
  }
  return { path, name: path, ...kindOf(path, format), domain: undefined, whole: false, input }
}

/** The format and the compression that a name tells; `asked` overrides the format. */
function kindOf(
  path: string,
  asked: ProbeFormat | undefined,
): { format: ProbeFormat; compression: Compression | undefined } {
  const { extension, compression } = endings(path)
  const format = asked ?? byExtension[extension]
  const file = { file: path }
  if (format === 'parquet' && compression !== undefined) {
    throw errorAt('PROBES_COMPRESSED', file, 'a Parquet file inside another compression', 'unpack it first')
  }
  if (format !== undefined) return { format, compression }
  if (extension === '.arrow')
    throw errorAt('PROBES_ARROW_UNSUPPORTED', file, 'Arrow files are not read', arrowHint(path))
  if (otherCompressions.has(extension)) {
    throw errorAt('PROBES_COMPRESSED', file, `${extension} files are not read`, 'unpack it first, or use gzip')
  }
  throw errorAt(
    'PROBES_FORMAT_UNKNOWN',
    file,
    `expected ${Object.keys(byExtension).join(' ')}, found ${extension === '' ? 'no extension' : `"${extension}"`}`,
    `--format ${probeFormats.join('|')}`,
    { expected: Object.keys(byExtension), found: extension },
  )
}

function endings(path: string): { stem: string; extension: string; compression: Compression | undefined } {
  const last = extname(path).toLowerCase()
  const compression = compressionExtensions[last]
  const inner = compression === undefined ? path : path.slice(0, -last.length)
  return { stem: basename(inner, extname(inner)), extension: extname(inner).toLowerCase(), compression }
}

const arrowHint = (place: string): string =>
  `python3 -c "from datasets import *; load_from_disk('${place}').to_json('FILE.jsonl')" writes JSONL; ` +
  `of a dict of datasets name one: ['train']`

/** What `save_to_disk` of the Python package `datasets` leaves. */
function refuseSaved(folder: string, names: string[]): void {
  const sign = ['dataset_dict.json', 'state.json'].find((name) => names.includes(name))
  if (sign === undefined || !(sign === 'dataset_dict.json' || names.some((name) => name.endsWith('.arrow')))) return
  throw errorAt('PROBES_ARROW_UNSUPPORTED', { file: folder }, `a data set as Arrow files (${sign})`, arrowHint(folder))
}

/** One file or folder per domain. A .txt file in a domain's folder is one text; beside folders it has one per line. */
async function listDomains(folder: string, format: ProbeFormat | undefined, input: number): Promise<SourceFile[]> {
  const files: SourceFile[] = []
  const domains = new Map<string, string>()
  for (const entry of await listFolder(folder)) {
    const path = join(folder, entry.name)
    const inner = await typeOf(path, entry)
    const domain = inner === 'folder' ? entry.name : endings(entry.name).stem
    const other = domains.get(domain)
    if (other !== undefined) {
      throw inputError(
        'PROBES_DOMAIN_TWICE',
        `${folder}: "${other}" and "${entry.name}" name the same domain`,
        { file: path },
        'join them, or rename one',
      )
    }
    domains.set(domain, entry.name)
    if (inner === 'file') {
      files.push({ path, name: path, ...kindOf(path, format), domain, whole: false, input })
      continue
    }
    for (const part of await listFolder(path)) {
      const partPath = join(path, part.name)
      if ((await typeOf(partPath, part)) === 'folder') {
        throw inputError(
          'PROBES_FOLDER_NESTED',
          `${partPath}: a folder inside the folder of a domain`,
          { file: partPath },
          'put the files of a domain straight into its folder',
        )
      }
      const kind = kindOf(partPath, format)
      files.push({ path: partPath, name: partPath, ...kind, domain, whole: kind.format === 'txt', input })
    }
  }
  return files
}

/** What is in a folder, hidden names left out, in the order of their code units. */
async function listFolder(folder: string): Promise<Dirent[]> {
  const entries = (await readdir(folder, { withFileTypes: true })).filter((entry) => !entry.name.startsWith('.'))
  refuseSaved(
    folder,
    entries.map(({ name }) => name),
  )
  if (entries.length === 0) {
    throw inputError(
      'PROBES_FOLDER_EMPTY',
      `${folder}: the folder is empty`,
      { file: folder },
      'a folder of probes holds one file or folder per domain',
    )
  }
  return entries.sort((a, b) => (a.name < b.name ? -1 : 1))
}

async function typeOf(path: string, entry: Dirent): Promise<'file' | 'folder'> {
  const info = entry.isSymbolicLink() ? await look(path) : entry
  if (info.isDirectory()) return 'folder'
  if (info.isFile()) return 'file'
  throw inputError('PROBES_NOT_A_FILE', `${path}: neither a file nor a folder`, { file: path }, 'remove it')
}

/** Names of formats for a person who wrote another one. */
export function checkFormat(format: string | undefined): void {
  if (format === undefined || (probeFormats as readonly string[]).includes(format)) return
  throw usageError(
    'PROBES_FORMAT_UNKNOWN',
    `--format ${format} is not one of ${list(probeFormats)}`,
    { expected: [...probeFormats], found: format },
    `--format ${probeFormats[0]}`,
  )
}
