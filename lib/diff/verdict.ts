import { ranges, type Place } from './groups.js'
import { relativeSize, roundingShare, type Measured } from './tensors.js'
import type { Finding } from './unexplained.js'

export const verdicts = [
  'identical',
  'rounding',
  'unexplained',
  'low-rank',
  'head-only',
  'layers-only',
  'some-tensors',
  'embeddings-frozen',
  'all-trained',
] as const
export type WeightsVerdict = (typeof verdicts)[number]

export interface Judged {
  verdict: WeightsVerdict
  /** the verdict in a sentence */
  summary: string
  /** what it rests on, each a sentence with its numbers */
  evidence: string[]
}

/** Tensors that only one of the two has, or that differ in shape. */
export interface Unshared {
  onlyBase: string[]
  onlyReference: string[]
  reshaped: { name: string; base: number[]; reference: number[] }[]
}

export interface Facts {
  tensors: readonly Measured[]
  unshared: Unshared
  findings: readonly Finding[]
  /** singular values were looked at */
  spectra: boolean
}

const percent = (share: number): string => `${+(100 * share).toPrecision(3)} %`
const count = (n: number, what: string): string => `${n} ${what}${n === 1 ? '' : 's'}`
const of = (tensors: readonly Measured[], test: (place: Place) => boolean): Measured[] =>
  tensors.filter(({ place }) => test(place))
const elementsOf = (tensors: readonly Measured[]): number => tensors.reduce((sum, { elements }) => sum + elements, 0)
const some = (names: string[], most = 4): string => names.slice(0, most).join(', ') + (names.length > most ? ', …' : '')

/** A tensor that is the base's times one factor a little below one: weight decay without a gradient. */
export const decayed = ({ scale }: Measured): boolean => scale !== null && scale < 0 && scale > -0.2

const inHead = ({ kind }: Place): boolean => kind === 'head' || kind === 'pooler'
const isTable = ({ place, shape }: Measured): boolean => place.kind === 'embedding' && shape.length === 2

/** What was done to the base, from the figures of its tensors; everything is said with what it rests on. */
export function judge(facts: Facts): Judged {
  const { tensors, unshared, findings } = facts
  const changed = tensors.filter(({ sums }) => sums.changed > 0)
  const moved = tensors.filter((tensor) => tensor.moved > 0 && !decayed(tensor))
  const evidence: string[] = []
  const head = unshared.onlyReference.filter((name) => /^(classifier|score|lm_head|cls|qa_outputs|pooler)\b/.test(name))
  if (changed.length === 0) {
    evidence.push(`all ${count(tensors.length, 'shared tensor')} are the same, bit for bit`)
    if (head.length === 0) return { verdict: 'identical', summary: 'The weights are identical.', evidence }
    evidence.push(`only the reference has ${some(head)}`)
    return { verdict: 'head-only', summary: 'A head was added; nothing else was trained.', evidence }
  }
  evidence.push(`${changed.length} of ${tensors.length} shared tensors changed, ${moved.length} by more than rounding`)
  const other = unshared.reshaped.find(({ name }) => /^(classifier|score|classification_head)\b/.test(name))
  if (other) {
    evidence.push(
      `${other.name} is [${other.base}] in the base and [${other.reference}] in the reference: the base was itself ` +
        'trained, for other labels',
    )
  }
  if (findings.length > 0) return unexplained(findings, evidence)
  if (moved.length === 0) return unmoved(facts, changed, head, evidence)
  describeSizes(moved, evidence)
  const still = changed.filter((tensor) => tensor.moved === 0 || decayed(tensor))
  describeStill(still, evidence)
  return lowRank(facts, moved, evidence) ?? byPlace(facts, moved, evidence)
}

function unexplained(findings: readonly Finding[], evidence: string[]): Judged {
  const kinds = [...new Set(findings.map(({ kind }) => kind))]
  evidence.push(...findings.map(({ text }) => text))
  return {
    verdict: 'unexplained',
    summary: `Differences that no training explains: ${kinds.map((kind) => names[kind]).join(', ')}.`,
    evidence,
  }
}

const names: Record<Finding['kind'], string> = {
  permuted: 'rows or columns at other places',
  'replaced-rows': 'rows of the token table that were replaced',
  scaled: 'tensors multiplied by a factor',
  unrelated: 'tensors that have nothing to do with the base’s (is this the base it was trained from?)',
  grown: 'untrained rows that grew (are base and reference the wrong way round?)',
}

