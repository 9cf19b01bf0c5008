import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { mkdir, open, rename, unlink } from 'node:fs/promises'
import { dirname } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { inputError, resourceError } from '../errors.js'
import { notWritable } from '../folders.js'
import { takeLock } from '../lock.js'
import { attempts, brokeOff, notReached, refuseHtml, unreachable, type HubClient } from './client.js'
import type { HubFile } from './listing.js'
import { stat } from '../stat.js'

export interface DownloadRun {
  signal?: AbortSignal
  /** bytes of this file that are there */
  onBytes?: (done: number) => void
}

/** Bytes of a file, 0 where there is none. */
const sizeOf = async (file: string): Promise<number> => (await stat(file).catch(() => undefined))?.size ?? 0

/**
 * Brings one file to `target`, which is whole or not there: what an interrupted call left beside it is gone on with,
 * size and hash are checked before it gets its name.
 * @throws WarpError (input) HUB_…; (resource) DISK_FULL, OUTPUT_NOT_WRITABLE; the signal's reason
 */
export async function download(
  client: HubClient,
  url: string,
  file: HubFile,
  { target, lock: lockFile }: { target: string; lock: string },
  run: DownloadRun,
): Promise<void> {
  try {
    for (const one of [target, lockFile]) await mkdir(dirname(one), { recursive: true })
    const lock = await waitForLock(lockFile, run)
    try {
      const there = await stat(target).catch(() => undefined)
      if (there?.size !== file.size) await fetchWhole(client, url, file, target, run)
    } finally {
      lock.close()
    }
  } catch (cause) {
    throw explain(cause, target, file.size)
  }
}

async function waitForLock(file: string, { signal }: DownloadRun) {
  for (;;) {
    signal?.throwIfAborted()
    const lock = takeLock(file)
    if (lock) return lock
    await sleep(200, undefined, { signal })
  }
}

async function fetchWhole(
  client: HubClient,
  url: string,
  file: HubFile,
  target: string,
  run: DownloadRun,
): Promise<void> {
  const part = `${target}.incomplete`
  let resumed = await sizeOf(part)
  if (resumed > file.size) {
    await unlink(part)
    resumed = 0
  }
  for (let again = resumed > 0; ; again = false) {
    await fetchRest(client, url, file, part, run)
    if ((await hashOf(part, file, run.signal)) === file.hash) break
    await unlink(part)
    if (again) continue // what an earlier call had left was damaged: once more from the start
    throw inputError(
      'HUB_HASH',
      `${client.name.given}: ${file.path} arrived with another hash than the hub lists`,
      { file: client.name.given, expected: file.hash },
      'Something on the way changes files; try again, or another network.',
    )
  }
  await rename(part, target)
}

/** Until `part` has the file's size. A line that breaks off is taken up again, as long as bytes still come. */
async function fetchRest(client: HubClient, url: string, file: HubFile, part: string, run: DownloadRun): Promise<void> {
  let failed = 0
  let most = 0
  for (let have = await sizeOf(part); have < file.size; ) {
    let broken: unknown
    try {
      await fetchOnce(client, url, file, part, have, run)
    } catch (cause) {
      run.signal?.throwIfAborted()
      if (!brokeOff(cause) && (cause as { code?: string }).code !== unreachable) throw cause
      broken = cause
    }
    const now = await sizeOf(part)
    if (now === file.size) return
    failed = now > most ? 0 : failed + 1
    most = Math.max(most, now)
    have = now
    if (failed < attempts) {
      await sleep(100 * 2 ** failed, undefined, { signal: run.signal })
      continue
    }
    if (broken) throw brokeOff(broken) ? notReached(client.name, url, broken) : broken
    throw inputError(
      'HUB_TRUNCATED',
      `${client.name.given}: ${file.path} ends after ${now} of ${file.size} bytes`,
      { file: client.name.given, found: now, expected: file.size },
      'Run the same again: it goes on from there.',
    )
  }
  if (file.size === 0) await (await open(part, 'a')).close()
}

async function fetchOnce(
  client: HubClient,
  url: string,
  file: HubFile,
  part: string,
  have: number,
  run: DownloadRun,
): Promise<void> {
  const { signal, onBytes } = run
  const answer = await client.get(
    url,
    { 'accept-encoding': 'identity', ...(have > 0 && { range: `bytes=${have}-` }) },
    signal,
  )
  refuseHtml(client.name, answer)
  const from = answer.status === 206 ? Number(/^bytes (\d+)-/.exec(answer.headers.get('content-range') ?? '')?.[1]) : 0
  const resuming = answer.status === 206 && from === have
  if (answer.status === 416 || (answer.status === 206 && !resuming)) {
    await answer.body?.cancel()
    return unlink(part) // this server goes on from nowhere: from the start
  }
  const handle = await open(part, resuming ? 'a' : 'w')
  try {
    let done = resuming ? have : 0
    for await (const piece of answer.body ?? []) {
      done += piece.byteLength
      if (done > file.size) {
        throw inputError(
          'HUB_SIZE',
          `${client.name.given}: ${file.path} has more than the ${file.size} bytes that the hub lists`,
          { file: client.name.given, expected: file.size },
          'Something on the way changes files; try again, or another network.',
        )
      }
      await handle.writeFile(piece)
      if (done >= have) onBytes?.(done) // never back, not even where a server starts again
    }
    await handle.sync()
  } finally {
    await handle.close()
  }
}

/** As the hub counts it: SHA-256, or SHA-1 of git's `blob SIZE\0` and the contents. */
async function hashOf(path: string, { hash, size }: HubFile, signal?: AbortSignal): Promise<string> {
  const sum = hash.length === 64 ? createHash('sha256') : createHash('sha1').update(`blob ${size}\0`)
  for await (const piece of createReadStream(path, { highWaterMark: 1 << 20, signal })) sum.update(piece as Buffer)
  return sum.digest('hex')
}

function explain(cause: unknown, target: string, bytes: number): unknown {
  const code = (cause as NodeJS.ErrnoException).code ?? ''
  if (code === 'ENOSPC' || code === 'EDQUOT') {
    return resourceError(
      'DISK_FULL',
      `${target}: no space for ${bytes} bytes`,
      { file: target, expected: bytes },
      'Free some space, or set HF_HUB_CACHE to a folder on another disk.',
    )
  }
  return ['EACCES', 'EPERM', 'EROFS', 'ENOTDIR', 'EEXIST'].includes(code) ? notWritable(dirname(target), cause) : cause
}
