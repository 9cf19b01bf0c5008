import { createHash } from 'node:crypto'
import { mkdir, readFile } from 'node:fs/promises'
import path from 'node:path'
import { z } from 'zod'
import { fileSha256, openModel, trustHash, writeFileAtomic, type BaseHead, type ModelDirectory, type WeightDtype } from '../checkpoint/index.js'
import { inputError, usageError } from '../errors.js'
import type { RunOptions } from '../native/task.js'
import { parsePathOptions, type PathOptions } from '../paths/options.js'
import { Random } from '../random.js'
import { describe } from '../text/place.js'
import { readJsonFile } from '../text/json-file.js'
import { parseRecipe, readLabelledTexts, textsSha256, type LabelledTexts, type LabelledTextsOptions, type RecipeOptions } from '../train/index.js'
import { checkPool, realisedCounts, sampleMixtures, type Sampler } from './mixtures.js'

/** Options of `planLab`: the command line's, in camelCase. */
export interface LabPlanOptions extends RunOptions, Omit<LabelledTextsOptions, 'seed'> {
  base: string
  data: string[]
  /** the lab's folder */
  output: string
  /** fine-tuned models; default 16 */
  trials?: number
  /** that each is trained on; default 800 */
  texts?: number
  /** default `paper` */
  sampler?: Sampler
  /** of each domain, kept out of training unless `pool` is shared; default 60 */
  probesPerDomain?: number
  /** default `disjoint`: no probe is trained on */
  pool?: 'disjoint' | 'shared'
  /** a text may be drawn more than once */
  replace?: boolean
  recipe?: RecipeOptions
  /** footprints along these; default one, linear, 5 points */
  paths?: PathOptions[]
  /** of the alignment matrix */
  scope?: 'head' | 'top'
  /** the base's head in footprints, where it has none; default zeros */
  baseHead?: BaseHead
  /** of the trained weights; default F16 */
  dtype?: WeightDtype
  /** what stays of a trial; default `footprints` */
  keep?: 'footprints' | 'weights'
  seed?: number
  force?: boolean
}

const count = z.int().min(0)
const loose = z.record(z.string(), z.unknown())

const planSchema = z.strictObject({
  schema: z.literal('warp.lab.plan/1'),
  base: z.strictObject({ path: z.string(), files: z.array(z.strictObject({ path: z.string(), size: count, mtimeMs: z.number(), sha256: z.string() })) }),
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
  scope: z.enum(['head', 'top']),
  baseHead: z.union([z.literal('zeros'), z.strictObject({ seed: count }), z.null()]),
  dtype: z.enum(['F64', 'F32', 'F16', 'BF16']),
  keep: z.enum(['footprints', 'weights']),
  sampler: z.union([z.literal('paper'), z.strictObject({ dirichlet: z.number() })]),
  seed: count,
  trials: z.array(z.strictObject({ index: count, seed: count, mixture: z.array(z.number()), counts: z.array(count) })).min(1),
  /** SHA-256 of all the rest */
  digest: z.string(),
})

/** `plan.json`: everything that decides the trials, so that they can be run anywhere the base and the data are. */
export type LabPlan = z.infer<typeof planSchema>

export const planFile = 'plan.json'
export const probesFile = 'probes.jsonl'
export const trialsFolder = 'trials'

/**
 * Samples mixtures and texts and writes `plan.json` into the lab's folder. Same options, same plan.
 * @throws WarpError of models, texts, recipes and paths; MIXTURE_POOL_SMALL, PROBES_TOO_MANY, OUTPUT_EXISTS
 */
export async function planLab(options: LabPlanOptions): Promise<LabPlan> {
  const { base: dir, data, output, trials = 16, texts: size = 800, sampler = 'paper', pool = 'disjoint', replace = false, seed = 0 } = options
  const { scope = 'head', dtype = 'F16', keep = 'footprints', probesPerDomain = 60, paths = [{ points: 5 }], signal, onProgress, force } = options
  const base = await openModel(dir)
  const recipe = parseRecipe(options.recipe ?? {})
  for (const family of paths) if (family.path !== 'trajectory') parsePathOptions(family) // its checkpoints are yet to be made
  const reading = readingOf(options)
  const all = await readLabelledTexts(data, reading, base.architecture.labels, { signal, onProgress })
  const { labels, domains } = all
  const members = membersOf(all)
  const probes = members.flatMap((rows, d) => {
    if (rows.length < probesPerDomain + 1) {
      throw inputError('PROBES_TOO_MANY', `${probesPerDomain} probes of "${domains[d]}" are asked for; there are ${rows.length} texts`,
        { domain: domains[d], expected: probesPerDomain, found: rows.length }, '--probes-per-domain with a smaller number')
    }
    return [...new Random(seed, 'lab/probes', d).permutation(rows.length).subarray(0, probesPerDomain)].map((i) => rows[i])
  }).sort((a, b) => a - b)
  const room = poolOf(members, probes, pool).map((rows) => rows.length)
  const mixtures = sampleMixtures({ sampler, domains: domains.length, trials, seed })
  const seeds = new Random(seed, 'lab/trials')
  const planned = mixtures.map((mixture, index) => {
    const counts = realisedCounts(mixture, size)
    checkPool(counts, room, domains, replace)
    return { index, seed: seeds.uint32(), mixture: [...mixture], counts }
  })
  const needsHead = !base.hasHead || base.architecture.labels.join('\n') !== labels.join('\n')
  const plan = withDigest({
    schema: 'warp.lab.plan/1',
    base: { path: path.resolve(dir), files: await baseFiles(base, { signal }) },
    data: { files: data.map((file) => path.resolve(file)), reading: { ...reading }, sha256: textsSha256(all), texts: all.texts.length },
    labels, domains, counts: members.map((rows) => rows.length), pool, replace, probes, recipe: { ...recipe }, paths: paths.map((p) => ({ ...p })), scope,
    baseHead: needsHead ? options.baseHead ?? 'zeros' : null, dtype, keep, sampler, seed, trials: planned,
  })
  await mkdir(output, { recursive: true })
  await writeFileAtomic(path.join(output, planFile), `${JSON.stringify(plan, null, 1)}\n`, { force })
  await writeFileAtomic(path.join(output, probesFile), probeLines(plan, all), { force: true })
  return plan
}

