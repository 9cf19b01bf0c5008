import type { Blueprint } from './architecture.js'
import { outlineOf } from './facts.js'
import type { Step } from './network.js'

/** Where two networks that have the same sizes compute something else: the place, and both values. */
export interface Difference {
  place: string
  field: string
  values: [unknown, unknown]
}

type Plain = Record<string, unknown>

/**
 * The first step of two networks of one family that differs, and in what. The longest text counts only where positions
 * are looked up in a table; windows that no text of either can fill are alike. What a head reads, and its steps, count
 * where `heads` says that both have one.
 */
export function differenceOf(a: Blueprint, b: Blueprint, heads: boolean): Difference | undefined {
  const reach = Math.min(a.sizes.maxPositions, b.sizes.maxPositions)
  const blocks = (from: Blueprint): [string, Step[]][] => {
    const { embed, layers, head } = outlineOf(from)
    const named = layers.map(({ steps }, i): [string, Step[]] => [`layer ${i}`, steps])
    const own = heads ? from.classifier(head.output, 1).steps : []
    return [['embedding', embed.steps], ...named, ['head', [...head.steps, ...own]]]
  }
  const others = blocks(b)
  const tables = compare('embedding', a.tables, b.tables)
  if (tables) return tables
  for (const [index, [place, steps]] of blocks(a).entries()) {
    const found = compare(place, steps.map(within(reach)), (others[index]?.[1] ?? []).map(within(reach)))
    if (found) return found
  }
  return heads ? compare('head', a.select, b.select, 'select') : undefined
}

const within =
  (reach: number) =>
  (step: Step): Plain => {
    const plain: Plain = { ...step }
    if (step.op === 'attention' && step.window !== undefined && step.window >= reach) delete plain.window
    return plain
  }

function compare(place: string, a: unknown, b: unknown, field = ''): Difference | undefined {
  if (typeof a !== 'object' || a === null || typeof b !== 'object' || b === null)
    return a === b ? undefined : { place, field, values: [a, b] }
  const op = (a as Plain).op ?? (b as Plain).op
  const here = typeof op === 'string' ? `${place}, ${op}` : place
  for (const key of new Set([...Object.keys(a), ...Object.keys(b)])) {
    const name = Array.isArray(a) ? field : key
    const found = compare(here, (a as Plain)[key], (b as Plain)[key], name)
    if (found) return found
  }
  return undefined
}