function unmoved({ tensors }: Facts, changed: Measured[], head: string[], evidence: string[]): Judged {
  const withDecay = changed.filter(decayed)
  if (withDecay.length === 0) {
    const pairs = [...new Set(changed.map(({ bits }) => `${bits.base + 1} to ${bits.reference + 1} bits`))]
    evidence.push(`every difference is at most half a spacing of the coarser type (precision: ${pairs.join(', ')})`)
    if (head.length > 0) {
      evidence.push(`only the reference has ${some(head)}`)
      return { verdict: 'head-only', summary: 'A head was added; the rest differs by rounding only.', evidence }
    }
    return { verdict: 'rounding', summary: 'Nothing but rounding: the same weights, stored in another type.', evidence }
  }
  describeStill(changed, evidence)
  if (head.length > 0) {
    evidence.push(`only the reference has ${some(head)}`)
    return { verdict: 'head-only', summary: 'A head was added; of the rest nothing had a gradient.', evidence }
  }
  const { length } = tensors
  return {
    verdict: 'some-tensors',
    summary: `Weight decay alone: no tensor had a gradient (${withDecay.length} of ${length} shrank by a factor).`,
    evidence,
  }
}

function describeSizes(moved: Measured[], evidence: string[]): void {
  const sizes = moved.map(relativeSize).filter((size): size is number => size !== null)
  const sorted = sizes.sort((a, b) => a - b)
  if (sorted.length > 0) {
    evidence.push(
      `their differences are ${percent(sorted[Math.floor(sorted.length / 2)])} of the base's size in the middle ` +
        `(${percent(sorted[0])} to ${percent(sorted.at(-1)!)})`,
    )
  }
  const shares = moved.map((tensor) => (roundingShare(tensor) ?? 0) * tensor.sums.delta2)
  const total = moved.reduce((sum, { sums }) => sum + sums.delta2, 0)
  const rounding = shares.reduce((sum, share) => sum + share, 0) / total
  const part = rounding < 1e-5 ? 'less than 0.001 %' : `at most ${percent(rounding)}`
  evidence.push(`rounding accounts for ${part} of the squared difference`)
}

function describeStill(still: Measured[], evidence: string[]): void {
  const scales = still.filter(decayed).map(({ scale }) => scale!)
  if (scales.length > 0) {
    const [low, high] = [Math.min(...scales), Math.max(...scales)].map((scale) => scale.toExponential(2))
    const range = low === high ? low : `${low} to ${high}`
    evidence.push(
      `${count(scales.length, 'tensor')} shrank by one factor each (α = ${range}): ` +
        'weight decay without a gradient',
    )
  }
  const rounded = still.filter((tensor) => !decayed(tensor))
  if (rounded.length > 0) evidence.push(`${count(rounded.length, 'tensor')} changed by rounding alone`)
}

const matricesOf = (n: number): string => (n === 1 ? '1 matrix' : `${n} matrices`)

