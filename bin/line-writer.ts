// A file of lines that grows with the work and gets its name only when it is whole.
import { randomBytes } from 'node:crypto'
import { lstat, open, rename, rmdir, unlink, type FileHandle } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { explain, syncDirectory } from '../lib/checkpoint/atomic.js'
import { usageError } from '../lib/errors.js'
import { makeFolders, notWritable } from '../lib/folders.js'

const blockBytes = 1 << 20

export class LineWriter {
  #lines: string[] = []
  #size = 0

  private constructor(
    readonly path: string,
    readonly temporary: string,
    readonly handle: FileHandle,
    readonly made: readonly string[],
  ) {}

  /** @throws WarpError (usage) OUTPUT_EXISTS without `force`; (resource) OUTPUT_NOT_WRITABLE */
  static async open(path: string, force = false): Promise<LineWriter> {
    if (!force && (await lstat(path).catch(() => undefined))) {
      throw usageError('OUTPUT_EXISTS', `${path} is already there`, { file: path }, 'another name, or --force')
    }
    const temporary = join(dirname(path), `.${basename(path)}.${randomBytes(6).toString('hex')}.part`)
    const made = await makeFolders(dirname(path))
    try {
      return new LineWriter(path, temporary, await open(temporary, 'wx'), made)
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

  /** Gives the file its name. */
  async commit(): Promise<void> {
    await this.#flush()
    await this.handle.sync()
    await this.handle.close()
    await rename(this.temporary, this.path)
    await syncDirectory(dirname(this.path))
  }

  /** Removes what was not committed, and folders made for it. */
  async discard(): Promise<void> {
    await this.handle.close().catch(() => undefined)
    await unlink(this.temporary).catch(() => undefined)
    for (const folder of this.made.toReversed()) await rmdir(folder).catch(() => undefined) // those left empty
  }
}
