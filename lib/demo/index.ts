import { join } from 'node:path'
import { drawTexts, realisedCounts, sampleMixtures, unevenness } from '../lab/mixtures.js'
import { Random } from '../random.js'
import type { LabelledTexts } from '../train/index.js'
import { demoAssets, demoDomains, demoTexts, type DemoText } from './texts.js'

/** Probes per domain; the smallest domain, the sonnets, has a few more. */
const probesPerDomain = 200
/** No domain of a secret mixture has less; fewer than fifteen texts show in nothing. */
const smallestShare = 0.03
/** Mean distance from equal shares: a guess of a fifth for everything would be as good a recovery below it. */
const leastUnevenness = 0.08

/** A domain's texts of one part, in the order of the split. */
const textsOf = (all: DemoText[], domain: string, wanted: DemoText['part']): string[] =>
  all.filter((text) => text.domain === domain && text.part === wanted).map(({ text }) => text)

/** Real texts of public-domain books that no demo model was trained on: 200 per domain. */
export async function demoProbes(texts?: DemoText[]): Promise<{ text: string; domain: string }[]> {
  const all = texts ?? (await demoTexts())
  return demoDomains.flatMap((domain) =>
    textsOf(all, domain, 'probe')
      .slice(0, probesPerDomain)
      .map((text) => ({ text, domain })),
  )
}

/** What `recover` is not told. */
export interface DemoTruth {
  domains: string[]
  /** training texts per domain over all training texts */
  mixture: number[]
  counts: number[]
}

/**
 * A training set of `count` texts, none of them a probe, whose mixture is drawn from the seed: flat over all mixtures
 * (Dirichlet(1)) that give every domain 3 %, are not close to equal shares and ask for no more texts than there are.
 */
export async function demoSecret(
  seed: number,
  count: number,
  texts?: DemoText[],
): Promise<{ truth: DemoTruth; training: LabelledTexts }> {
  const all = texts ?? (await demoTexts())
  const pools = demoDomains.map((domain) => textsOf(all, domain, 'training'))
  const drawn = sampleMixtures({
    sampler: { dirichlet: 1 },
    domains: pools.length,
    trials: 1000,
    seed,
    name: 'demo/mixture',
  })
  const fits = (shares: number[]): boolean =>
    unevenness(shares) >= leastUnevenness &&
    shares.every((share, d) => share >= smallestShare && share * count <= pools[d].length)
  const counts = realisedCounts(drawn.find(fits)!, count)
  const rows = pools.flatMap((pool, d) => pool.map((text) => ({ text, d })))
  const members = pools.map((_, d) => [...rows.keys()].filter((i) => rows[i].d === d))
  const chosen = Array.from(drawTexts(members, counts, demoDomains, new Random(seed, 'demo/texts')), (i) => rows[i])
  const label = Int32Array.from(chosen, ({ d }) => d)
  return {
    truth: { domains: [...demoDomains], mixture: counts.map((n) => n / count), counts },
    training: {
      texts: chosen.map(({ text }) => text),
      sources: chosen.map((_, i) => `training text ${i + 1}`),
      objective: 'classify',
      label,
      labels: [...demoDomains],
      domain: label,
      domains: [...demoDomains],
    },
  }
}

/** The small pre-trained model that comes with the package: a model directory. */
export const demoBase = (): string => join(demoAssets, 'base')
