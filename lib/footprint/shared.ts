import type { FileRecord } from '../checkpoint/files.js'
import { hashFiles } from '../checkpoint/index.js'
import { inputError } from '../errors.js'
import type { RunOptions } from '../native/task.js'

/** What sessions of one base and the same texts have in common: it is made for the first, and the others take it. */
export class Shared {
  readonly #made = new Map<string, Promise<unknown>>()
  #labels: { file: string; expected: readonly string[] | null } | undefined
  readonly #hashes = new Map<string, string>()

  /** What `make` makes, under a name for everything that it depends on. */
  once<T>(name: string, make: () => Promise<T>): Promise<T> {
    const made = this.#made.get(name) ?? make()
    this.#made.set(name, made)
    return made as Promise<T>
  }

  /**
   * The labels that texts are read with are those of the first model.
   * @throws WarpError (input) FAMILY_LABELS
   */
  sameLabels(model: string, labels: readonly string[] | null): void {
    const { file, expected } = (this.#labels ??= { file: model, expected: labels })
    if (JSON.stringify(labels) === JSON.stringify(expected)) return
    throw inputError(
      'FAMILY_LABELS',
      `${model}: has other labels than ${file}; models of one table have the same`,
      { file: model, found: labels, expected },
      'recover it in a run of its own',
    )
  }

  /** `hashFiles`, each file once. */
  async hash<File extends FileRecord>(
    files: readonly File[],
    options: RunOptions,
  ): Promise<(File & { sha256: string })[]> {
    const fresh = files.filter(({ path }) => !this.#hashes.has(path))
    for (const { path, sha256 } of await hashFiles(fresh, options)) this.#hashes.set(path, sha256)
    return files.map((file) => ({ ...file, sha256: this.#hashes.get(file.path)! }))
  }
}
