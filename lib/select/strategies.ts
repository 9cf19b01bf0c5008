import { usageError } from '../errors.js'
import { addon } from '../native/load.js'
import { runTask, type RunOptions } from '../native/task.js'
import type { ChoiceRequest, Handle } from '../native/types.js'
import { Random } from '../random.js'
import type { Strategy } from './types.js'

/** Everything known of the documents that strategies choose from. */
export interface Documents {
  count: number
  /** product of a document's step with the direction, over its length */
  along: Float64Array | undefined
  /** squared lengths of gradients; undefined where they are not formed */
  norm2: Float64Array | undefined
  /** the lengths are those of some tensors only: `topk` goes by products alone */
  partial: boolean
  /** by which `topk` ranks where there is no cosine: agreement, and above 1 what orders those that agree wholly */
  order: Float64Array | undefined
  label: Int32Array | undefined
  labels: string[]
  /** at the reference, of the label */
  loss: Float64Array | undefined
  /** 1 where a document may be chosen */
  allowed: Uint8Array
  /** gradients for products between documents */
  candidates: () => Promise<Handle>
}

export interface StrategyOptions extends RunOptions {
  count: number
  balance: boolean
  /** greedy-batched */
  batch: number
  seed: number
  threads: number
}

export interface Chosen {
  documents: Uint32Array
  /** by document that was chosen */
  score: Float64Array
  cosine: Float64Array | undefined
  notes: string[]
}

/** Sweeps of `matching`, and the gain below which it stops; the whole is 1. */
const sweeps = 200
const enough = 1e-7

/** @throws WarpError (usage) STRATEGY_NEEDS, naming features that would do */
export async function choose(strategy: Strategy, documents: Documents, options: StrategyOptions): Promise<Chosen> {
  const shown = (value: number): number => (documents.order ? Math.min(1, value) : value) // an agreement ends at 1
  const balanced = options.balance || strategy === 'topk-balanced'
  const choice = choiceOf(strategy, documents, balanced, options.count)
  switch (strategy) {
    case 'topk':
    case 'topk-balanced':
      return ranked(scores(documents), choice, options, shown)
    case 'bottomk':
      return ranked(scores(documents).map(minus), choice, options, (value) => shown(-value))
    case 'loss-min':
      return ranked(need(documents.loss, strategy, 'head').map(minus), choice, options, minus)
    case 'loss-max':
      return ranked(need(documents.loss, strategy, 'head'), choice, options)
    case 'random': {
      const random = new Random(options.seed, 'select random')
      return ranked(
        Float64Array.from({ length: documents.count }, (_, i) => random.uniformAt(i)),
        choice,
        options,
      )
    }
    case 'greedy':
    case 'greedy-batched':
      return greedy(strategy, documents, choice, options)
    case 'matching':
      return matching(documents, choice, options)
  }
}

const minus = (value: number): number => -value

function need<T>(value: T | undefined, strategy: string, features: string): T {
  if (value !== undefined) return value
  throw usageError(
    'STRATEGY_NEEDS',
    `strategy ${strategy} needs what these features do not hold`,
    { found: strategy, expected: features },
    `--features ${features}, or another strategy`,
  )
}

/** The cosine of a document's step with the direction; the product alone where lengths are not known whole. */
function scores({ along, norm2, partial, order }: Documents): Float64Array {
  if (order) return order
  const known = need(along, 'topk', 'head')
  return norm2 && !partial ? known.map((value, i) => (norm2[i] > 0 ? value / Math.sqrt(norm2[i]) : -1)) : known
}

function choiceOf(
  strategy: Strategy,
  { label, labels, allowed }: Documents,
  balanced: boolean,
  count: number,
): ChoiceRequest {
  if (!balanced) return { allowed, count }
  const group = Uint32Array.from(need(label, strategy, 'head'))
  return { allowed, count, group, quota: quotas(group, allowed, labels.length, count) }
}

/** As equal as the documents of each label allow. */
export function quotas(group: Uint32Array, allowed: Uint8Array, groups: number, count: number): Uint32Array {
  const room = new Uint32Array(groups)
  for (let i = 0; i < group.length; i++) room[group[i]] += allowed[i]
  const quota = new Uint32Array(groups)
  let left = count
  while (left > 0) {
    const open = Array.from(room.keys()).filter((g) => quota[g] < room[g])
    if (open.length === 0) break
    const each = Math.max(1, Math.floor(left / open.length))
    for (const g of open) {
      const take = Math.min(each, room[g] - quota[g], left)
      quota[g] += take
      left -= take
    }
  }
  return quota
}

async function ranked(
  score: Float64Array,
  choice: ChoiceRequest,
  run: RunOptions,
  shown = (value: number): number => value,
): Promise<Chosen> {
  const documents = await runTask(() => addon().rankDocuments({ ...choice, score }), 'rank', 'documents', run)
  return { documents, score: Float64Array.from(documents, (i) => shown(score[i])), cosine: undefined, notes: [] }
}

async function greedy(
  strategy: Strategy,
  documents: Documents,
  choice: ChoiceRequest,
  { batch, threads, ...run }: StrategyOptions,
): Promise<Chosen> {
  const norm2 = need(documents.norm2, strategy, 'head')
  const along = need(documents.along, strategy, 'head')
  const candidates = await documents.candidates()
  const request = { ...choice, along, norm2, batch: strategy === 'greedy' ? 0 : batch, threads }
  const { document, cosine } = await runTask(
    (report) => addon().greedyDocuments(candidates, request, report),
    'greedy',
    'documents',
    run,
  )
  const score = Float64Array.from(document, (i) => (norm2[i] > 0 ? along[i] / Math.sqrt(norm2[i]) : -1))
  return { documents: document, score, cosine, notes: [] }
}

async function matching(documents: Documents, choice: ChoiceRequest, options: StrategyOptions): Promise<Chosen> {
  const norm2 = need(documents.norm2, 'matching', 'head')
  const along = need(documents.along, 'matching', 'head')
  const candidates = await documents.candidates()
  const { allowed } = documents
  const weight = await runTask(
    (report) => addon().matchDocuments(candidates, { along, norm2, allowed, sweeps, tolerance: enough }, report),
    'matching',
    'sweeps',
    options,
  )
  const positive = weight.reduce((sum, w) => sum + (w > 0 ? 1 : 0), 0)
  // behind the documents with a weight come those without, by their cosine: below 0
  const score = weight.map((w, i) => (w > 0 ? w : norm2[i] > 0 ? along[i] / Math.sqrt(norm2[i]) - 2 : -3))
  const chosen = await ranked(score, choice, options, (value) => Math.max(0, value))
  const notes =
    positive < choice.count ? [`only ${positive} documents have a weight; the others follow by their cosine`] : []
  return { ...chosen, notes }
}
