// Results of commands that make models or choose documents: merge, train, select, lab run, demo; completions.
import { z } from 'zod'
import type { DemoOutcome } from '../demo/demo.js'
import type { LabRunPlan, LabRunResult } from '../lab/run-lab.js'
import { mergeDtypes, type MergePlan, type MergeResult } from '../merge/index.js'
import { resultSchema } from '../report/schema.js'
import type { EvaluateResult } from '../select/evaluate.js'
import { partForm, type PartResult } from '../select/parts.js'
import type { SelectPlan } from '../select/plan.js'
import { featureKinds, labelModes, strategies, type SelectResult } from '../select/types.js'
import type { TrainingResult, TrainPlan } from '../train/index.js'
import { count, fraction, hashed, loose, numbers, seconds, texts, trainingTexts } from './forms.js'

export const merge = z.object({
  schema: z.literal('warp.merge/1'),
  tool: z.object({ name: z.string(), version: z.string() }),
  inputs: z.array(hashed.extend({ role: z.enum(['base', 'reference', 'checkpoint']) })),
  path: loose<MergeResult['path']>(),
  baseHead: z.union([z.literal('zeros'), z.object({ seed: count })]).optional(),
  dtype: z.enum(mergeDtypes),
  tensors: z.array(loose<MergeResult['tensors'][number]>()),
  carried: z.array(z.object({ name: z.string(), sha256: z.string() })),
  notes: texts,
  output: z.string(),
  points: z.array(z.object({ lambda: z.number(), dir: z.string() })),
  bytes: count,
  resumed: count,
}) satisfies z.ZodType<MergeResult>

export const mergePlan = z.object({
  schema: z.literal('warp.merge.plan/1'),
  lambdas: numbers,
  tensors: count,
  fixed: count,
  filesPerPoint: count,
  bytesPerPoint: count,
  bytes: count,
  freeBytes: count,
  notes: texts,
}) satisfies z.ZodType<MergePlan>

const trained = z.object({ tensors: count, parameters: count, of: count })

export const train = z.object({
  schema: z.literal('warp.train/1'),
  base: z.object({
    architecture: z.string(),
    files: z.array(z.object({ name: z.string(), sha256: z.string() })),
    newHead: z.boolean(),
  }),
  data: z.object({
    texts: count,
    sha256: z.string(),
    labels: texts,
    counts: z.array(count),
    tokens: count,
    truncated: count,
  }),
  recipe: loose<TrainingResult['recipe']>(),
  trained,
  steps: count,
  loss: numbers,
  norm: numbers,
  checkpoints: z.array(count),
  notes: texts,
  output: z.string(),
  seconds: z.number(),
  resumedAt: count,
}) satisfies z.ZodType<TrainingResult>

export const trainPlan = z.object({
  schema: z.literal('warp.train.plan/1'),
  labels: texts,
  counts: z.array(count),
  texts: count,
  tokens: count,
  truncated: count,
  steps: count,
  resumesAt: count,
  trained,
  flops: z.number(),
  estimatedSeconds: z.number(),
  workingMemoryBytes: count,
  peakMemoryBytes: count,
  diskBytes: count,
  notes: texts,
}) satisfies z.ZodType<TrainPlan>

export const select = z.object({
  schema: z.literal('warp.select/1'),
  base: z.string(),
  reference: z.string(),
  weights: texts,
  corpus: texts,
  features: z.enum(featureKinds),
  strategy: z.enum(strategies),
  precondition: fraction,
  labels: z.enum(labelModes),
  lambdas: numbers,
  window: count,
  stride: count,
  seed: count,
  documents: count,
  windows: count,
  split: count,
  truncated: count,
  repeated: count,
  filtered: count,
  selected: count,
  counts: z.record(z.string(), count),
  featureBytes: z.object({ perWindow: z.number(), total: z.number() }),
  reused: count,
  sketch: z.object({ size: count, error: z.number().nullable() }).nullable(),
  cosine: z.number().nullable(),
  timings: seconds,
  notes: texts,
}) satisfies z.ZodType<SelectResult>

export const selectPlan = z.object({
  schema: z.literal('warp.select.plan/1'),
  features: z.enum(featureKinds),
  precondition: fraction,
  documents: count,
  split: count,
  truncated: count,
  windows: count,
  tokens: count,
  shards: count,
  reused: count,
  tried: count,
  estimatedSeconds: z.number(),
  diskBytes: count,
  freeBytes: count,
  memoryBudgetBytes: count,
  peakMemoryBytes: count,
  notes: texts,
}) satisfies z.ZodType<SelectPlan>

export const selectPart = partForm.extend({
  own: count,
  reused: count,
  seconds: z.number(),
}) satisfies z.ZodType<PartResult>

export const evaluate = z.object({
  schema: z.literal('warp.select.evaluate/1'),
  selection: z.string(),
  measure: z.enum(['accuracy', 'perplexity']),
  labels: z.enum(['hard', 'soft']),
  testTexts: count,
  seeds: count,
  recipe: loose<EvaluateResult['recipe']>(),
  rows: z.array(
    z.object({
      name: z.enum(['selected', 'random', 'true', 'reference']),
      texts: count,
      value: z.number(),
      sd: z.number().nullable(),
      values: numbers,
      agreement: fraction.nullable(),
      divergence: z.number().nullable(),
      displacement: z.object({ cosine: z.number(), relativeNorm: z.number() }).nullable(),
      overlap: z.object({ exact: fraction, vocabulary: fraction, containment: fraction }).nullable(),
    }),
  ),
}) satisfies z.ZodType<EvaluateResult>

export const labRun = z.object({
  schema: z.literal('warp.lab.run/1'),
  lab: z.string(),
  trials: count,
  earlier: count,
  done: count,
  failed: z.array(z.object({ index: count, code: z.string(), message: z.string() })),
  seconds: z.number(),
}) satisfies z.ZodType<LabRunResult>

export const labRunPlan = z.object({
  schema: z.literal('warp.lab.run-plan/1'),
  lab: z.string(),
  executor: z.string(),
  threads: count,
  earlier: z.array(count),
  tasks: z.array(count),
  seconds: z.number(),
}) satisfies z.ZodType<LabRunPlan>

export const completions = z.object({ schema: z.literal('warp.completions/1'), shell: z.string(), script: z.string() })

/** What the demo knew and `recover` was not told, beside what it recovered. */
export const demo = z.object({
  schema: z.literal('warp.demo/1'),
  folder: z.string(),
  seed: count,
  models: z.object({ base: z.string(), reference: z.string(), baseHead: z.literal('zeros') }),
  training: z.object({ steps: count, seconds: z.number(), loss: z.number() }),
  truth: z.object({ domains: texts, mixture: z.array(fraction), counts: z.array(count) }),
  errors: z.record(z.string(), fraction),
  trace: z.object({
    candidates: count,
    trainingTexts,
    found: count,
    mixture: z.record(z.string(), fraction),
    error: fraction,
  }),
  result: resultSchema,
}) satisfies z.ZodType<Omit<DemoOutcome, 'recovered'>>
