import { addon } from '../native/load.js'
import { runTask } from '../native/task.js'
import type { DiffPair, PartOptions } from './part.js'
import { cosine, fewElements, relativeSize, type Measured } from './tensors.js'

/** A difference that no training explains. */
export interface Finding {
  kind: 'permuted' | 'replaced-rows' | 'scaled' | 'unrelated' | 'grown'
  tensor: string
  /** a sentence with its numbers */
  text: string
  /** the rows concerned, at most 1000 */
  rows: number[]
}

/** Cosine with the base below which a tensor, or a row, is another one: training turns by a few degrees. */
const another = 0.5
/** Relative size from which rows and columns are looked for at other places. */
const large = 0.1
/** Replaced rows moved so many times as far as any other: a training that turns rows turns some a little less. */
const gap = 2
const mostRows = 1000
const nowhere = 2 ** 32 - 1

/**
 * What is wrong with a pair: rows or columns that stand at other places, rows of the token table that were replaced,
 * tensors that were multiplied by a factor, or that have nothing to do with the base's. A head is left out: it is often
 * drawn anew.
 */
export async function findUnexplained(
  tensors: readonly Measured[],
  pair: DiffPair,
  options: PartOptions,
): Promise<Finding[]> {
  const findings: Finding[] = []
  for (const tensor of tensors) {
    if (tensor.place.kind === 'head' || tensor.place.kind === 'pooler') continue
    if (tensor.shape.length !== 2 || tensor.elements < fewElements || tensor.moved === 0) continue
    const scaled = scaledCopy(tensor)
    const found = scaled ?? (await misplaced(tensor, pair, options)) ?? (await replacedRows(tensor, pair, options))
    if (found) findings.push(found)
    else if ((cosine(tensor) ?? 1) < another) findings.push(unrelated(tensor))
  }
  return findings
}

/** A factor that weight decay cannot have: above one, or far below. */
function scaledCopy({ name, scale, sums }: Measured): Finding | undefined {
  if (scale === null || (scale > -0.2 && scale < 1e-4)) return undefined
  const across = 1 - sums.cross ** 2 / (sums.base2 * sums.delta2)
  const text =
    `${name} is the base's times ${(1 + scale).toPrecision(6)} ` +
    `(${(100 * Math.max(0, across)).toPrecision(2)} % of the squared difference lies elsewhere)`
  return { kind: 'scaled', tensor: name, text, rows: [] }
}

function unrelated(tensor: Measured): Finding {
  const text = `${tensor.name} has a cosine of ${cosine(tensor)!.toFixed(3)} with the base's: another tensor`
  return { kind: 'unrelated', tensor: tensor.name, text, rows: [] }
}

async function misplaced(tensor: Measured, pair: DiffPair, options: PartOptions): Promise<Finding | undefined> {
  if ((relativeSize(tensor) ?? 1) < large) return undefined
  const { base, reference } = pair.handles
  const { name } = tensor
  const places = await runTask(() => addon().findPlaces(base, reference, name, options.threads), 'places', 'rows', {
    signal: options.signal,
  })
  for (const [what, at] of [
    ['rows', places.rows],
    ['columns', places.columns],
  ] as const) {
    const moved: number[] = []
    for (let i = 0; i < at.length; i++) if (at[i] !== i && at[i] !== nowhere) moved.push(i)
    if (moved.length < 2) continue
    const [first] = moved
    const text =
      `${moved.length} of ${at.length} ${what} of ${name} are ${what} of the base's that stand elsewhere ` +
      `(${first} is its ${at[first]})`
    return { kind: 'permuted', tensor: name, text, rows: what === 'rows' ? moved.slice(0, mostRows) : [] }
  }
  return undefined
}

/** Rows of the token table that turned away from the base's, with nothing between them and those that did not. */
async function replacedRows(tensor: Measured, pair: DiffPair, options: PartOptions): Promise<Finding | undefined> {
  if (tensor.name !== pair.reference.inputEmbedding) return undefined
  // a row that turned so far holds a difference of the size of its values: without one no row need be looked at
  if (tensor.sums.maxDelta ** 2 < 0.1 * (tensor.sums.base2 / tensor.elements)) return undefined
  const { base, reference } = pair.handles
  const none = new Uint32Array(0)
  const request = {
    base: tensor.name,
    reference: tensor.name,
    rows: none,
    baseRows: none,
    alpha: 0,
    threads: options.threads,
  }
  const sums = await runTask((report) => addon().rowSums(base, reference, request, report), 'rows', 'rows', {
    signal: options.signal,
  })
  const turned: number[] = []
  let least = Infinity
  let others = 0
  for (let row = 0; row < tensor.shape[0]; row++) {
    const [delta2, product, base2] = sums.subarray(8 * row, 8 * row + 3)
    const reference2 = base2 + 2 * product + delta2
    if (!(delta2 > 0) || !(reference2 > 0)) continue
    const size = Math.sqrt(delta2 / base2)
    if (base2 === 0 || (base2 + product) / Math.sqrt(base2 * reference2) < another) {
      turned.push(row)
      least = Math.min(least, size)
    } else {
      others = Math.max(others, size)
    }
  }
  if (turned.length === 0 || turned.length > tensor.shape[0] / 2 || least < gap * others) return undefined
  const tokens = turned.slice(0, 8).join(', ') + (turned.length > 8 ? ', …' : '')
  const text =
    `${turned.length} of ${tensor.shape[0]} rows of ${tensor.name} point elsewhere than the base's (cosine below ` +
    `${another}) and moved at least ${(least / others).toPrecision(2)} times as far as any other: tokens ${tokens}`
  return { kind: 'replaced-rows', tensor: tensor.name, text, rows: turned.slice(0, mostRows) }
}

/** Weight decay shrinks what has no gradient; rows that grew by one factor say that the order is another. */
export function grownRows(name: string, decay: number | null, bits: number): Finding | undefined {
  if (decay === null || decay <= Math.max(1e-6, 2 ** -(bits + 4))) return undefined
  const text =
    `rows of ${name} without a gradient grew by one factor (α = ${decay.toExponential(3)}); weight decay only ` +
    'shrinks: the reference may be what the base was trained from, or both come from a third model'
  return { kind: 'grown', tensor: name, text, rows: [] }
}
