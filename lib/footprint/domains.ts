import { headTensors, requiredTensors } from '../models/facts.js'
import { addon } from '../native/load.js'
import { WarpError } from '../errors.js'
import { callNative, runTask } from '../native/task.js'
import type { DomainGradients, DomainGradientsRequest, DomainMoments, DomainPlan } from '../native/types.js'
import { targetsOf } from '../objectives/language.js'
import type { BlockStatistics } from '../readouts/types.js'
import type { Session } from './session.js'

/** Coordinates that are looked at, of all scopes together; more gives the same answers (method, section 9). */
const mostCoordinates = 2_400_000
/** Blocks of a domain's probes; fewer where a domain has too few. */
const mostBlocks = 4
/** Texts of a training step, when unknown. */
const stepTexts = 16

/** The layer-resolved footprint of one run: products with the displacement by group of tensors. */
export interface DepthFootprint {
  lambda: number
  /** groups of tensors in order: layers from 0, the head */
  groups: { name: string; displacementNorm2: number; products: Record<string, number> }[]
}

export interface DomainStatistics {
  blocks: BlockStatistics[]
  depth: DepthFootprint
}

/** Whether mean gradients by reverse mode are due: closed forms do not cover the scope. */
export const needsDomainGradients = ({ network, scope }: Session): boolean =>
  network.objective === 'language' || Array.isArray(scope.request)

/**
 * Mean gradients of the domains in the session's scope, at the first point of the path: products between blocks of
 * probes, plain and in the metric of Adam, whose preconditioner is that of equal shares. Later points, and shares in a
 * fixed point with the preconditioner, erred more (benchmarks/results/language.md).
 * @throws WarpError MEMORY_BUDGET, LOSS_NOT_FINITE, the signal's reason
 */
export async function domainStatistics(session: Session): Promise<DomainStatistics | undefined> {
  const { probes, network, scope, score, path } = session
  const D = probes.domains.length
  const request = requestOf(session, (why) =>
    session.notes.push(`gradients of domains: on ${addon().cpuName()}, not the GPU: ${why}`),
  )
  noteLeftOut(session)
  if (!request) {
    session.notes.push(
      Math.min(...probes.counts) < 2
        ? 'no gradients of domains: a domain has fewer than two probes'
        : `no gradients of domains: scope ${scope.name} has no tensor of a layer or of a classifier's head`,
    )
    return undefined
  }
  const { blocks: B, point } = request
  const of = sizeOf(session, request.scope)
  const block = request.block.map((b) => b % B)
  const run = { signal: score.signal, onProgress: score.onProgress }
  const found = await runTask<DomainGradients>(
    (report) => addon().domainGradients(request, report),
    'gradients',
    'texts',
    run,
  )
  try {
    const shared = { lambda: path.lambdas[point], blocks: B, block, coordinates: found.coordinates, of }
    const plain = await momentsOf(found, new Float64Array(0), 0, score.threads, score.signal)
    const adam = await momentsOf(found, new Float64Array(D).fill(1 / D), 1, score.threads, score.signal)
    const sum = (moments: DomainMoments, kind: BlockStatistics['kind']): BlockStatistics => {
      const all = total(moments, found.groups, D * B)
      return { scope: scope.name, kind, ...shared, ...all, noise: noiseShare(all.gram, D, B) }
    }
    return {
      blocks: [sum(plain, 'plain'), sum(adam, 'adam')],
      depth: depthOf(plain, probes.domains, B, shared.lambda, network.layers.length),
    }
  } finally {
    found.handle.close()
  }
}

/** What the gradients would hold; nothing where there are none. */
export function plannedDomainBytes(session: Session): DomainPlan {
  const request = needsDomainGradients(session) ? requestOf(session) : undefined
  return request ? callNative(() => addon().planDomainGradients(request)) : { bytes: 0, deviceBytes: 0 }
}

/**
 * undefined where a domain has too few probes, or the scope no tensor that reverse mode looks at. Where `auto` took a
 * GPU that they do not fit, it is one for the CPU, and `instead` is told why.
 */
function requestOf(session: Session, instead?: (why: string) => void): DomainGradientsRequest | undefined {
  const request = requestFor(session)
  const { device } = session.score
  if (!request || !device) return request
  const onGpu = { ...request, device }
  if (session.device.reason === 'asked for') return onGpu
  try {
    callNative(() => addon().planDomainGradients(onGpu))
    return onGpu
  } catch (error) {
    if (!(error instanceof WarpError) || error.kind !== 'resource') throw error
    instead?.(error.message)
    return request
  }
}

