import type { Columns } from './types.js'

/** `[]` in a path: every element of a list. */
const every = Symbol('every')
type Step = string | number | typeof every

/** A column by name, or a value inside it: `meta.label`, `choices[0].text`, `messages[].content`. */
export class Field {
  /** the column it stands in, where it is not a column by its whole name */
  readonly top: string
  /** several values are joined by newlines */
  readonly several: boolean
  readonly #steps: Step[]

  constructor(readonly name: string) {
    this.#steps = stepsOf(name)
    this.top = this.#steps.length > 0 ? String(this.#steps[0]) : name
    this.several = this.#steps.includes(every)
  }

  /** The column of `names` that must be read for it. */
  column(names: readonly string[]): string | undefined {
    return [this.name, this.top].find((name) => names.includes(name))
  }

  /** Undefined where there is no such value; several texts as one. */
  pick(row: Record<string, unknown>): unknown {
    if (Object.hasOwn(row, this.name)) return row[this.name]
    if (this.#steps.length === 0) return undefined
    const found = walk(row, this.#steps)
    if (!this.several || !Array.isArray(found)) return found
    const values = found.flat(this.#steps.length) as unknown[]
    // what is no text is told as what it is
    return values.length > 0 && values.every((value) => typeof value === 'string') ? values.join('\n') : notText(values)
  }
}

function notText(values: unknown[]): unknown {
  return values.find((value) => typeof value !== 'string')
}

/** [] for a plain name. */
function stepsOf(path: string): Step[] {
  if (!/[.[]/.test(path)) return []
  const steps: Step[] = []
  const part = /(?:^|\.)([^.[\]]+)|\[(-?\d*)\]/y
  while (part.lastIndex < path.length) {
    const found = part.exec(path)
    if (found === null) return []
    if (found[1] !== undefined) steps.push(found[1])
    else steps.push(found[2] === '' ? every : Number(found[2]))
  }
  return typeof steps[0] === 'string' ? steps : []
}

function walk(value: unknown, [step, ...rest]: Step[]): unknown {
  if (step === undefined) return value
  if (step === every) return Array.isArray(value) ? value.map((item) => walk(item, rest)) : undefined
  if (typeof step === 'number') return Array.isArray(value) ? walk(value.at(step), rest) : undefined
  if (typeof value !== 'object' || value === null || !Object.hasOwn(value, step)) return undefined
  return walk((value as Record<string, unknown>)[step], rest)
}

/** The fields of a row that are read. */
export interface Fields {
  text: Field[]
  label: Field
  domain: Field
}

export const fieldsOf = ({ text, label, domain }: Columns): Fields => ({
  text: text.map((name) => new Field(name)),
  label: new Field(label),
  domain: new Field(domain),
})
