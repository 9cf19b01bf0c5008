// Results of commands that read models: trace, footprint, recover --dry-run, predict, generate, inspect, doctor.
import { z } from 'zod'
import type { Inspection } from '../checkpoint/index.js'
import type { DiffPlan } from '../diff/index.js'
import type { Doctor } from '../doctor.js'
import type { FamilyPlan, FamilyResult } from '../family.js'
import type { FootprintPlan, FootprintResult } from '../footprint/index.js'
import type { GeneratePlan, GenerateResult } from '../generate/index.js'
import type { TracePlan } from '../plan-trace.js'
import { madeText } from '../generate/schema.js'
import { resultSchema } from '../report/schema.js'
import type { PredictResult } from '../predict.js'
import { statistics, type TraceResult } from '../trace/index.js'
import { count, domains, fraction, hashed, loose, mixture, numbers, seconds, texts, trainingTexts } from './forms.js'

export const trace = z.object({
  schema: z.literal('warp.trace/1'),
  tool: z.object({ name: z.literal('warp-recover'), version: z.string() }),
  command: z.literal('trace'),
  seed: count,
  inputs: z.object({ base: z.string(), reference: z.string(), probes: texts }),
  verdict: z.enum(['exact', 'noisy', 'graded', 'none']),
  reason: z.string(),
  decay: z.number().nullable(),
  weightDecaySum: z.number().nullable(),
  trainedTokens: z.object({
    count,
    undecided: count,
    rows: count,
    falsePositiveBound: z.number(),
    expectedMissed: z.number(),
    noise: z.number(),
    threshold: z.number(),
  }),
  longestText: count.nullable(),
  layout: z.object({
    objective: z.enum(['classify', 'language', 'masked']),
    from: z.enum(['option', 'class', 'family', 'default']),
    eos: z.enum(['appended', 'none', 'auto']),
    schedule: z.enum(['constant', 'linear', 'cosine']),
    packed: z.union([count, z.enum(['none', 'auto'])]),
  }),
  grading: loose<NonNullable<TraceResult['grading']>>().nullable(),
  outputRows: z.object({
    verdict: z.enum(['graded', 'none']),
    reason: z.string(),
    scores: loose<NonNullable<TraceResult['outputRows']['scores']>>().nullable(),
  }),
  lastTokens: z.object({ tails: z.enum(['moved', 'still', 'unknown']), reason: z.string() }).nullable(),
  positions: z.object({ trained: count, rows: count, residual: numbers }).nullable(),
  tokenTypes: z.array(z.boolean()),
  specialTokens: z.array(z.object({ id: count, token: z.string(), trained: z.boolean().nullable() })),
  addedTokens: count,
  frozen: texts,
  comparedTensors: count,
  conditions: texts,
  texts: z
    .record(
      z.string(),
      z.object({
        pool: count,
        excluded: count,
        excludedShare: fraction,
        likely: count,
        inside: z.number(),
        outside: z.number(),
      }),
    )
    .nullable(),
  trainingTexts: trainingTexts.nullable(),
  calibration: z.object({ sets: count, strength: z.number(), expectedError: z.number() }).nullable(),
  predictions: z
    .object({
      texts: count,
      tokens: count,
      unpredicted: count,
      truncated: count,
      alone: z
        .object({ share: fraction, gain: z.number(), needed: z.number(), falsePositiveRate: fraction })
        .nullable(),
      expected: z.number(),
      likely: count,
      statistics: z.array(
        z.object({ name: z.enum(statistics), members: z.number(), others: z.number(), deviation: z.number() }),
      ),
      converged: z.boolean(),
    })
    .nullable(),
  votes: z
    .object({
      verdict: z.enum(['counted', 'none']),
      reason: z.string(),
      counts: loose<NonNullable<NonNullable<TraceResult['votes']>['counts']>>().nullable(),
    })
    .nullable(),
  mixtures: z.array(mixture),
  notes: texts,
}) satisfies z.ZodType<TraceResult>

/** Without the alignment matrix, which is a file of its own. */
export const footprint = z.object({
  schema: z.literal('warp.footprint/1'),
  domains,
  lambdas: numbers,
  scope: z.string(),
  footprint: z.object({
    mean: z.array(numbers),
    standardError: z.array(z.array(z.number().nullable())),
    loss: z.array(numbers),
  }),
  seed: count,
  device: z.string(),
  inputs: z.array(hashed),
  timings: seconds,
  notes: texts,
}) satisfies z.ZodType<Omit<FootprintResult, 'alignment'>>

/** Of `recover` and `footprint`. */
export const footprintPlan = z.object({
  schema: z.literal('warp.plan/1'),
  domains,
  probes: count,
  tokens: count,
  points: count,
  lambdas: numbers,
  chunks: count,
  flops: z.number(),
  estimatedSeconds: z.number().nullable(),
  deviceMemoryBytes: count,
  workingMemoryBytes: count,
  smallestMemoryBytes: count,
  peakMemoryBytes: count,
  device: z.string(),
  notes: texts,
}) satisfies z.ZodType<FootprintPlan>

