import { z } from 'zod'
import { WarpError } from '../errors.js'
import { recover } from '../recover.js'
import { Random } from '../random.js'
import { cluster, directions, principal, type Clusters } from './cluster.js'
import { activationsOf } from './compare.js'
import { domainLines, domainPage, domainTables } from './domains-report.js'
import { NotApplicable, type DiffPair, type Part, type PartOptions } from './part.js'
import { characteristic } from './characteristic.js'
import { madeTexts, type TextsResult } from './texts.js'

const count = z.int().min(0)
const share = z.number().min(0).max(1)
const interval = z.tuple([share, share])

export const domainsSchema = z.object({
  /** texts that were clustered, and how */
  texts: count,
  layer: count,
  /** Schwarz's criterion of 1, 2 … clusters, the least being the best; null where one came out too small */
  criterion: z.array(z.number().nullable()),
  domains: z.array(
    z.object({
      /** its most characteristic words; a draft, to be renamed */
      name: z.string(),
      texts: count,
      words: z.array(z.string()),
      /** at most five that differ, nearest to the centre first */
      nearest: z.array(z.string()),
      /** of the made texts */
      byCount: share,
      byCountInterval: interval,
      /** by gradient matching with the made texts as probes; null where it was not done */
      byGradient: share.nullable(),
      byGradientInterval: interval.nullable(),
    }),
  ),
  /** how the gradients were matched, or why they were not */
  gradients: z.string(),
  /** name of each made text's domain, in the order of `texts.texts` */
  of: z.array(z.string()),
})
export type DomainsResult = z.infer<typeof domainsSchema>

const mostDomains = 8
/** Texts of a domain at least: fewer have no mean gradient worth the name. */
const leastTexts = 8
/** Directions in which the texts differ most: clusters of more are no purer. */
const telling = 8
const resamples = 1000

/** Kinds of text that the reference writes, and their shares in what it was trained on. */
export const domains: Part<DomainsResult> = {
  name: 'domains',
  about: 'kinds of text among those that the reference writes, and the shares that the weights give them',
  schema: domainsSchema,
  run,
  lines: domainLines,
  page: domainPage,
  tables: domainTables,
}

async function run(pair: DiffPair, options: PartOptions, notes: string[]): Promise<DomainsResult> {
  const { texts } = await madeTexts(pair, options, notes)
  const filled = [...texts.keys()].filter((i) => /\p{L}/u.test(texts[i].text))
  if (filled.length < 2 * leastTexts) {
    throw new NotApplicable('DIFF_FEW_TEXTS', `${filled.length} texts are too few to be told apart`)
  }
  const own = filled.map((i) => texts[i].text)
  const { means, layer, kept } = await activationsOf(pair, options, own)
  const differing = directions(means, kept.length)
  const { seed, signal } = options
  const points = await principal(differing, kept.length, { rank: telling, seed, signal })
  const found = await cluster(points, kept.length, { seed, most: mostDomains, least: leastTexts, signal })
  const members = Array.from({ length: found.k }, (_, c) => [...kept.keys()].filter((i) => found.of[i] === c))
  const words = characteristic(members.map((list) => list.map((i) => own[kept[i]])))
  const names = nameAll(words)
  const of = namesOf(texts, filled, kept, found, names)
  const counted = countShares(found, options)
  const matched = await match(pair, options, texts, of, names)
  return {
    texts: kept.length,
    layer,
    criterion: found.criterion.map((value) => (Number.isNaN(value) ? null : value)),
    domains: names.map((name, c) => ({
      name,
      texts: members[c].length,
      words: words[c],
      nearest: nearest(members[c], found, kept, own),
      byCount: members[c].length / kept.length,
      byCountInterval: counted[c],
      byGradient: matched.mixture?.[name] ?? null,
      byGradientInterval: matched.interval?.[name] ?? null,
    })),
    gradients: matched.how,
    of,
  }
}

/** The five texts nearest to the centre, no two of them alike. */
function nearest(members: readonly number[], { cosine }: Clusters, kept: readonly number[], own: string[]): string[] {
  const sorted = [...members].sort((a, b) => cosine[b] - cosine[a] || a - b)
  return [...new Set(sorted.map((i) => own[kept[i]].trim()))].slice(0, 5)
}

/** A text without words goes to the largest domain. */
function namesOf(
  texts: TextsResult['texts'],
  filled: readonly number[],
  kept: readonly number[],
  { of }: Clusters,
  names: readonly string[],
): string[] {
  const all = texts.map(() => names[0])
  kept.forEach((i, at) => (all[filled[i]] = names[of[at]]))
  return all
}

/** The first words of each that no other domain is named by. */
function nameAll(words: readonly string[][]): string[] {
  const taken = new Set<string>()
  return words.map((own, c) => {
    const name = own.slice(0, 3).join('-') || `domain-${c + 1}`
    const unique = taken.has(name) ? `${name}-${c + 1}` : name
    taken.add(unique)
    return unique
  })
}

/** 95 % of the resampled texts' shares. */
function countShares({ of, k }: Clusters, { seed }: PartOptions): [number, number][] {
  const random = new Random(seed, 'diff/count')
  const shares = Array.from({ length: k }, () => new Float64Array(resamples))
  for (let r = 0; r < resamples; r++) {
    for (let i = 0; i < of.length; i++) shares[of[random.below(of.length)]][r] += 1 / of.length
  }
  return shares.map((all) => {
    const sorted = all.sort()
    return [sorted[Math.floor(0.025 * resamples)], Math.min(1, sorted[Math.ceil(0.975 * resamples) - 1])]
  })
}

interface Matched {
  how: string
  mixture?: Record<string, number>
  interval?: Record<string, [number, number]>
}

/** The shares with which the domains' gradients add up to the change of the layers. */
async function match(
  { base, reference }: DiffPair,
  { seed, threads, memory, signal, onProgress }: PartOptions,
  texts: TextsResult['texts'],
  of: readonly string[],
  names: readonly string[],
): Promise<Matched> {
  if (names.length < 2) return { how: 'not matched: the texts are of one kind' }
  const probes = texts.map(({ text }, i) => ({ text, domain: of[i] })).filter(({ text }) => /\p{L}/u.test(text))
  try {
    const { result } = await recover({
      ...{ base: base.dir, reference: reference.dir, probes, seed, threads, signal, onProgress },
      ...{ scope: 'upper', lambdas: [0.05], memory: Math.max(memory, 2 ** 31) },
    })
    const found = result.mixtures.find(({ readout }) => readout === 'gradient-matching[upper,adam]')
    if (!found) return { how: 'not matched: the domains have too few texts' }
    const { mixture, readout, intervalIncludes } = found
    return {
      how: `${readout} at λ = 0.05; its interval includes ${intervalIncludes}`,
      mixture,
      interval: found.interval,
    }
  } catch (error) {
    if (!(error instanceof WarpError) || error.kind !== 'input') throw error
    return { how: `not matched: ${error.message}` }
  }
}
