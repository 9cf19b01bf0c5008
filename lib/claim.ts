// One run at a time for every output, and no output that is an input.
import { constants } from 'node:fs'
import { open, readdir, rmdir, unlink } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { writtenAs } from './checkpoint/atomic.js'
import { readSmallFile } from './checkpoint/files.js'
import { resourceError, usageError, type WarpError } from './errors.js'
import { makeFolders } from './folders.js'
import { takeLock } from './lock.js'
import type { RunOptions } from './native/task.js'
import type { Handle } from './native/types.js'
import { stat } from './stat.js'

export interface ClaimOptions extends RunOptions {
  /** wait for the run that holds the folder, instead of refusing */
  wait?: boolean
}

/** In a claimed folder: the lock, and who holds it. Gone when the claim is. */
export const claimFile = '.warp.lock'

/**
 * Claims a folder for one run, across processes and, where the file system's locks do, machines; makes it where there
 * is none. The claim dies with its process. What a killed run left of temporary files for what it `writes` there is
 * gone before `work` looks; what `work` leaves empty of the folders made is removed again.
 * @throws WarpError (resource) OUTPUT_BUSY, naming the process and command that hold it, unless `wait`;
 *   OUTPUT_NOT_WRITABLE, DISK_FULL; what `work` throws
 */
export async function withClaim<T>(
  folder: string,
  options: ClaimOptions & { writes?: readonly string[] },
  work: (made: readonly string[]) => Promise<T>,
): Promise<T> {
  refuseNameless(folder)
  return claimed(folder, folder, claimFile, options, work)
}

/** The same for a single file, whatever else is written into its folder. @throws WarpError as `withClaim` */
export async function withFileClaim<T>(file: string, options: ClaimOptions, work: () => Promise<T>): Promise<T> {
  const name = basename(file)
  return claimed(file, dirname(file), `.${name}.lock`, { ...options, writes: [name] }, work)
}

async function claimed<T>(
  output: string,
  folder: string,
  name: string,
  { writes = [], ...options }: ClaimOptions & { writes?: readonly string[] },
  work: (made: readonly string[]) => Promise<T>,
): Promise<T> {
  const made: string[] = []
  const file = join(folder, name)
  let lock: Handle | undefined
  try {
    lock = await take(output, file, made, options)
    await tellWho(file)
    await removeParts(folder, writes)
    return await work(made)
  } finally {
    // the name goes before the lock: who waits for it looks again for a file that is there
    if (lock) await unlink(file).catch(() => undefined)
    lock?.close()
    for (const one of made.toReversed()) await rmdir(one).catch(() => undefined)
  }
}

async function take(
  output: string,
  file: string,
  made: string[],
  { wait = false, signal, onProgress }: ClaimOptions,
): Promise<Handle> {
  const started = performance.now()
  for (;;) {
    const lock = await tryClaim(dirname(file), file, made)
    if (lock) return lock
    const holder = await readSmallFile(file, 10_000).then(String, () => '')
    const [, pid = '?', command = 'of another run'] = /^(\d+) (.*)/.exec(holder) ?? []
    if (!wait) {
      throw resourceError(
        'OUTPUT_BUSY',
        `${output}: process ${pid} is writing there (${command})`,
        { file: output, pid: Number(pid) || null, command },
        'another output, or --wait until it is done',
      )
    }
    const seconds = Math.round((performance.now() - started) / 1000)
    onProgress?.({ phase: `wait for process ${pid}`, done: seconds, total: 0, unit: 's' })
    await sleep(100, undefined, { signal }).catch(() => signal?.throwIfAborted())
  }
}

/** Null when somebody holds it. Who is done takes an empty folder away, perhaps just now: then once more. */
async function tryClaim(folder: string, file: string, made: string[]): Promise<Handle | null> {
  for (let left = 50; ; left--) {
    try {
      made.push(...(await makeFolders(folder)))
      return takeLock(file)
    } catch (error) {
      const { code, message, details } = error as WarpError
      const vanished = details?.found === 'ENOENT' || !(await stat(folder).catch(() => undefined))
      if (vanished && left > 0) await sleep(1)
      // a folder that cannot hold the lock cannot hold the output
      else if (code === 'FILE_NOT_LOCKABLE')
        throw resourceError('OUTPUT_NOT_WRITABLE', message, { file }, 'a folder that you may write to')
      else throw error
    }
  }
}

/**
 * Removes what a killed run left behind of its temporary files for `names`, or for those that match; only whoever
 * claimed the folder, or these names in it, may.
 */
export async function removeParts(
  folder: string,
  names: readonly string[] | ((name: string) => boolean),
): Promise<void> {
  const own = typeof names === 'function' ? names : (name: string) => names.includes(name)
  for (const entry of await readdir(folder).catch(() => [])) {
    const name = writtenAs(entry)
    if (name !== undefined && own(name)) await unlink(join(folder, entry)).catch(() => undefined)
  }
}

/** For whoever comes next; a disk too full for it is no reason to stop. */
async function tellWho(file: string): Promise<void> {
  const [node, program = node, ...args] = process.argv
  const command = [basename(program, '.js'), ...args].join(' ').replaceAll('\n', ' ')
  const handle = await open(file, constants.O_WRONLY | constants.O_TRUNC | constants.O_NOFOLLOW).catch(() => undefined)
  await handle?.writeFile(`${process.pid} ${command.slice(0, 500)}\n`).catch(() => undefined)
  await handle?.close()
}

/** Read by nobody: a model's card is written beside its weights. */
const readByNobody = /\.(md|html)$/i

/**
 * Refuses outputs (folders, files) that are inputs, by whatever names, links included, and files that are there already
 * in a folder that is one.
 * @throws WarpError (usage) OUTPUT_IS_INPUT, OUTPUT_EMPTY
 */
export async function refuseInputs(outputs: readonly string[], inputs: readonly string[]): Promise<void> {
  const known = new Map<string | undefined, string>()
  for (const input of inputs) known.set(await identity(input), input)
  known.delete(undefined)
  for (const output of outputs) {
    refuseNameless(output)
    const own = known.get(await identity(output))
    const input = own ?? (readByNobody.test(output) ? undefined : known.get(await folderOf(output)))
    if (input === undefined) continue
    throw usageError(
      'OUTPUT_IS_INPUT',
      `${output}: is ${own === undefined ? 'a file of ' : ''}the input ${input}`,
      { file: output, found: input },
      'another output',
    )
  }
}

/** Of what a path leads to. */
const identity = (path: string): Promise<string | undefined> =>
  stat(path).then(
    ({ dev, ino }) => `${dev}:${ino}`,
    () => undefined,
  )

/** Of the folder that a file is in. */
async function folderOf(file: string): Promise<string | undefined> {
  const found = await stat(file).catch(() => undefined)
  return found?.isFile() ? identity(dirname(file)) : undefined
}

function refuseNameless(output: string): void {
  if (output === '') throw usageError('OUTPUT_EMPTY', 'the output has no name', {}, '-o out')
}
