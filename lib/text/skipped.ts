import { WarpError } from '../errors.js'

/** What can be wrong with one row alone, in words for a note. */
const reasons: Record<string, string> = {
  PROBES_TEXT_MISSING: 'without a text',
  PROBES_TEXT_TYPE: 'whose text is no string',
  PROBES_TEXT_EMPTY: 'with an empty text',
  PROBES_LONE_SURROGATE: 'with half a surrogate pair',
  PROBES_LABEL_TYPE: 'whose label is neither a string nor a whole number',
  PROBES_LABEL_MISSING: 'without a label',
  PROBES_LABEL_UNKNOWN: "whose label is none of the model's",
  PROBES_UNLABELED: 'that nobody labelled',
  PROBES_DOMAIN_MISSING: 'without a domain',
  PROBES_DOMAIN_TYPE: 'whose domain is no name',
}
/** Places that a note lists. */
const listed = 10

/** Rows that are left out and counted where that is asked for (`--skip-invalid`), else refused. */
export class Skipped {
  readonly #places = new Map<string, { count: number; first: string[] }>()
  #count = 0
  #first: WarpError | undefined

  constructor(readonly asked: boolean) {}

  /** What `make` gives; undefined for a row that is left out. */
  unless<T>(make: () => T): T | undefined {
    try {
      return make()
    } catch (error) {
      if (!this.asked || !(error instanceof WarpError) || !(error.code in reasons)) throw error
      this.#add(error)
      return undefined
    }
  }

  #add(error: WarpError): void {
    this.#first ??= error
    this.#count++
    const found = this.#places.get(error.code) ?? { count: 0, first: [] }
    found.count++
    if (found.first.length < listed) found.first.push(`${error.details.file}:${error.details.line}`)
    this.#places.set(error.code, found)
  }

  /** @throws what was wrong with the first row, where nothing is left of `rows` of a file: the column is a wrong one */
  refuseAll(rows: number): void {
    if (this.#count === rows && this.#first !== undefined) throw this.#first
    this.#count = 0
    this.#first = undefined
  }

  notes(): string[] {
    return [...this.#places].map(([code, { count, first }]) => {
      const more = count > first.length ? ', …' : ''
      return `${count} rows ${reasons[code]} were left out (--skip-invalid): ${first.join(', ')}${more}`
    })
  }
}
