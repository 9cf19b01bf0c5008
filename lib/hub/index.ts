import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { inputError } from '../errors.js'
import type { RunOptions } from '../native/task.js'
import {
  blobFile,
  cachedCommit,
  linkBlob,
  lockFile,
  presentFiles,
  rememberCommit,
  repositoryFolder,
  snapshotFolder,
  snapshotOf,
} from './cache.js'
import { hubClient, unreachable, type HubClient } from './client.js'
import { download } from './download.js'
import {
  askListing,
  isWhole,
  needed,
  refuseUseless,
  shardsOf,
  weightIndex,
  type HubFile,
  type Listing,
} from './listing.js'
import { isCommit, parseHubName, type HubKind, type HubName } from './name.js'
import { hubSettings, type HubSettings } from './settings.js'
import { stat } from '../stat.js'

export { companionFiles } from './listing.js'
export { parseHubName, type HubKind, type HubName } from './name.js'

/** A folder, or of a data set a file, on this machine. */
export interface LocalFolder {
  dir: string
  /** where it came from, when that is not plain from what was given */
  notes: string[]
}

/**
 * The folder behind what a user gives as a model or a data set: a path; the folder of a cached repository
 * (`models--owner--name`), of which it is the snapshot; or `hf:owner/name[@revision]`, which is brought into the cache
 * that the Python library uses, only the files that are needed. Without `hf:` nothing touches the network, nor does it
 * where HF_HUB_OFFLINE is set or a commit is named whose files are there. Progress in bytes.
 *
 * @throws WarpError (usage) HUB_NAME; (input) HUB_…; (resource) DISK_FULL, OUTPUT_NOT_WRITABLE; the signal's reason
 */
export async function localFolder(given: string, kind: HubKind, run: RunOptions = {}): Promise<LocalFolder> {
  const name = parseHubName(given, kind)
  if (!name) {
    const dir = await snapshotOf(given)
    return dir === given
      ? { dir, notes: remembered.get(dir) ?? [] }
      : remember(dir, [`${given}: snapshot ${dir} was read`])
  }
  const found = await fromHub(name, run)
  return remember(found.dir, found.notes)
}

// what was said of a folder when it was found, for whoever opens it: a command finds its folders before anything else
const remembered = new Map<string, string[]>()

function remember(dir: string, notes: string[]): LocalFolder {
  remembered.set(dir, notes)
  return { dir, notes }
}

/** What names the models of a call. */
export interface ModelNames extends RunOptions {
  base?: string
  reference?: string
  model?: string
  checkpoint?: readonly string[]
}

/** Options with folders of this machine in place of names of the hub. @throws as `localFolder` */
export async function localModels<T extends ModelNames>(options: T): Promise<T> {
  const { checkpoint, signal, onProgress } = options
  // what is no text is refused by those who check the options
  const find = async (given: string): Promise<string> =>
    typeof given === 'string' ? (await localFolder(given, 'model', { signal, onProgress })).dir : given
  const found: ModelNames = {}
  for (const name of ['base', 'reference', 'model'] as const) {
    const given = options[name]
    if (given !== undefined) found[name] = await find(given)
  }
  const between: string[] = []
  for (const given of checkpoint ?? []) between.push(await find(given))
  if (checkpoint !== undefined) found.checkpoint = between
  return { ...options, ...found }
}

async function fromHub(name: HubName, run: RunOptions): Promise<LocalFolder> {
  const settings = await hubSettings()
  const cached = await cachedFolder(settings, name)
  if (settings.offline) {
    if (cached) return { dir: join(cached.folder, name.path), notes: [] }
    throw notCached(name, 'HUB_OFFLINE', 'the network is switched off (HF_HUB_OFFLINE)')
  }
  if (cached && isCommit(name.revision) && (await isWhole(name.kind, cached.folder, cached.paths)))
    return { dir: cached.folder, notes: [] }
  const client = await hubClient(name, settings)
  try {
    const listing = await askListing(client, run.signal).catch((error: Error & { code?: string }) => {
      // of a data set nothing would say which copy was read
      if (error.code !== unreachable || !cached || name.kind === 'dataset') throw error
      return error.message
    })
    if (typeof listing !== 'string') return { dir: join(await bring(client, listing, run), name.path), notes: [] }
    return {
      dir: join(cached!.folder, name.path),
      notes: [`${listing}; the copy in the cache was used: ${cached!.folder}`],
    }
  } finally {
    await client.close()
  }
}

/** @throws WarpError (input) HUB_CACHE_BROKEN where nothing but links are left and the network is off */
async function cachedFolder(
  settings: HubSettings,
  name: HubName,
): Promise<{ folder: string; paths: string[] } | undefined> {
  const repository = repositoryFolder(settings, name)
  const commit = await cachedCommit(repository, name.revision)
  const folder = commit && snapshotFolder(repository, commit)
  const listed = folder ? await readdir(folder).catch(() => []) : []
  if (!folder || listed.length === 0) return undefined
  const paths = await presentFiles(folder)
  if (paths.length > 0) return { folder, paths }
  if (!settings.offline) return undefined
  throw notCached(name, 'HUB_CACHE_BROKEN', `${folder} has only links whose contents are gone`)
}

function notCached({ given }: HubName, code: string, why: string): Error {
  return inputError(
    code,
    `${given}: is not in the cache, and ${why}`,
    { file: given },
    'Fetch it once with a network, or give a folder.',
  )
}

/** Brings what is missing of the files that are needed; gives the folder of the snapshot. */
async function bring(client: HubClient, { commit, files }: Listing, run: RunOptions): Promise<string> {
  const { name, settings } = client
  const repository = repositoryFolder(settings, name)
  const paths = files.map(({ path }) => path)
  const wanted = needed(name, paths)
  refuseUseless(name, paths, wanted)
  const of = (list: readonly string[]): HubFile[] => files.filter(({ path }) => list.includes(path))
  const folder = snapshotFolder(repository, commit)
  if (wanted.includes(weightIndex)) {
    await bringFiles(client, repository, commit, of([weightIndex]), { signal: run.signal })
    wanted.push(...(await shardsOf(folder)))
  }
  await bringFiles(client, repository, commit, of(wanted), run)
  await rememberCommit(repository, name.revision, commit)
  return folder
}

async function bringFiles(
  client: HubClient,
  repository: string,
  commit: string,
  files: HubFile[],
  run: RunOptions,
): Promise<void> {
  const { name, settings } = client
  const { signal, onProgress } = run
  const total = files.reduce((sum, { size }) => sum + size, 0)
  const place = `${settings.endpoint}/${name.kind === 'dataset' ? 'datasets/' : ''}${name.repository}/resolve/${commit}`
  let before = 0
  for (const file of files) {
    signal?.throwIfAborted()
    const blob = blobFile(repository, file.hash)
    const report =
      onProgress && ((done: number) => onProgress({ phase: 'download', done: before + done, total, unit: 'bytes' }))
    const there = (await stat(blob).catch(() => undefined))?.size === file.size
    const inSnapshot = await stat(join(snapshotFolder(repository, commit), file.path)).catch(() => undefined)
    if (!there && inSnapshot?.size !== file.size) {
      const url = `${place}/${file.path.split('/').map(encodeURIComponent).join('/')}`
      await download(
        client,
        url,
        file,
        { target: blob, lock: lockFile(settings, repository, file.hash) },
        { signal, onBytes: report },
      )
    }
    if (there || inSnapshot?.size !== file.size) await linkBlob(repository, commit, file.path, file.hash)
    before += file.size
  }
}
