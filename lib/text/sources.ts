import type { Dirent, Stats } from 'node:fs'
import { readdir, realpath, stat } from 'node:fs/promises'
import { basename, dirname, extname, join } from 'node:path'
import { inputError, usageError } from '../errors.js'
import { localFolder } from '../hub/index.js'
import { nearest } from './nearest.js'
import { errorAt, list } from './place.js'
import { isTerminal } from './source.js'
import { parquetHint } from './sniff.js'
import type { ProbeFormat, ReadControl, SourceFile } from './types.js'

export const probeFormats: readonly ProbeFormat[] = ['jsonl', 'json', 'csv', 'tsv', 'txt']

const byExtension: Record<string, ProbeFormat> = {
  '.jsonl': 'jsonl',
  '.ndjson': 'jsonl',
  '.json': 'json',
  '.csv': 'csv',
  '.tsv': 'tsv',
  '.tab': 'tsv',
  '.txt': 'txt',
}
const compressedExtensions = new Set(['.gz', '.zip', '.bz2', '.xz', '.zst'])

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
    const identity = info === undefined ? '-' : await realpath(source)
    if (seen.has(identity)) {
      throw inputError('PROBES_SOURCE_TWICE', `${source} is given twice`, { file: source }, 'name each source once')
    }
    seen.set(identity, source)
    inputs.push({ path: source, folder: info?.isDirectory() === true })
    if (info === undefined) {
      if (isTerminal(control.stdin ?? process.stdin)) {
        throw usageError('PROBES_STDIN_TERMINAL', 'stdin is a terminal', {}, 'pipe JSON lines into the command')
      }
      files.push({ path: undefined, name: 'stdin', format: format ?? 'jsonl', domain: undefined, whole: false, input })
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

function plainFile(path: string, info: Stats, format: ProbeFormat | undefined, input: number): SourceFile {
  if (!info.isFile() && !info.isFIFO()) {
    throw inputError('PROBES_NOT_A_FILE', `${path}: neither a file nor a folder`, { file: path }, 'give a file')
  }
  return { path, name: path, format: format ?? formatOf(path), domain: undefined, whole: false, input }
}

function formatOf(path: string): ProbeFormat {
  const extension = extname(path).toLowerCase()
  const format = byExtension[extension]
  if (format !== undefined) return format
  const file = { file: path }
  if (extension === '.parquet') {
    throw errorAt('PROBES_PARQUET_UNSUPPORTED', file, 'Parquet files are not supported', parquetHint)
  }
  if (compressedExtensions.has(extension)) {
    throw errorAt('PROBES_COMPRESSED', file, 'compressed files are not supported', 'unpack it first')
  }
  throw errorAt(
    'PROBES_FORMAT_UNKNOWN',
    file,
    `expected ${Object.keys(byExtension).join(' ')}, found ${extension === '' ? 'no extension' : `"${extension}"`}`,
    `--format ${probeFormats.join('|')}`,
    { expected: Object.keys(byExtension), found: extension },
  )
}

/** One file or folder per domain. A .txt file in a domain's folder is one text; beside folders it has one per line. */
async function listDomains(folder: string, format: ProbeFormat | undefined, input: number): Promise<SourceFile[]> {
  const files: SourceFile[] = []
  const domains = new Map<string, string>()
  for (const entry of await listFolder(folder)) {
    const path = join(folder, entry.name)
    const inner = await kind(path, entry)
    const domain = inner === 'folder' ? entry.name : basename(entry.name, extname(entry.name))
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
      files.push({ path, name: path, format: format ?? formatOf(path), domain, whole: false, input })
      continue
    }
    for (const part of await listFolder(path)) {
      const partPath = join(path, part.name)
      if ((await kind(partPath, part)) === 'folder') {
        throw inputError(
          'PROBES_FOLDER_NESTED',
          `${partPath}: a folder inside the folder of a domain`,
          { file: partPath },
          'put the files of a domain straight into its folder',
        )
      }
      const partFormat = format ?? formatOf(partPath)
      files.push({ path: partPath, name: partPath, format: partFormat, domain, whole: partFormat === 'txt', input })
    }
  }
  return files
}

/** What is in a folder, hidden names left out, in the order of their code units. */
async function listFolder(folder: string): Promise<Dirent[]> {
  const entries = (await readdir(folder, { withFileTypes: true })).filter((entry) => !entry.name.startsWith('.'))
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

async function kind(path: string, entry: Dirent): Promise<'file' | 'folder'> {
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
    format === 'parquet' ? parquetHint : `--format ${probeFormats[0]}`,
  )
}
