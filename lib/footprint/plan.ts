import type { DomainPlan } from '../native/types.js'
import { plannedDomainBytes } from './domains.js'
import { measureRate } from './rate.js'
import type { Session } from './session.js'

/** What a run of `recover` or `footprint` would do: the answer of `--dry-run`. */
export interface FootprintPlan {
  schema: 'warp.plan/1'
  domains: { name: string; probes: number; truncated: number }[]
  probes: number
  tokens: number
  points: number
  lambdas: number[]
  chunks: number
  flops: number
  /** by the multiplication rate measured just now; null on a GPU, where none is measured */
  estimatedSeconds: number | null
  /** of one GPU; 0 on the CPU */
  deviceMemoryBytes: number
  /** of native working buffers */
  workingMemoryBytes: number
  smallestMemoryBytes: number
  /** of the whole process */
  peakMemoryBytes: number
  device: string
  notes: string[]
}

// What the process grows by beside the planned buffers: code, V8's heap while results are made, allocator slack.
const overheadBytes = 96 * 2 ** 20

/** Of the whole process, working buffers and domains' gradients included. */
export function plannedBytes(session: Session, domainBytes = plannedDomainBytes(session).bytes): number {
  // of a process that has held more before, the peak stays that
  return Math.max(
    process.resourceUsage().maxRSS * 1024,
    process.memoryUsage.rss() + Math.max(session.plan.peakBytes, domainBytes) + overheadBytes,
  )
}

/**
 * The plan of a session that is open: everything was checked and tokenized, nothing is scored.
 * @param domains what gradients of domains will hold
 */
export function planOf(session: Session, domains: DomainPlan = plannedDomainBytes(session)): FootprintPlan {
  const { plan, path, probes } = session
  return {
    schema: 'warp.plan/1',
    domains: domainsOf(session),
    probes: probes.texts.length,
    tokens: plan.tokens,
    points: path.lambdas.length,
    lambdas: path.lambdas,
    chunks: plan.chunks,
    flops: plan.flops,
    estimatedSeconds: session.score.device ? null : plan.flops / measureRate(session.score.threads),
    deviceMemoryBytes: Math.max(plan.deviceBytes, domains.deviceBytes),
    workingMemoryBytes: plan.peakBytes,
    smallestMemoryBytes: plan.smallestBytes,
    peakMemoryBytes: plannedBytes(session, domains.bytes),
    device: session.device.name,
    notes: session.notes,
  }
}

export function domainsOf({ probes, packed }: Session): { name: string; probes: number; truncated: number }[] {
  return probes.domains.map((name, d) => ({ name, probes: probes.counts[d], truncated: packed.truncated[d] }))
}
