import { targetsOf } from '../objectives/language.js'
import { addon } from '../native/load.js'
import { runTask, type RunOptions } from '../native/task.js'
import type { Network } from '../models/network.js'
import type { DeviceRequest, Handle, ScorePlan, ScoreRequest, ScoreResult } from '../native/types.js'
import type { PackedProbes } from '../text/index.js'

export interface ScoreOptions extends RunOptions {
  /** closed forms of the head, or the names of the tensors whose direction scores follow */
  scope: 'head' | 'top' | string[]
  gradients: boolean
  /** of classifiers: give the head's inputs too */
  headInputs?: boolean
  /** of classifiers: the head's inputs as an earlier run gave them */
  features?: Float32Array
  threads: number
  /** bytes of native working memory */
  memory: number
  /** GPUs instead of the CPU */
  device?: DeviceRequest
}

function request(
  path: Handle,
  network: Network,
  probes: PackedProbes,
  domains: number,
  options: ScoreOptions,
): ScoreRequest {
  const { ids, typeIds, offsets, label, domain } = probes
  const language = network.objective === 'language'
  const { scope, gradients, headInputs, features, threads, memory, device } = options
  return {
    path,
    network,
    ids,
    typeIds,
    offsets,
    ...(language ? { targets: targetsOf(probes) } : { label }),
    domain,
    domains,
    scope,
    gradients,
    ...(headInputs && { headInputs }),
    ...(features && { features }),
    threads,
    memory,
    ...(device && { device }),
  }
}

/**
 * What `scoreProbes` would hold and do.
 * @throws WarpError (resource) MEMORY_BUDGET; on GPUs DEVICE_MEMORY_BUDGET, DEVICE_HEAD_SIZE and what keeps one from
 *   being used
 */
export function planProbes(
  path: Handle,
  network: Network,
  probes: PackedProbes,
  domains: number,
  options: ScoreOptions,
): Promise<ScorePlan> {
  return runTask(() => addon().planScore(request(path, network, probes, domains, options)), 'plan', 'tokens', {
    signal: options.signal,
  })
}

/**
 * Forward passes at θ₀, every point of the path and θ*; losses, alignment matrix (WARP section 3.2), gradient
 * statistics. The same bits for any `threads` and any `memory`.
 * @throws WarpError (resource) MEMORY_BUDGET, OUT_OF_MEMORY; (input) DIRECTION_ZERO, LOSS_NOT_FINITE, FILE_SHRANK
 */
export function scoreProbes(
  path: Handle,
  network: Network,
  probes: PackedProbes,
  domains: number,
  options: ScoreOptions,
): Promise<ScoreResult> {
  return runTask(
    (onProgress) => addon().score(request(path, network, probes, domains, options), onProgress),
    'score',
    'tokens',
    options,
  )
}
