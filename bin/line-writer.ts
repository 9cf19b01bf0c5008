// A file of lines that grows with the work and gets its name only when it is whole.
import { randomBytes } from 'node:crypto'
import { open, rmdir, unlink, type FileHandle } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { explain, publish, syncDirectory } from '../lib/checkpoint/atomic.js'
import { usageError } from '../lib/errors.js'
import { makeFolders, notWritable } from '../lib/folders.js'
import { lstat, stat } from '../lib/stat.js'

const blockBytes = 1 << 20

export class LineWriter {
  #lines: string[] = []
  #size = 0

  private constructor(
    readonly path: string,
    readonly temporary: string,
    readonly handle: FileHandle,
    readonly made: readonly string[],
    readonly force: boolean,
  ) {}

  /** @throws WarpError (usage) OUTPUT_EXISTS without `force`; (resource) OUTPUT_NOT_WRITABLE */
  static async open(path: string, force = false): Promise<LineWriter> {
    const there = await lstat(path).catch(() => undefined)
    if (there && !force) {
      throw usageError('OUTPUT_EXISTS', `${path} is already there`, { file: path }, 'another name, or --force')
    }
    // a pipe or a device would be replaced, not written to
    if (path.endsWith('/')) throw notWritable(path, { code: 'EISDIR' })
    if (there && (await stat(path).catch(() => undefined))?.isFile() === false)
      throw notWritable(path, { code: 'no regular file' })
    const temporary = join(dirname(path), `.${basename(path)}.${randomBytes(6).toString('hex')}.part`)
    const made = await makeFolders(dirname(path))
    try {
      return new LineWriter(path, temporary, await open(temporary, 'wx'), made, force)
    } catch (cause) {
      throw notWritable(path, cause)
    }
  }

  /** Adds one JSON value as a line; a promise to wait for when a block is full. */
  add(value: unknown): Promise<void> | undefined {
    return this.addLine(JSON.stringify(value))
  }

  /** Adds a line as it is. */
  addLine(text: string): Promise<void> | undefined {
    const line = `${text}\n`
    this.#lines.push(line)
    this.#size += line.length
    return this.#size >= blockBytes ? this.#flush() : undefined
  }

  async #flush(): Promise<void> {
    const data = this.#lines.join('')
    this.#lines = []
    this.#size = 0
    await this.handle.appendFile(data).catch((cause: unknown) => {
      throw explain(cause, this.path, data.length)
    })
  }

  /** Gives the file its name. @throws WarpError OUTPUT_EXISTS, DISK_FULL, OUTPUT_NOT_WRITABLE */
  async commit(): Promise<void> {
    await this.#flush()
    try {
      await this.handle.sync()
      await this.handle.close()
      await publish(this.temporary, this.path, this.force)
    } catch (cause) {
      throw explain(cause, this.path, 0)
    }
    await syncDirectory(dirname(this.path))
  }

  /** Removes what was not committed, and folders made for it. */
  async discard(): Promise<void> {
    await this.handle.close().catch(() => undefined)
    await unlink(this.temporary).catch(() => undefined)
    for (const folder of this.made.toReversed()) await rmdir(folder).catch(() => undefined) // those left empty
  }
}
