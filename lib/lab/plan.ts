import path from 'node:path'
import { z } from 'zod'
import { fileSha256, filesNow, openModel, smallFiles, trustHash } from '../checkpoint/index.js'
import { digestOf, readForm } from '../document.js'
import { inputError, usageError } from '../errors.js'
import type { RunOptions } from '../native/task.js'
import { Random } from '../random.js'
import { readLabelledTexts, textsSha256, type LabelledTexts, type LabelledTextsOptions } from '../train/index.js'
import { drawTexts } from './mixtures.js'
import { stat } from '../stat.js'

const count = z.int().min(0)
const loose = z.record(z.string(), z.unknown())

const amount = z.number().min(0)

const estimateSchema = z.strictObject({
  /** what was timed, on all cores of the machine that planned: seconds a step, and of so many probes along all paths */
  pilot: z.strictObject({
    threads: amount,
    steps: amount,
    secondsPerStep: amount,
    probes: amount,
    openSeconds: amount,
    scoreSeconds: amount,
  }),
  /** seconds of one trial on those cores, of all trials */
  trial: z.strictObject({ steps: amount, trainSeconds: amount, footprintSeconds: amount }),
  seconds: amount,
  /** on disk: what stays of all trials, and what a trial needs while it runs; the largest resident set of the pilot */
  bytes: z.strictObject({ kept: amount, running: amount, memory: amount }),
})

export const planSchema = z.strictObject({
  schema: z.literal('warp.lab.plan/1'),
  base: z.strictObject({
    path: z.string(),
    files: z.array(z.strictObject({ path: z.string(), size: count, mtimeMs: z.number(), sha256: z.string() })),
  }),
  data: z.strictObject({ files: z.array(z.string()), reading: loose, sha256: z.string(), texts: count }),
  labels: z.array(z.string()).min(2),
  domains: z.array(z.string()).min(2),
  /** D, texts of the data */
  counts: z.array(count),
  pool: z.enum(['disjoint', 'shared']),
  replace: z.boolean(),
  /** numbers of the texts that are probes */
  probes: z.array(count),
  recipe: loose,
  paths: z.array(loose).min(1),
  scope: z.string(),
  baseHead: z.union([z.literal('zeros'), z.strictObject({ seed: count }), z.null()]),
  dtype: z.enum(['F64', 'F32', 'F16', 'BF16']),
  keep: z.enum(['footprints', 'weights']),
  sampler: z.union([z.literal('paper'), z.strictObject({ dirichlet: z.number() })]),
  seed: count,
  trials: z
    .array(z.strictObject({ index: count, seed: count, mixture: z.array(z.number()), counts: z.array(count) }))
    .min(1),
  /** SHA-256 of all that is above: what decides the trials */
  digest: z.string(),
  estimate: estimateSchema,
})

/** `plan.json`: everything that decides the trials, so that they can be run anywhere the base and the data are. */
export type LabPlan = z.infer<typeof planSchema>
/** That, before its cost was estimated. */
export type Decided = Omit<LabPlan, 'digest' | 'estimate'>

export const planFile = 'plan.json'
export const probesFile = 'probes.jsonl'
export const trialsFolder = 'trials'

/** Numbers of the texts that a trial is trained on, in the order they were drawn. */
export function trialRows(plan: Decided, all: LabelledTexts, index: number): Int32Array {
  const { counts, seed } = checkIndex(plan, index)
  return drawTexts(
    poolOf(membersOf(all), plan.probes, plan.pool),
    counts,
    plan.domains,
    new Random(seed, 'lab/texts'),
    plan.replace,
  )
}

/** Numbers of each domain's texts. */
export function membersOf({ domain, domains }: LabelledTexts): number[][] {
  const members: number[][] = domains.map(() => [])
  domain.forEach((d, i) => members[d].push(i))
  return members
}

/** Those of them that may be trained on. */
export function poolOf(members: number[][], probes: number[], pool: LabPlan['pool']): number[][] {
  const kept = new Set(probes)
  return pool === 'shared' ? members : members.map((rows) => rows.filter((row) => !kept.has(row)))
}

/** The probes as JSONL with label and domain. */
export function probeLines({ probes, labels, domains }: Decided, all: LabelledTexts): string {
  const line = (row: number): string =>
    JSON.stringify({
      text: all.texts[row],
      ...(all.prompts && { text: all.prompts[row], response: all.texts[row].slice(all.prompts[row].length + 1) }),
      label: labels[all.label[row]],
      domain: domains[all.domain[row]],
    })
  return probes.map((row) => `${line(row)}\n`).join('')
}

/** Reads a lab's plan. @throws WarpError PLAN_MISSING, _UNREADABLE, _NOT_JSON, _VERSION, _FORM, _EDITED */
export async function readPlan(folder: string): Promise<LabPlan> {
  const file = path.join(folder, planFile)
  await stat(file).catch((error: NodeJS.ErrnoException) => {
    throw inputError('PLAN_MISSING', `${file}: cannot be read (${error.code})`, { file }, 'make one with warp lab plan')
  })
  const plan = await readForm(file, {
    prefix: 'PLAN',
    schema: 'warp.lab.plan/1',
    form: planSchema,
    again: 'make it again with warp lab plan',
  })
  const { digest, estimate: _, ...decided } = plan
  if (digestOf(decided) !== digest) {
    throw inputError(
      'PLAN_EDITED',
      `${file}: was changed after it was made`,
      { file },
      'give warp lab plan other options instead',
    )
  }
  return plan
}

/** The data a plan was made from. @throws WarpError DATA_CHANGED */
export async function readPlanData({ data, labels }: LabPlan, control: RunOptions = {}): Promise<LabelledTexts> {
  const all = await readLabelledTexts(data.files, data.reading as LabelledTextsOptions, labels, control)
  const found = await textsSha256(all, control.signal)
  if (found !== data.sha256) {
    throw inputError(
      'DATA_CHANGED',
      `${data.files.join(', ')}: not the texts the plan was made from`,
      { file: data.files[0], expected: data.sha256, found },
      'restore the files, or plan again',
    )
  }
  return all
}

/**
 * Refuses weights, and what says what they mean, that are not those of the plan.
 * @param trust believes a file of the planned size and time, here and wherever else this process needs its hash
 * @throws WarpError BASE_CHANGED
 */
export async function checkBase(
  { base }: LabPlan,
  { trust = false, signal }: RunOptions & { trust?: boolean } = {},
): Promise<void> {
  if (trust) base.files.forEach(trustHash)
  const { files } = await openModel(base.path)
  // plans of earlier versions name the weights alone
  const meaning = base.files.length > files.length ? await filesNow(smallFiles(base.path)) : []
  for (const [i, { path: file }] of [...files, ...meaning].entries()) {
    const expected = base.files[i]?.sha256
    if ((await fileSha256(file, { signal })) === expected) continue
    throw inputError(
      'BASE_CHANGED',
      `${file}: not what the plan was made with`,
      { file, expected: expected ?? null },
      'restore the file, or plan again',
    )
  }
}

export function checkIndex(plan: Decided, index: number): LabPlan['trials'][number] {
  const trial = plan.trials[index]
  if (!trial)
    throw usageError(
      'TRIAL_INDEX',
      `there is no trial ${index}; the plan has ${plan.trials.length}`,
      { found: index, expected: plan.trials.length },
      `an index from 0 to ${plan.trials.length - 1}`,
    )
  return trial
}
