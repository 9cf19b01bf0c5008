import os from 'node:os'
import { join } from 'node:path'
import { fileSha256, nativeWeights, networkOf, openPair, pairTokenizer } from '../checkpoint/index.js'
import { digestOf } from '../document.js'
import { checkWhole, inputError, usageError } from '../errors.js'
import { addon } from '../native/load.js'
import { callNative } from '../native/task.js'
import type { Handle } from '../native/types.js'
import { objectiveFor } from '../objectives/index.js'
import { lambdaGrid, parsePathOptions } from '../paths/index.js'
import { readLabelMap } from '../text/index.js'
import type { Tokenizer } from '../text/tokenizer/index.js'
import { featuresOf, type Features, type FeatureSource } from './features/index.js'
import type { FeatureKind, SelectOptions } from './types.js'

/** Everything of a selection that is open. */
export interface SelectSession {
  source: FeatureSource
  kind: FeatureKind
  features: Features
  tokenizer: Tokenizer
  lambdas: number[]
  window: number
  stride: number
  /** of what decides the bytes of the features, but for the corpus */
  key: string
  folder: string
  notes: string[]
  close(): void
}

/** The version of the features' meaning: shards of another one are not taken. */
const version = 1
/** Points unless said otherwise, by the study (benchmarks/results/select.md). */
export const defaultLambdas = [0.1, 0.5, 0.9]
export const defaultFeatures: FeatureKind = 'trace'
const defaultWindow = 128

/** @throws WarpError of models, paths and tokenizers; SELECT_OPTION, DIRECTION_ZERO, NO_SIGNAL, TOKENIZER_ID_RANGE */
export async function openSelection(options: SelectOptions): Promise<SelectSession> {
  const { features: kind = defaultFeatures, labels = 'auto', seed = 0, signal, onProgress } = options
  for (const name of ['threads', 'count', 'window', 'stride', 'batch'] as const)
    checkWhole(name, options[name], 1, Number.MAX_SAFE_INTEGER)
  checkWhole('memory', options.memory, 0, Number.MAX_SAFE_INTEGER)
  checkWhole('seed', seed, 0, Number.MAX_SAFE_INTEGER)
  const objective = await objectiveFor(options.reference)
  const pair = await openPair(options.base, options.reference, {
    baseHead: options.baseHead,
    tokenizer: options.tokenizer,
    objective,
  })
  const network = networkOf(pair.reference, objective)
  const notes: string[] = []
  const tokenizer = await pairTokenizer(options.base, options.reference, notes, options.tokenizer)
  if (!tokenizer)
    throw inputError(
      'TOKENIZER_MISSING',
      `${options.reference}: no tokenizer.json`,
      { file: options.reference },
      "Put the model's tokenizer.json into its folder.",
    )
  checkVocabulary(tokenizer, network.vocabularySize)
  const window = options.window ?? Math.min(defaultWindow, network.maxPositions)
  if (window > network.maxPositions)
    throw usageError(
      'MAX_LENGTH_RANGE',
      `a window of ${window} tokens exceeds the model's ${network.maxPositions} positions`,
      { found: window, expected: network.maxPositions },
      `--window ${network.maxPositions}`,
    )
  const lambdas = kind === 'trace' ? [] : gridOf(options)
  const { path, close } = openHandles(pair, options, lambdas, kind)
  try {
    const labelMap = typeof options.labelMap === 'string' ? await readLabelMap(options.labelMap) : options.labelMap
    const threads = options.threads ?? os.availableParallelism()
    const memory = options.memory ?? 2 ** 31
    const atBase = path.atBase
    const source: FeatureSource = {
      pair,
      network,
      path: path.handle,
      lambdas: path.lambdas,
      atBase,
      labels,
      labelMap,
      seed,
      threads,
      memory,
      signal,
      onProgress,
    }
    const stride = options.stride ?? window
    const reading = [options.format, options.columns, options.text, options.label, options.paragraphs, labelMap]
    const key = digestOf({
      version,
      models: await Promise.all(
        [...pair.base.files, ...pair.reference.files].map(({ path: file }) => fileSha256(file, { signal })),
      ),
      generated: pair.generated,
      tokenizer: tokenizer.sha256,
      kind,
      path: path.request,
      atBase,
      labels: labels === 'random' ? [labels, seed] : [labels],
      window: [window, stride],
      reading,
    })
    const features = featuresOf(kind, source)
    const folder = join(options.output, 'features')
    return {
      source,
      kind,
      features,
      tokenizer,
      lambdas,
      window,
      stride,
      key,
      folder,
      notes: [...pair.notes, ...notes],
      close,
    }
  } catch (error) {
    close()
    throw error
  }
}

const gridOf = (options: SelectOptions): number[] =>
  options.points === undefined && options.lambdas === undefined ? [...defaultLambdas] : lambdaGrid(options)

function checkVocabulary({ maxId }: Tokenizer, size: number): void {
  if (maxId < size) return
  throw inputError(
    'TOKENIZER_ID_RANGE',
    `the tokenizer gives ids up to ${maxId}; the model embeds ${size} tokens`,
    { expected: size - 1, found: maxId },
    'use the tokenizer.json that belongs to the model',
  )
}

/** The base itself is a point of every pass: as λ = 0 it costs nothing more. */
function openHandles(
  pair: Awaited<ReturnType<typeof openPair>>,
  options: SelectOptions,
  lambdas: number[],
  kind: FeatureKind,
) {
  const atBase = lambdas[0] === 0 && kind !== 'all'
  const behind = atBase ? lambdas.slice(1) : lambdas
  const { points: _points, lambdaMin: _min, lambdaMax: _max, ...family } = options
  const request = { ...parsePathOptions({ ...family, lambdas: lambdas.length > 0 ? lambdas : [0.5] }), lambdas: behind }
  const base = nativeWeights(pair.base, pair.generated)
  let reference: Handle | undefined
  const close = (): void => {
    reference?.close()
    base.close()
  }
  try {
    const other = (reference = nativeWeights(pair.reference))
    const handle = callNative(() => addon().openPath(base, other, request))
    return {
      path: { handle, lambdas: behind, atBase, request },
      close: () => {
        handle.close()
        close()
      },
    }
  } catch (error) {
    close()
    throw error
  }
}
