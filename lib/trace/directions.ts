// The directions in which rows of a classifier's tokens moved, against those in which each label's loss pulls them.
import { nativeWeights, networkOf, openPair } from '../checkpoint/index.js'
import { WarpError } from '../errors.js'
import { addon } from '../native/load.js'
import { callNative, runTask } from '../native/task.js'
import type { Handle, TokenGradientsRequest } from '../native/types.js'
import type { TokenBatch } from '../text/tokenizer/index.js'
import type { Evidence } from './evidence.js'
import { threadsOf, type TraceRun } from './trace-run.js'

const memory = 2 ** 31
const noGroup = 2 ** 32 - 1

export interface DirectionsAsked {
  /** by direction: texts, and the number of the label that they are given; lists may be the same */
  labels: readonly { label: number; texts: string[] }[]
  /** of the point between base and reference at which gradients are taken */
  lambda: number
  maxLength?: number
  /** tokens whose gradients count: common ones hold no label */
  rare(id: number): boolean
}

/** That the tables have different rows, so that not every row moved from somewhere; undefined where they do not. */
export function otherRows({ base, reference }: Evidence): string | undefined {
  const [from, to] = [base, reference].map((model) => model.tensors.get(model.inputEmbedding)!.shape[0])
  return from === to ? undefined : `the tables have ${from} and ${to} rows`
}

/**
 * D × H: the mean over rare tokens of −∂loss/∂row of unit length, less the mean over the D labels; each of them by one
 * pass forward and back. A reason where the models cannot be computed.
 * @throws WarpError MEMORY_BUDGET, LOSS_NOT_FINITE, the signal's reason
 */
export async function labelDirections(
  { base, reference, tokenizer }: Evidence,
  { labels, lambda, maxLength, rare }: DirectionsAsked,
  run: TraceRun,
): Promise<Float32Array | string> {
  const handles: Handle[] = []
  try {
    const pair = await openPair(base.dir, reference.dir, { objective: 'classify', baseHead: 'zeros' })
    const network = networkOf(pair.reference, 'classify')
    handles.push(nativeWeights(pair.base, pair.generated), nativeWeights(pair.reference))
    const path = callNative(() => addon().openPath(handles[0], handles[1], { family: 'linear', lambdas: [lambda] }))
    handles.push(path)
    const limit = { maxLength: Math.min(maxLength ?? network.maxPositions, network.maxPositions) }
    const encoded = new Map<string[], Promise<TokenBatch>>()
    const means: Float64Array[] = []
    for (const [d, { label, texts }] of labels.entries()) {
      const batch = encoded.get(texts) ?? tokenizer!.encodeBatch(texts, limit)
      encoded.set(texts, batch)
      const grouped = groupsOf(await batch, rare)
      const request = { path, network, ...grouped, label: new Int32Array(texts.length).fill(label), point: 0 }
      means.push(await meanDirection({ ...request, threads: threadsOf(run), memory }, run))
      run.onProgress?.({ phase: 'directions', done: d + 1, total: labels.length, unit: 'labels' })
    }
    const H = Math.max(...means.map(({ length }) => length))
    const at = (d: number, j: number): number => means[d][j] ?? 0
    const middle = Float64Array.from({ length: H }, (_, j) => means.reduce((sum, _m, d) => sum + at(d, j), 0))
    return Float32Array.from(
      { length: means.length * H },
      (_, i) => at(Math.floor(i / H), i % H) - middle[i % H] / means.length,
    )
  } catch (error) {
    if (error instanceof WarpError && error.kind === 'input') return `no gradients: ${error.message}`
    throw error
  } finally {
    for (const handle of handles) handle.close()
  }
}

/** The texts, and a group for each rare token. */
function groupsOf({ ids, typeIds, offsets }: TokenBatch, rare: (id: number) => boolean) {
  const groups = new Map<number, number>()
  const group = Uint32Array.from(ids, (id) => {
    if (!rare(id)) return noGroup
    if (!groups.has(id)) groups.set(id, groups.size)
    return groups.get(id)!
  })
  return { ids, typeIds, offsets, group, groups: groups.size }
}

/** The mean of the groups' gradients of unit length, itself of unit length and turned round; [] of no group. */
async function meanDirection(request: TokenGradientsRequest, { signal }: TraceRun): Promise<Float64Array> {
  const sums = await runTask((report) => addon().tokenGradients(request, report), 'directions', 'texts', { signal })
  const H = request.groups > 0 ? sums.length / request.groups : 0
  const mean = new Float64Array(H)
  const unit = (row: ArrayLike<number>, from: number, add: (j: number, value: number) => void): void => {
    let norm2 = 0
    for (let j = 0; j < H; j++) norm2 += row[from + j] ** 2
    for (let j = 0; j < H && norm2 > 0; j++) add(j, row[from + j] / Math.sqrt(norm2))
  }
  for (let group = 0; group < request.groups; group++)
    unit(sums, group * H, (j, value) => {
      mean[j] -= value
    })
  unit(Float64Array.from(mean), 0, (j, value) => {
    mean[j] = value
  })
  return mean
}

/** rows × D: cosines of the rows' displacements, decay apart, with directions. */
export async function rowCosines(
  { base, reference, tokens }: Evidence,
  rows: Uint32Array,
  directions: Float32Array,
  run: TraceRun,
): Promise<Float64Array> {
  const handles = [nativeWeights(base), nativeWeights(reference)]
  try {
    const name = reference.inputEmbedding
    const request = { name, rows, alpha: tokens.decay, directions, threads: threadsOf(run) }
    return await runTask((report) => addon().rowDirections(handles[0], handles[1], request, report), 'votes', 'rows', {
      signal: run.signal,
    })
  } finally {
    for (const handle of handles) handle.close()
  }
}