function readingOf({ format, columns, text, label, domain, labelMap, labels, limit, perDomain, dropUnlabeled, seed }: LabPlanOptions): LabelledTextsOptions {
  const given = { format, columns, text, label, domain, labelMap, labels, limit, perDomain, dropUnlabeled, seed }
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined))
}

const digestOf = (plan: Omit<LabPlan, 'digest'>): string => createHash('sha256').update(JSON.stringify(plan)).digest('hex')
const withDigest = (plan: Omit<LabPlan, 'digest'>): LabPlan => {
  const plain = JSON.parse(JSON.stringify(plan)) as Omit<LabPlan, 'digest'>
  return { ...plain, digest: digestOf(plain) }
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
export function probeLines({ probes, labels, domains }: LabPlan, all: LabelledTexts): string {
  return probes.map((row) => `${JSON.stringify({ text: all.texts[row], label: labels[all.label[row]], domain: domains[all.domain[row]] })}\n`).join('')
}

/** Reads a lab's plan. @throws WarpError PLAN_MISSING, PLAN_VERSION, PLAN_FORM, PLAN_EDITED */
export async function readPlan(folder: string): Promise<LabPlan> {
  const file = path.join(folder, planFile)
  await readFile(file).catch((error: NodeJS.ErrnoException) => {
    throw inputError('PLAN_MISSING', `${file}: cannot be read (${error.code})`, { file }, 'make one with warp lab plan')
  })
  const value = await readJsonFile(file, 'PLAN', 'make it again with warp lab plan')
  const found = (value as { schema?: unknown } | null)?.schema
  if (found !== 'warp.lab.plan/1') {
    throw inputError('PLAN_VERSION', `${file}: the schema is ${describe(found)}, not "warp.lab.plan/1"`, { file, expected: 'warp.lab.plan/1', found: describe(found) },
      'plan and run a lab with one version of warp')
  }
  const parsed = planSchema.safeParse(value)
  if (!parsed.success) {
    const [issue] = parsed.error.issues
    throw inputError('PLAN_FORM', `${file}: ${issue.path.join('.')}: ${issue.message}`, { file }, 'make it again with warp lab plan')
  }
  const { digest, ...rest } = value as LabPlan
  if (digestOf(rest) !== digest) {
    throw inputError('PLAN_EDITED', `${file}: was changed after it was made`, { file }, 'give warp lab plan other options instead')
  }
  return value as LabPlan
}

/** The data a plan was made from. @throws WarpError DATA_CHANGED */
export async function readPlanData({ data, labels }: LabPlan, control: RunOptions = {}): Promise<LabelledTexts> {
  const all = await readLabelledTexts(data.files, data.reading as LabelledTextsOptions, labels, control)
  const found = textsSha256(all)
  if (found !== data.sha256) {
    throw inputError('DATA_CHANGED', `${data.files.join(', ')}: not the texts the plan was made from`, { file: data.files[0], expected: data.sha256, found },
      'restore the files, or plan again')
  }
  return all
}

async function baseFiles({ files }: Pick<ModelDirectory, 'files'>, { signal }: RunOptions): Promise<LabPlan['base']['files']> {
  return Promise.all(files.map(async ({ path: file, size, mtimeMs }) => ({ path: path.resolve(file), size, mtimeMs, sha256: await fileSha256(file, { signal }) })))
}

/**
 * Refuses weights that are not those of the plan.
 * @param trust believes a file of the planned size and time, here and wherever else this process needs its hash
 * @throws WarpError BASE_CHANGED
 */
export async function checkBase({ base }: LabPlan, { trust = false, signal }: RunOptions & { trust?: boolean } = {}): Promise<void> {
  if (trust) base.files.forEach(trustHash)
  const { files } = await openModel(base.path)
  for (const [i, { path: file }] of files.entries()) {
    const expected = base.files[i]?.sha256
    if (await fileSha256(file, { signal }) === expected) continue
    throw inputError('BASE_CHANGED', `${file}: not the weights the plan was made with`, { file, expected: expected ?? null }, 'restore the file, or plan again')
  }
}

export function checkIndex(plan: LabPlan, index: number): LabPlan['trials'][number] {
  const trial = plan.trials[index]
  if (!trial) throw usageError('TRIAL_INDEX', `there is no trial ${index}; the plan has ${plan.trials.length}`, { found: index, expected: plan.trials.length },
    `an index from 0 to ${plan.trials.length - 1}`)
  return trial
}
