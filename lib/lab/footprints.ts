import { readdir } from 'node:fs/promises'
import path from 'node:path'
import {
  domainStatistics,
  needsDomainGradients,
  openSession,
  plannedDomainBytes,
  scoreProbes,
  scoreSession,
  Shared,
  statisticsOf,
  type FootprintOptions,
  type Session,
} from '../footprint/index.js'
import type { RunOptions } from '../native/task.js'
import { openPairPath } from '../paths/index.js'
import { packProbes } from '../text/index.js'
import { parseRecipe, type LabelledTexts } from '../train/index.js'
import { asProbes } from '../train/texts.js'
import { poolScoresOf, type PoolLosses } from './membership.js'
import type { LabPlan } from './plan.js'
import type { TrialFootprint } from './trial-record.js'

export interface FootprintsOptions extends RunOptions {
  /** the fine-tuned model's directory */
  reference: string
  /** a file */
  probes: string
  /** trained on and not among the probes */
  trained: LabelledTexts
  threads?: number
  /** bytes of native working memory */
  memory?: number
}

export interface Footprints {
  footprints: TrialFootprint[]
  /** losses of the probes and of all texts trained on */
  pool: PoolLosses
  /** that the forward passes took */
  scoreSeconds: number
}

type Planned = Pick<LabPlan, 'paths' | 'base' | 'baseHead' | 'data' | 'scope' | 'recipe'>

/** The footprints of a fine-tuned model along every path of a plan, and the pool that membership is inferred over. */
export async function footprintsOf(plan: Planned, options: FootprintsOptions): Promise<Footprints> {
  const footprints: TrialFootprint[] = []
  let pool: PoolLosses | undefined
  let scoreSeconds = 0
  const timed = async <T>(work: Promise<T>): Promise<T> => {
    const start = performance.now()
    const result = await work
    scoreSeconds += (performance.now() - start) / 1000
    return result
  }
  const shared = new Shared() // texts are read and tokenized once for all paths
  for (const family of plan.paths) {
    const session = await openSession(await sessionOptions(plan, family, options), true, shared)
    try {
      plannedDomainBytes(session) // what does not fit is refused before any scoring
      const scores = await timed(scoreSession(session))
      const domains = needsDomainGradients(session) ? await timed(domainStatistics(session)) : undefined
      const statistics = { ...statisticsOf(session, scores), blocks: domains?.blocks }
      footprints.push({ statistics, scope: plan.scope })
      pool ??= await timed(withTrained(poolScoresOf(statistics), options.trained, session))
    } finally {
      session.close()
    }
  }
  return { footprints, pool: pool!, scoreSeconds }
}

async function sessionOptions(
  plan: Planned,
  { points, ...family }: Planned['paths'][number],
  options: FootprintsOptions,
): Promise<FootprintOptions> {
  const { reference, probes, threads, memory, signal, onProgress } = options
  const real = family.path === 'trajectory'
  return {
    ...family,
    ...(real ? { checkpoint: await checkpointsOf(reference) } : { points: points as number | undefined }),
    base: plan.base.path,
    reference,
    probes: [probes],
    baseHead: plan.baseHead ?? undefined,
    ...(plan.data.reading.response !== undefined && { response: 'response' }),
    scope: plan.scope,
    device: 'cpu',
    maxLength: parseRecipe(plan.recipe).maxLength,
    threads,
    memory,
    signal,
    onProgress,
  }
}

/** The checkpoints a training left behind, in order. */
async function checkpointsOf(model: string): Promise<string[]> {
  const steps = (await readdir(model))
    .map((name) => Number(/^checkpoint-(\d+)$/.exec(name)?.[1]))
    .filter((step) => step > 0)
  return steps.sort((a, b) => a - b).map((step) => path.join(model, `checkpoint-${step}`))
}

/** The pool with the texts trained on: their losses at the two ends come with a path of one point. */
async function withTrained(pool: PoolLosses, trained: LabelledTexts, session: Session): Promise<PoolLosses> {
  if (trained.texts.length === 0) return pool
  const { pair, tokenizer, network, maxLength, score } = session
  const { texts, domain } = trained
  const packed = await packProbes(
    asProbes(trained),
    tokenizer,
    { maxLength, truncate: true, vocabularySize: network.vocabularySize },
    score,
  )
  const ends = await openPairPath(pair, { path: 'linear', points: 1, forward: true })
  try {
    // all as one domain: some may have no text
    const { loss } = await scoreProbes(ends.handle, network, { ...packed, domain: domain.map(() => 0) }, 1, {
      ...score,
      scope: network.objective === 'language' ? score.scope : 'head',
      gradients: false,
    })
    const at = (point: number): number[] => texts.map((_, i) => loss[3 * i + point])
    return {
      domain: [...Array.from(pool.domain), ...domain],
      base: [...Array.from(pool.base), ...at(0)],
      reference: [...Array.from(pool.reference), ...at(2)],
    }
  } finally {
    ends.close()
  }
}
