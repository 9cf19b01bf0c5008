import { inputError, checkWhole, usageError, refuseUnused } from '../errors.js'
import type { RunOptions } from '../native/task.js'
import { type Kinds, pathKinds, runKinds } from '../options.js'
import type { PathOptions } from '../paths/options.js'

type Along = Omit<PathOptions, 'points' | 'lambdaMin' | 'lambdaMax' | 'lambdas' | 'beyond' | 'checkpoint' | 'seed'>

export interface GenerateOptions extends Along, RunOptions {
  /** one model alone; else `base` and `reference` */
  model?: string
  base?: string
  reference?: string
  /** the point of the path, default 1, the reference; of a linear path it may lie outside [0, 1] */
  lambda?: number
  /** a > 0: logits z + a(z − z₀), z₀ the base's, among tokens that are not improbable; default 0, z alone */
  contrast?: number
  /** the least probability of those tokens, as a share of the largest one's; default 0.1 */
  contrastFloor?: number
  /** texts, default 100 */
  count?: number
  /** default 64 */
  maxNewTokens?: number
  /** default 1; 0: always the most probable token */
  temperature?: number
  /** only the k most probable tokens */
  topK?: number
  /** only the fewest tokens that have this share of the probability together */
  topP?: number
  /** `begin` (default), `chat` or `words` */
  start?: string
  /** a file of texts to begin with, or the texts themselves; text i begins with number i mod their count */
  prompts?: string | readonly string[]
  /** default 0 */
  seed?: number
  /** default: all the process may use */
  threads?: number
  /** bytes for working buffers, weights included; default 2 GiB */
  memory?: number
}

const { points: _p, lambdaMin: _n, lambdaMax: _x, lambdas: _l, beyond: _b, checkpoint: _c, ...alongKinds } = pathKinds
export const generateKinds: Kinds<GenerateOptions> = {
  ...alongKinds,
  ...runKinds,
  ...{ model: 'text', base: 'text', reference: 'text', lambda: 'number', contrast: 'number', contrastFloor: 'number' },
  ...{ count: 'number', maxNewTokens: 'number', temperature: 'number', topK: 'number', topP: 'number' },
  ...{ start: 'text', prompts: 'prompts', threads: 'number', memory: 'number' },
}

/** The same with every default in its place. */
export interface Sampling {
  lambda: number
  contrast: number
  floor: number
  count: number
  maxNewTokens: number
  temperature: number
  topK: number
  topP: number
  seed: number
}

/** @throws WarpError (usage) GENERATE_MODELS, OPTION_RANGE, OPTION_UNUSED; (input) GENERATE_RANGE */
export function checkGenerateOptions(options: GenerateOptions): Sampling {
  const { model, base, reference, lambda, contrast } = options
  if (model !== undefined ? base !== undefined || reference !== undefined : !base || !reference) {
    throw usageError(
      'GENERATE_MODELS',
      model === undefined ? 'a model is needed, or a base and a reference' : 'model and a pair are both given',
      {},
      '--model DIR, or --base DIR --reference DIR',
    )
  }
  if (model !== undefined && (lambda !== undefined || contrast !== undefined)) {
    throw usageError(
      'GENERATE_MODELS',
      `${lambda === undefined ? 'contrast' : 'lambda'} needs a base and a reference`,
      {},
      '--base DIR --reference DIR',
    )
  }
  checkUsed(options)
  checkWhole('count', options.count, 1, 1e6)
  checkWhole('max-new-tokens', options.maxNewTokens, 1, 1e6)
  checkWhole('top-k', options.topK, 1, 1e9)
  checkWhole('seed', options.seed, 0, Number.MAX_SAFE_INTEGER)
  checkWhole('threads', options.threads, 1, 1024)
  checkWhole('memory', options.memory, 0, Number.MAX_SAFE_INTEGER)
  return {
    lambda: inside('lambda', lambda ?? 1, Number.isFinite, 'any number'),
    contrast: inside('contrast', contrast ?? 0, (a) => a >= 0 && a < Infinity, 'a number from 0 on'),
    floor: inside('contrast-floor', options.contrastFloor ?? 0.1, (f) => f >= 0 && f <= 1, '[0, 1]'),
    count: options.count ?? 100,
    maxNewTokens: options.maxNewTokens ?? 64,
    temperature: inside('temperature', options.temperature ?? 1, (t) => t >= 0 && t < Infinity, 'a number from 0 on'),
    topK: options.topK ?? 0,
    topP: inside('top-p', options.topP ?? 1, (p) => p > 0 && p <= 1, '(0, 1]'),
    seed: options.seed ?? 0,
  }
}

/** What another option makes meaningless. */
function checkUsed({ model, contrast, contrastFloor, temperature, topK, topP, ...options }: GenerateOptions): void {
  if (model !== undefined) {
    const { path, quadraticC, density, epsilon, gamma, rescale, compat, only, except } = options
    refuseUnused({ path, quadraticC, density, epsilon, gamma, rescale, compat, only, except }, 'of one model alone')
  }
  if (!contrast) refuseUnused({ contrastFloor }, 'without a contrast')
  if (temperature === 0) refuseUnused({ topK, topP }, 'at temperature 0: the most probable token is taken')
}

function inside(name: string, value: number, fits: (value: number) => boolean, expected: string): number {
  if (fits(value)) return value
  throw inputError(
    'GENERATE_RANGE',
    `${name} must be ${expected}, not ${value}`,
    { found: value, expected },
    'Leave it out for the default.',
  )
}