export const family = z.object({
  schema: z.literal('warp.family/1'),
  tool: resultSchema.shape.tool,
  command: z.record(z.string(), z.unknown()),
  domains: texts,
  members: z.array(z.object({ name: z.string(), reference: z.string(), result: resultSchema })),
}) satisfies z.ZodType<FamilyResult>

export const familyPlan = z.object({
  schema: z.literal('warp.family.plan/1'),
  members: z.array(z.object({ name: z.string(), plan: footprintPlan })),
}) satisfies z.ZodType<FamilyPlan>

export const diffPlan = z.object({
  schema: z.literal('warp.diff.plan/1'),
  parts: z.array(z.object({ part: z.string(), about: z.string() })),
  tensors: count,
  elements: count,
  bytes: z.number(),
  tried: count,
  weightsSeconds: z.number().nullable(),
  texts: z.object({ count, maxNewTokens: count }).nullable(),
  memoryBudgetBytes: count,
  peakMemoryBytes: count,
  notes: texts,
}) satisfies z.ZodType<DiffPlan>

export const tracePlan = z.object({
  schema: z.literal('warp.trace.plan/1'),
  table: z.object({ name: z.string(), rows: count, columns: count }),
  tensors: count,
  elements: count,
  bytes: z.number(),
  tried: count,
  weightsSeconds: z.number(),
  texts: z
    .object({
      count,
      domains: z.record(z.string(), count),
      tried: count,
      tokenizeSeconds: z.number(),
      sets: count,
    })
    .nullable(),
  peakMemoryBytes: count,
  notes: texts,
}) satisfies z.ZodType<TracePlan>

export const predict = z.object({
  schema: z.literal('warp.predict/1'),
  model: z.string(),
  objective: z.enum(['classify', 'language']),
  texts: count,
  tokens: count,
  truncated: count,
  judged: count,
  accuracy: fraction.nullable(),
  loss: z.number().nullable(),
  perplexity: z.number().nullable(),
  labels: z.array(
    z.object({
      label: z.string(),
      texts: count,
      predicted: count,
      correct: count,
      recall: fraction.nullable(),
      precision: fraction.nullable(),
    }),
  ),
  notes: texts,
}) satisfies z.ZodType<PredictResult>

export const generate = z.object({
  schema: z.literal('warp.generate/1'),
  /** the file of texts, where one was asked for */
  output: z.string().optional(),
  texts: z.array(
    z.object({
      ...madeText,
      trained: z.boolean().nullable(),
      untrained: texts,
      trainedScore: z.number().nullable(),
    }),
  ),
  notes: texts,
}) satisfies z.ZodType<GenerateResult>

export const generatePlan = z.object({
  schema: z.literal('warp.generate.plan/1'),
  count,
  starts: count,
  maxNewTokens: count,
  atOnce: count,
  peakBytes: count,
  smallestBytes: count,
  notes: texts,
}) satisfies z.ZodType<GeneratePlan>

export const inspection = z.object({
  schema: z.literal('warp.inspect/1'),
  dir: z.string(),
  usable: z.enum(['forward', 'weights', 'adapter', 'no']),
  verdicts: z.object({ recover: z.string(), trace: z.string(), merge: z.string() }),
  adapter: z.object({ base: z.string(), ranks: numbers, differences: count, saved: texts }).nullable(),
  architectureName: z.string(),
  architecture: loose<NonNullable<Inspection['architecture']>>().nullable(),
  files: z.array(z.object({ path: z.string(), size: count, mtimeMs: z.number(), identity: z.string().optional() })),
  parameters: count,
  dtypes: z.record(z.string(), count),
  tensors: z.array(
    z.object({ name: z.string(), storedName: z.string(), dtype: z.string(), shape: z.array(count), file: z.string() }),
  ),
  head: z.object({ present: z.boolean(), labels: texts }),
  objective: z.enum(['classify', 'language']).nullable(),
  tie: z.object({ name: z.string(), to: z.string() }).nullable(),
  tokenizer: texts,
  unexpected: texts,
  ignored: texts,
  notes: texts,
  problems: z.array(z.object({ code: z.string(), message: z.string(), hint: z.string() })),
}) satisfies z.ZodType<Inspection>

export const doctor = z.object({
  schema: z.literal('warp.doctor/1'),
  version: z.string(),
  node: z.string(),
  platform: z.string(),
  processors: z.object({ count, model: z.string() }),
  memoryBytes: count,
  cpu: z.string(),
  cuda: z.object({
    compiled: z.boolean(),
    available: z.boolean(),
    devices: count,
    driver: count,
    runtime: count,
    error: z.string(),
    archs: z.string(),
    name: z.string(),
  }),
  cublas: z.object({ found: z.boolean(), path: z.string(), error: z.string(), version: count }).nullable(),
  auto: z.object({ device: z.enum(['cpu', 'cuda']), reason: z.string() }),
}) satisfies z.ZodType<Doctor>