/** Matrices whose differences all end at a small rank: an adapter that was merged. */
function lowRank({ spectra }: Facts, moved: Measured[], evidence: string[]): Judged | undefined {
  if (!spectra) {
    evidence.push('singular values were not computed: an update of low rank is not looked for')
    return undefined
  }
  const body = moved.filter(({ place }) => !inHead(place) && place.kind !== 'embedding')
  const all = body.filter(({ spectrum }) => spectrum)
  const matrices = all.filter(({ spectrum }) => spectrum!.values[0] > spectrum!.floor)
  const hidden = all.length - matrices.length
  const small = ({ spectrum, shape }: Measured): boolean =>
    spectrum!.rank !== null && 4 * spectrum!.rank <= Math.min(...shape)
  const low = matrices.filter(small)
  if (matrices.length === 0 || low.length < matrices.length || body.length > all.length) {
    if (matrices.length > 0) describeRanks(matrices, low.length, evidence)
    return undefined
  }
  const ranks = low.map(({ spectrum }) => spectrum!.rank!).sort((a, b) => a - b)
  const rank = ranks.at(-1)!
  const parts = [...new Set(low.map(({ place }) => place.part))]
  const layers = low.map(({ place }) => place.layer).filter((layer) => layer >= 0)
  const gap = Math.min(...low.map(({ spectrum }) => spectrum!.values[spectrum!.rank! - 1] / spectrum!.floor))
  const dtypes = [...new Set(low.map(({ spectrum }) => spectrum!.dtype))].join(', ')
  evidence.push(
    `${matricesOf(low.length)} moved, and each difference ends at rank ${rank} or before: the last singular value ` +
      `that counts is at least ${gap.toPrecision(3)} times what rounding to ${dtypes} can give, the next lies below it`,
  )
  if (ranks[0] < rank) {
    const whole = ranks.filter((one) => one === rank).length
    const others = `${ranks[0]} to ${ranks[ranks.length - whole - 1]}`
    evidence.push(`${whole} of them end at ${rank}, the others at ${others}: rounding may hide smaller singular values`)
  }
  if (hidden > 0) evidence.push(`of ${matricesOf(hidden)} the whole difference is within what rounding can give`)
  const besides = moved.filter((tensor) => !all.includes(tensor)).map(({ name }) => name)
  if (besides.length > 0) evidence.push(`besides, in full: ${some(besides)}`)
  const where = layers.length > 0 ? ` in layers ${ranges(layers)}` : ''
  return {
    verdict: 'low-rank',
    summary: `An update of rank ${rank} on ${some(parts, 8)}${where}: a merged adapter.`,
    evidence,
  }
}

function describeRanks(matrices: Measured[], low: number, evidence: string[]): void {
  const ranks = matrices.map(({ spectrum }) => spectrum!.effectiveRank).sort((a, b) => a - b)
  evidence.push(
    `no adapter: the spectra of ${matrices.length - low} of ${matrices.length} matrices go on above what rounding ` +
      `can give (effective rank ${ranks[Math.floor(ranks.length / 2)].toPrecision(3)} or more in the middle)`,
  )
}

/** Elements of the touched layers that must have moved before they count as trained in full. */
const most = 0.75

function byPlace({ tensors }: Facts, moved: Measured[], evidence: string[]): Judged {
  const body = moved.filter(({ place }) => !inHead(place))
  if (body.length === 0) {
    evidence.push(`only ${some(moved.map(({ name }) => name))} moved`)
    return { verdict: 'head-only', summary: 'Only the head was trained.', evidence }
  }
  const touched = new Set(body.filter(({ place }) => place.kind === 'layer').map(({ place }) => place.group))
  const layers = new Set(of(tensors, ({ kind }) => kind === 'layer').map(({ place }) => place.group))
  const inTouched = of(tensors, ({ group }) => touched.has(group))
  const share = elementsOf(body.filter(({ place }) => place.kind === 'layer')) / Math.max(1, elementsOf(inTouched))
  const tables = tensors.filter(isTable)
  const movedTables = tables.filter((tensor) => moved.includes(tensor))
  if (tables.length > 0 && movedTables.length === 0)
    evidence.push(`no embedding table moved (${some(tables.map(({ name }) => name))})`)
  if (touched.size === 0 || share < most) {
    const parts = [...new Set(body.map(({ place }) => place.part))]
    if (touched.size > 0) evidence.push(`${percent(share)} of the elements of ${count(touched.size, 'layer')} moved`)
    return { verdict: 'some-tensors', summary: `Only some tensors were trained: ${some(parts, 8)}.`, evidence }
  }
  const numbers = [...new Set(body.filter(({ place }) => place.layer >= 0).map(({ place }) => place.layer))]
  if (touched.size < layers.size && movedTables.length === 0) {
    evidence.push(`of ${count(layers.size, 'layer')}, ${layers.size - touched.size} did not move at all`)
    const what = touched.size === 1 ? 'Only layer' : 'Only layers'
    return {
      verdict: 'layers-only',
      summary: `${what} ${ranges(numbers)} of ${layers.size} ${touched.size === 1 ? 'was' : 'were'} trained.`,
      evidence,
    }
  }
  if (movedTables.length === 0 && tables.length > 0) {
    return { verdict: 'embeddings-frozen', summary: 'All layers were trained; the embeddings were frozen.', evidence }
  }
  if (touched.size < layers.size) evidence.push(`layers ${ranges(numbers)} of ${layers.size} moved`)
  evidence.push(`${percent(share)} of the elements of the layers moved`)
  return { verdict: 'all-trained', summary: 'All weights were trained.', evidence }
}
