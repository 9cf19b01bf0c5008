// Results of every command that writes a page, made up: small, but with everything that a page may hold.
import type { FamilyResult } from '../../lib/family.js'
import { footprintOf, readMixtures } from '../../lib/readouts/index.js'
import { Random } from '../../lib/random.js'
import type { RecoverResult } from '../../lib/report/index.js'
import type { TracePage } from '../../lib/report/trace.js'
import type { TraceResult } from '../../lib/trace/index.js'
import { classifierStatistics } from './synthetic-footprints.js'

const hash = '0123456789abcdef'.repeat(4)

/** A document as `recover` writes it, from synthetic statistics, and of a claim where one is given. */
export async function recovered(
  names: string[],
  change: Partial<RecoverResult> = {},
  claim?: Record<string, number>,
): Promise<RecoverResult> {
  const stats = { ...classifierStatistics(new Random(1, 'report'), names.length, 30), domains: names, classes: names }
  const read = await readMixtures(stats, { seed: 1, bootstrap: 20, claimed: claim })
  const { mean, standardError, loss } = footprintOf(stats)
  const { mixture, interval } = read.mixtures.find(({ readout }) => readout === read.recommended)!
  return {
    schema: 'warp.recover/1',
    tool: {
      name: 'warp-recover',
      version: '1.2.3',
      commit: null,
      addon: 'build/Release/warp.node',
      device: 'cpu',
      deviceReason: 'asked for',
      library: 'builtin',
    },
    command: { base: 'base', reference: 'ref' },
    seed: 1,
    timings: { open: 0.5, score: 2.5 },
    peakMemoryBytes: 300 * 2 ** 20,
    plannedMemoryBytes: 400 * 2 ** 20,
    flops: 1e9,
    inputs: [{ role: 'base', path: 'base', size: 10, sha256: hash }],
    domains: names.map((name) => ({ name, probes: 30, truncated: 1 })),
    path: 'linear',
    lambdas: [...stats.lambdas],
    scope: 'head',
    footprint: { mean, standardError },
    loss,
    mixtures: read.mixtures,
    recommended: { readout: read.recommended, reason: read.reason, mixture, interval },
    ...(read.claimed && { claimed: read.claimed }),
    skipped: read.skipped,
    diagnostics: read.diagnostics,
    notes: [],
    ...change,
  }
}

/** Names as data sets have them: long, with signs, without a space. */
/** Steps of one run. */
export async function family(names: string[], members: string[]): Promise<FamilyResult> {
  const claim = Object.fromEntries(names.map((name) => [name, 1 / names.length]))
  const results = await Promise.all(members.map((reference) => recovered(names, { command: { reference } }, claim)))
  return {
    schema: 'warp.family/1',
    tool: results[0].tool,
    command: { base: 'base', reference: members, probes: ['texts.jsonl'] },
    domains: names,
    members: results.map((result, i) => ({ name: members[i], reference: members[i], result })),
  }
}

export const longNames = (count: number): string[] =>
  Array.from(
    { length: count },
    (_, i) =>
      ['credit_card_declined_and_blocked', 'what_is_your_favourite_restaurant', 'news/world', 'スポーツ', 'Sci/Tech'][
        i % 5
      ] + (i < 5 ? '' : `_${i}`),
  )

export const traceResult = (over: Partial<TraceResult> = {}): TraceResult => ({
  schema: 'warp.trace/1',
  tool: { name: 'warp-recover', version: '0' },
  command: 'trace',
  seed: 0,
  inputs: { base: 'b', reference: 'r<script>', probes: ['pool.jsonl'] },
  verdict: 'exact',
  reason: '3 rows stand clear of the noise of 7',
  decay: -1e-4,
  predictions: null,
  votes: null,
  weightDecaySum: 1e-4,
  trainedTokens: {
    count: 3,
    undecided: 0,
    rows: 10,
    falsePositiveBound: 1e-3,
    expectedMissed: 0,
    noise: 1,
    threshold: 1.2,
  },
  longestText: null,
  layout: { objective: 'language', from: 'class', eos: 'auto', packed: 'auto', schedule: 'constant' },
  grading: null,
  outputRows: { verdict: 'none', reason: 'the output layer is the input table', scores: null },
  lastTokens: { tails: 'still', reason: 'of 5 texts 3 end in an untrained one' },
  positions: null,
  tokenTypes: [],
  specialTokens: [],
  addedTokens: 0,
  frozen: [],
  comparedTensors: 1,
  conditions: ['the model was trained from this base'],
  texts: { a: { pool: 100_000, excluded: 30, excludedShare: 3e-4, likely: 5, inside: 5, outside: 1 } },
  trainingTexts: { estimate: 6, interval: [5, null], inside: 5, insideInterval: [4, 6], outside: 1, level: 0.9 },
  calibration: { sets: 60, strength: 1, expectedError: 0.01 },
  mixtures: [
    {
      readout: 'trace',
      description: '',
      settings: {},
      mixture: { a: 1 },
      interval: { a: [0.9, 1] },
      level: 0.9,
      intervalCovers: 'sampling and method',
      intervalIncludes: 'errors',
      verdict: 'exact',
    },
  ],
  notes: [],
  ...over,
})

/** A trace of texts of these domains, with long lists of everything. */
export function traced(names: string[], over: Partial<TraceResult> = {}): TracePage {
  const long = 'a text without an end '.repeat(12) + 'https://example.org/'.repeat(6)
  const result = traceResult({
    texts: Object.fromEntries(
      names.map((name, i) => [
        name,
        { pool: 123_456 + i, excluded: 30_000, excludedShare: 0.243, likely: 512, inside: 511.7, outside: 12.2 },
      ]),
    ),
    mixtures: [
      {
        ...traceResult().mixtures[0],
        mixture: Object.fromEntries(names.map((name) => [name, 1 / names.length])),
        interval: Object.fromEntries(names.map((name) => [name, [0.5 / names.length, 1.6 / names.length]])),
      },
    ],
    notes: [long],
    ...over,
  })
  return {
    result,
    tokens: Array.from({ length: 300 }, (_, id) => ({
      id,
      token: id === 0 ? 'unimaginativelylongtoken'.repeat(3) : `##token${id}`,
      state: 'trained' as const,
      residual: 1,
      score: 300 - id,
    })),
    members: Array.from({ length: 230 }, (_, i) => ({
      probability: 1 - i / 300,
      domain: names[i % names.length],
      source: `folder/pool-of-texts.jsonl:${i}`,
      row: i,
      text: long,
    })),
    excluded: names.slice(0, 8).map((domain) => ({ domain, source: 'pool.jsonl:7', text: long, tokens: ['end'] })),
    histogram: {
      edges: Array.from({ length: 41 }, (_, i) => i / 8 - 1),
      below: Array.from({ length: 40 }, (_, i) => (i < 12 ? (i % 5) * 700 : 0)),
      above: Array.from({ length: 40 }, (_, i) => (i > 20 ? i * 3 : 0)),
      threshold: 1.1,
    },
    files: [
      {
        role: 'reference',
        path: `models/${'long-name-of-a-model-'.repeat(4)}/model.safetensors`,
        size: 9e9,
        sha256: hash,
      },
    ],
  }
}
