import { mkdir, readdir, readFile, readlink, rename, symlink, unlink, writeFile } from 'node:fs/promises'
import { randomBytes } from 'node:crypto'
import { basename, dirname, join, relative } from 'node:path'
import { inputError } from '../errors.js'
import { isCommit, type HubName } from './name.js'
import type { HubSettings } from './settings.js'
import { stat } from '../stat.js'

// The layout that the Python library has, so that either finds what the other fetched:
//   models--owner--name/refs/REVISION           the commit it stands for
//   models--owner--name/snapshots/COMMIT/FILE   -> ../../blobs/HASH
//   models--owner--name/blobs/HASH              the contents, by the hash the hub gives them

/** Folder of a repository in the cache. */
export function repositoryFolder({ cache }: HubSettings, { kind, repository }: HubName): string {
  return join(cache, `${kind}s--${repository.replaceAll('/', '--')}`)
}

export const snapshotFolder = (repository: string, commit: string): string => join(repository, 'snapshots', commit)
/** Held while a blob is brought; that of the Python library. */
export const lockFile = ({ cache }: HubSettings, repository: string, hash: string): string =>
  join(cache, '.locks', basename(repository), `${hash}.lock`)
export const blobFile = (repository: string, hash: string): string => join(repository, 'blobs', hash)

/** The commit that a revision stood for when it was last asked; undefined when it never was. */
export async function cachedCommit(repository: string, revision: string): Promise<string | undefined> {
  if (isCommit(revision)) return revision
  const text = await readFile(join(repository, 'refs', revision), 'utf8').catch(() => '')
  return isCommit(text.trim()) ? text.trim() : undefined
}

export async function rememberCommit(repository: string, revision: string, commit: string): Promise<void> {
  if (isCommit(revision)) return
  const file = join(repository, 'refs', revision)
  await mkdir(dirname(file), { recursive: true })
  await replace(file, (temporary) => writeFile(temporary, commit))
}

/** Makes `name` of a snapshot a link to its blob; a link that leads elsewhere is replaced. */
export async function linkBlob(repository: string, commit: string, name: string, hash: string): Promise<void> {
  const link = join(snapshotFolder(repository, commit), name)
  const target = relative(dirname(link), blobFile(repository, hash))
  if ((await readlink(link).catch(() => '')) === target) return
  await mkdir(dirname(link), { recursive: true })
  await replace(link, (temporary) => symlink(target, temporary))
}

async function replace(file: string, make: (temporary: string) => Promise<void>): Promise<void> {
  const temporary = `${file}.${randomBytes(6).toString('hex')}.part`
  try {
    await make(temporary)
    await rename(temporary, file)
  } catch (error) {
    await unlink(temporary).catch(() => undefined)
    throw error
  }
}

/** Files below a folder that can be read, by path with `/`; links without their blob are left out. */
export async function presentFiles(folder: string): Promise<string[]> {
  const names = await readdir(folder, { recursive: true }).catch(() => [])
  const there = await Promise.all(
    names.map(async (name) => (await stat(join(folder, name)).catch(() => undefined))?.isFile()),
  )
  return names.filter((_, i) => there[i]).map((name) => name.replaceAll('\\', '/'))
}

/**
 * The snapshot of a folder `models--owner--name` of the cache: that of `main`, else the only one. Any other folder is
 * itself.
 * @throws WarpError (input) HUB_SNAPSHOT
 */
export async function snapshotOf(folder: string): Promise<string> {
  if (!/^(models|datasets)--./.test(basename(folder))) return folder
  const commits = await readdir(join(folder, 'snapshots')).catch(() => undefined)
  if (!commits) return folder
  const main = await cachedCommit(folder, 'main')
  const chosen = main && commits.includes(main) ? main : commits.length === 1 ? commits[0]! : undefined
  if (chosen) return snapshotFolder(folder, chosen)
  throw inputError(
    'HUB_SNAPSHOT',
    commits.length === 0
      ? `${folder}: a cached repository without a snapshot`
      : `${folder}: a cached repository with ${commits.length} snapshots and none that is main`,
    { file: folder, found: commits.slice(0, 20), expected: 'one snapshot' },
    commits.length === 0
      ? 'Fetch it again: hf:owner/name.'
      : `Give one of them: ${join(folder, 'snapshots', commits[0]!)}.`,
  )
}