function requestFor(session: Session): DomainGradientsRequest | undefined {
  const { probes, network, score, path, seed, packed } = session
  const D = probes.domains.length
  const B = Math.min(mostBlocks, ...probes.counts)
  const scope = session.scope.tensors.filter((name) => !leftOut(session).has(name))
  if (B < 2 || scope.length === 0) return undefined
  const { ids, typeIds, offsets, label } = packed
  return {
    path: session.pathHandle,
    network,
    ids,
    typeIds,
    offsets,
    ...(network.objective === 'language' ? { targets: targetsOf(packed) } : { label }),
    block: blocksOf(probes.domain, D, B).map((b, i) => probes.domain[i] * B + b),
    domains: D,
    blocks: B,
    point: path.lambdas.indexOf(Math.min(...path.lambdas)),
    scope,
    rate: Math.min(1, mostCoordinates / sizeOf(session, scope)),
    seed,
    threads: score.threads,
    memory: score.memory,
  }
}

/** Tensors that reverse mode does not look at: tables, and a language model's output layer. */
function leftOut({ network }: Session): Set<string> {
  const output = network.objective === 'language' ? headTensors(network).last : []
  const tables = requiredTensors(network).filter(({ group }) => group === 'embedding')
  return new Set([...output, ...tables.map(({ name }) => name)])
}

function noteLeftOut(session: Session): void {
  const out = leftOut(session)
  const left = session.scope.tensors.filter((name) => out.has(name))
  if (left.length > 0)
    session.notes.push(`gradients of domains leave out the tables and the output layer: ${left.join(', ')}`)
}

function sizeOf(session: Session, names: readonly string[]): number {
  const wanted = new Set(names)
  return requiredTensors(session.network)
    .filter(({ name }) => wanted.has(name))
    .reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0)
}

/** Probes of a domain take turns. */
function blocksOf(domain: Int32Array, D: number, B: number): Uint32Array {
  const next = new Uint32Array(D)
  return Uint32Array.from(domain, (d) => next[d]++ % B)
}

/** Products of the blocks' gradients times u^-power, and of those with the displacement. */
function momentsOf(
  { handle }: DomainGradients,
  shares: Float64Array,
  power: 0 | 1,
  threads: number,
  signal?: AbortSignal,
): Promise<DomainMoments> {
  const metric = { shares, batch: stepTexts, gramPower: 2 * power, displacementPower: power, threads }
  return runTask((report) => addon().domainMoments(handle, metric, report), 'gradients', 'texts', { signal })
}

/** Sums over the groups. */
function total(
  moments: DomainMoments,
  groups: number,
  n: number,
): Pick<BlockStatistics, 'gram' | 'displacement' | 'norm2'> {
  const gram = new Float64Array(n * n)
  const displacement = new Float64Array(n)
  let norm2 = 0
  for (let g = 0; g < groups; g++) {
    for (let i = 0; i < n * n; i++) gram[i] += moments.gram[g * n * n + i]
    for (let i = 0; i < n; i++) displacement[i] += moments.displacement[g * n + i]
    norm2 += moments.norm2[g]
  }
  return { gram, displacement, norm2 }
}

/** 1 − ⟨Ḡ_d, Ḡ_d⟩ between blocks / within all pairs, mean over domains. */
function noiseShare(gram: Float64Array, D: number, B: number): number {
  const n = D * B
  let share = 0
  for (let d = 0; d < D; d++) {
    let all = 0
    let between = 0
    for (let a = 0; a < B; a++)
      for (let b = 0; b < B; b++) {
        const product = gram[(d * B + a) * n + d * B + b]
        all += product / (B * B)
        if (a !== b) between += product / (B * (B - 1))
      }
    share += all > 0 ? Math.min(1, Math.max(0, 1 - between / all)) / D : 0
  }
  return share
}

function depthOf(moments: DomainMoments, domains: string[], B: number, lambda: number, layers: number): DepthFootprint {
  const n = domains.length * B
  const groups = Array.from(moments.norm2, (displacementNorm2, g) => {
    const product = (d: number): number => {
      let sum = 0
      for (let a = 0; a < B; a++) sum -= moments.displacement[g * n + d * B + a] / B
      return displacementNorm2 > 0 ? sum / Math.sqrt(displacementNorm2) : 0
    }
    return {
      name: g === layers ? 'head' : `layer ${g}`,
      displacementNorm2,
      products: Object.fromEntries(domains.map((name, d) => [name, product(d)])),
    }
  })
  return { lambda, groups: groups.filter(({ displacementNorm2 }) => displacementNorm2 > 0) }
}
