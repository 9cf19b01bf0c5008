import { addon } from '../native/load.js'
import { runTask, type RunOptions } from '../native/task.js'
import type { DeviceRequest, Handle, ModelRequest, ScorePlan, ScoreRequest, ScoreResult } from '../native/types.js'
import type { PackedProbes } from '../text/index.js'

export { modelRequest } from '../models/request.js'

export interface ScoreOptions extends RunOptions {
  scope: 'head' | 'top'
  gradients: boolean
  threads: number
  /** bytes of native working memory */
  memory: number
  /** GPUs instead of the CPU */
  device?: DeviceRequest
}

function request(
  path: Handle,
  model: ModelRequest,
  probes: PackedProbes,
  domains: number,
  options: ScoreOptions,
): ScoreRequest {
  const { ids, typeIds, offsets, label, domain } = probes
  const { scope, gradients, threads, memory, device } = options
  return {
    path,
    model,
    ids,
    typeIds,
    offsets,
    label,
    domain,
    domains,
    scope,
    gradients,
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
  model: ModelRequest,
  probes: PackedProbes,
  domains: number,
  options: ScoreOptions,
): Promise<ScorePlan> {
  return runTask(() => addon().planScore(request(path, model, probes, domains, options)), 'plan', 'tokens', {
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
  model: ModelRequest,
  probes: PackedProbes,
  domains: number,
  options: ScoreOptions,
): Promise<ScoreResult> {
  return runTask(
    (onProgress) => addon().score(request(path, model, probes, domains, options), onProgress),
    'score',
    'tokens',
    options,
  )
}
