import os from 'node:os'
import { join } from 'node:path'
import { fileSha256, type ModelPair, nativeWeights, networkOf, openPair, pairTokenizer } from '../checkpoint/index.js'
import { digestOf } from '../document.js'
import { checkWhole, inputError, usageError } from '../errors.js'
import { addon } from '../native/load.js'
import { callNative, type RunOptions } from '../native/task.js'
import type { Handle } from '../native/types.js'
import { objectiveFor } from '../objectives/index.js'
import { lambdaGrid, parsePathOptions } from '../paths/index.js'
import { readLabelMap } from '../text/index.js'
import type { Tokenizer } from '../text/tokenizer/index.js'
import { featuresOf, type Features, type FeatureSource } from './features/index.js'
import { preconditionOf } from './precondition.js'
import type { FeatureKind, FeatureOptions } from './types.js'

/** Everything of a selection that is open. */
export interface SelectSession {
  source: FeatureSource
  kind: FeatureKind
  features: Features
  tokenizer: Tokenizer
  lambdas: number[]
  window: number
  stride: number
  /** exponent q of the gradients' preconditioner; 0: none */
  precondition: number
  /** SHA-256 of the weight files: the base's, then the reference's */
  weights: string[]
  /** of what decides the bytes of the features, but for the corpus */
  key: string
  folder: string
  notes: string[]
  close(): void
}

/** The version of the features' meaning: shards of another one are not taken. */
const version = 4
/** Points unless said otherwise, by the study (benchmarks/results/select.md). */
export const defaultLambdas = [0.1, 0.5, 0.9]
const defaultWindow = 128

/** Where the features of an output are. */
export const featuresFolder = (output: string): string => join(output, 'features')

/** @throws WarpError of models, paths, tokenizers, q; OPTION_RANGE, MAX_LENGTH_RANGE, TOKENIZER_ID_RANGE */
export async function openSelection(options: FeatureOptions): Promise<SelectSession> {
  const { features: kind = 'head', labels = 'auto', seed = 0, signal, onProgress } = options
  for (const name of ['threads', 'count', 'window', 'stride', 'batch', 'shards', 'workers'] as const)
    checkWhole(name, options[name], 1, Number.MAX_SAFE_INTEGER)
  checkWhole('memory', options.memory, 0, Number.MAX_SAFE_INTEGER)
  const sketch = sketchOf(options.sketch)
  checkWhole('seed', seed, 0, Number.MAX_SAFE_INTEGER)
  const { base, reference, baseHead, tokenizer: chosen } = options
  const objective = await objectiveFor(reference)
  const pair = await openPair(base, reference, { baseHead, tokenizer: chosen, objective })
  const network = networkOf(pair.reference, objective)
  const precondition = preconditionOf(options.precondition, kind, options.strategy, network)
  const notes = [...pair.notes]
  const tokenizer = await openTokenizer(options, network.vocabularySize, notes)
  const window = windowOf(options.window, network.maxPositions)
  const stride = options.stride ?? window
  const lambdas = kind === 'trace' ? [] : gridOf(options)
  const labelMap = typeof options.labelMap === 'string' ? await readLabelMap(options.labelMap) : options.labelMap
  const { path, atBase, behind, close } = openHandles(pair, options, lambdas, kind)
  try {
    const source: FeatureSource = {
      pair,
      network,
      path: path.handle,
      lambdas: behind,
      atBase,
      labels,
      labelMap,
      seed,
      sketch,
      threads: options.threads ?? os.availableParallelism(),
      memory: options.memory ?? 2 ** 31,
      signal,
      onProgress,
    }
    const weights = await weightHashes(pair, { signal })
    const key = digestOf({
      version,
      models: weights,
      generated: pair.generated,
      network,
      classes: pair.reference.architecture.labels,
      tokenizer: tokenizer.sha256,
      kind,
      path: kind === 'trace' ? null : [path.request, atBase],
      labels: kind === 'trace' || objective === 'language' ? null : [labels, labels === 'random' ? seed : 0],
      sketch: kind === 'all' || (kind === 'head' && objective === 'language') ? [sketch, sketch > 0 ? seed : 0] : null,
      windows: [window, stride],
      reading: [
        options.format,
        options.columns,
        options.quotes,
        options.text,
        options.response,
        options.label,
        options.paragraphs,
        labelMap,
      ],
    })
    const folder = featuresFolder(options.output)
    const features = featuresOf(kind, source)
    return {
      source,
      kind,
      features,
      tokenizer,
      lambdas,
      window,
      stride,
      precondition,
      weights,
      key,
      folder,
      notes,
      close,
    }
  } catch (error) {
    close()
    throw error
  }
}

/** SHA-256 of a pair's weight files: the base's, then the reference's. @throws WarpError FILE_… */
export function weightHashes({ base, reference }: ModelPair, { signal }: RunOptions): Promise<string[]> {
  return Promise.all([...base.files, ...reference.files].map(({ path: file }) => fileSha256(file, { signal })))
}

/** @throws WarpError (usage) SKETCH_RANGE */
function sketchOf(asked = 4096): number {
  if (asked === 0 || (Number.isInteger(Math.log2(asked)) && asked >= 4 && asked <= 2 ** 24)) return asked
  throw usageError('SKETCH_RANGE', `a sketch of ${asked} numbers`, { found: asked }, 'a power of two: --sketch 4096')
}

async function openTokenizer(
  { base, reference, tokenizer: chosen }: FeatureOptions,
  vocabularySize: number,
  notes: string[],
): Promise<Tokenizer> {
  const tokenizer = await pairTokenizer(base, reference, notes, chosen)
  if (!tokenizer)
    throw inputError(
      'TOKENIZER_MISSING',
      `${reference}: no tokenizer.json`,
      { file: reference },
      "Put the model's tokenizer.json into its folder.",
    )
  checkVocabulary(tokenizer, vocabularySize)
  return tokenizer
}

function windowOf(asked: number | undefined, maxPositions: number): number {
  const window = asked ?? Math.min(defaultWindow, maxPositions)
  if (window <= maxPositions) return window
  throw usageError(
    'MAX_LENGTH_RANGE',
    `a window of ${window} tokens exceeds the model's ${maxPositions} positions`,
    { found: window, expected: maxPositions },
    `--window ${maxPositions}`,
  )
}

const gridOf = (options: FeatureOptions): number[] =>
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
  options: FeatureOptions,
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
      path: { handle, request },
      atBase,
      behind,
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
