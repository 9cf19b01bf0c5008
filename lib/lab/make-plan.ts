import { readdir } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import {
  fileSha256,
  filesNow,
  openModel,
  smallFiles,
  writeFileAtomic,
  type BaseHead,
  type ModelDirectory,
  type WeightDtype,
} from '../checkpoint/index.js'
import { refuseInputs, withClaim, type ClaimOptions } from '../claim.js'
import { digestOf } from '../document.js'
import { inputError, usageError } from '../errors.js'
import { defaultScope } from '../footprint/index.js'
import { localFolder, localModels } from '../hub/index.js'
import type { RunOptions } from '../native/task.js'
import { objectiveFor } from '../objectives/index.js'
import { checkOptions, type Kinds, runKinds, textKinds } from '../options.js'
import { parsePathOptions, type PathOptions } from '../paths/options.js'
import { Random } from '../random.js'
import { checkDomains, mostCompared } from '../readouts/limits.js'
import { readJsonFile } from '../text/json-file.js'
import {
  needsHead,
  parseRecipe,
  readingOf,
  readLabelledTexts,
  textsSha256,
  type LabelledTexts,
  type LabelledTextsOptions,
  type RecipeOptions,
} from '../train/index.js'
import { checkPool, realisedCounts, sampleMixtures, type Sampler } from './mixtures.js'
import { estimate, removePilots } from './estimate.js'
import {
  membersOf,
  planFile,
  poolOf,
  probeLines,
  probesFile,
  trialRows,
  trialsFolder,
  type Decided,
  type LabPlan,
} from './plan.js'

/** Options of `planLab`: the command line's, in camelCase. */
export interface LabPlanOptions extends ClaimOptions, Omit<LabelledTextsOptions, 'seed'> {
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
  scope?: string
  /** the base's head in footprints, where it has none; default zeros */
  baseHead?: BaseHead
  /** of the trained weights; default F16 */
  dtype?: WeightDtype
  /** what stays of a trial; default `footprints` */
  keep?: 'footprints' | 'weights'
  seed?: number
  force?: boolean
  /** plans, but writes nothing */
  dryRun?: boolean
}

const kinds: Kinds<LabPlanOptions> = {
  ...{ ...runKinds, ...textKinds, base: 'text', data: 'texts', output: 'text', trials: 'number', texts: 'number' },
  ...{
    labels: 'texts',
    labelMap: 'labelMap',
    objective: 'text',
    sampler: 'any',
    probesPerDomain: 'number',
    pool: 'text',
  },
  ...{ replace: 'flag', recipe: 'object', paths: 'object', scope: 'text', baseHead: 'baseHead', dtype: 'text' },
  ...{ keep: 'text', seed: 'number', force: 'flag', wait: 'flag', dryRun: 'flag' },
}

/**
 * Samples mixtures and texts, times a few steps and probes, and writes `plan.json` into the lab's folder. Same options,
 * same plan, but for the estimate.
 * @throws WarpError of models, texts, recipes and paths; MIXTURE_POOL_SMALL, PROBES_TOO_MANY, OUTPUT_EXISTS,
 *   PLAN_HAS_TRIALS, TRAINING_DIVERGED
 */
export async function planLab(options: LabPlanOptions): Promise<LabPlan> {
  checkOptions('planLab', options, kinds, ['base', 'data', 'output'])
  const { output, base, data, force, signal, onProgress } = options
  const files = [planFile, probesFile]
  await refuseInputs([output, ...files.map((name) => path.join(output, name))], [base, ...data])
  const { decided, all } = await decide(options)
  const digest = digestOf(decided)
  const costed = async (folder: string): Promise<LabPlan> => ({
    ...decided,
    digest,
    estimate: await estimate(decided, all, trialRows(decided, all, 0), folder, { signal, onProgress }),
  })
  if (options.dryRun) return costed(os.tmpdir())
  return withClaim(output, { ...options, writes: files }, async () => {
    await checkFolder(output, digest, force)
    await removePilots(output)
    const plan = await costed(output)
    await writeFileAtomic(path.join(output, planFile), `${JSON.stringify(plan, null, 1)}\n`, { force })
    await writeFileAtomic(path.join(output, probesFile), probeLines(plan, all), { force: true })
    return plan
  })
}

/** Everything but the estimate, and the texts. */
async function decide(options: LabPlanOptions): Promise<{ decided: Decided; all: LabelledTexts }> {
  const {
    base: dir,
    data: given,
    trials = 16,
    texts: size = 800,
    sampler = 'paper',
    pool = 'disjoint',
    replace = false,
    seed = 0,
  } = options
  const {
    scope,
    dtype = 'F16',
    keep = 'footprints',
    probesPerDomain = 60,
    paths = [{ points: 5 }],
    signal,
    onProgress,
  } = options
  const { base: found } = await localModels({ base: dir, signal, onProgress })
  const objective = await objectiveFor(found, options.objective)
  const language = objective === 'language'
  const base = await openModel(found, { objective })
  const recipe = parseRecipe(options.recipe ?? {})
  // a trajectory's checkpoints are yet to be made
  for (const family of paths) if (family.path !== 'trajectory') parsePathOptions(family)
  const reading = readingOf({ ...options, objective: language ? objective : undefined })
  const data = await Promise.all(given.map(async (name) => (await localFolder(name, 'dataset', { signal })).dir))
  const all = await readLabelledTexts(data, reading, language ? [] : base.architecture.labels, { signal, onProgress })
  const { labels, domains } = all
  checkDomains(domains, mostCompared) // what the lab is for is how readouts compare them
  const members = membersOf(all)
  const probes = drawProbes(members, domains, probesPerDomain, seed)
  const room = poolOf(members, probes, pool).map((rows) => rows.length)
  const mixtures = sampleMixtures({ sampler, domains: domains.length, trials, seed })
  const seeds = new Random(seed, 'lab/trials')
  const planned = mixtures.map((mixture, index) => {
    const counts = realisedCounts(mixture, size)
    checkPool(counts, room, domains, replace)
    return { index, seed: seeds.uint32(), mixture: [...mixture], counts }
  })
  const decided: Decided = JSON.parse(
    JSON.stringify({
      schema: 'warp.lab.plan/1',
      base: { path: path.resolve(base.dir), files: await baseFiles(base, { signal }) },
      data: {
        files: data.map((file) => path.resolve(file)),
        reading,
        sha256: await textsSha256(all, signal),
        texts: all.texts.length,
      },
      labels,
      domains,
      counts: members.map((rows) => rows.length),
      pool,
      replace,
      probes,
      recipe,
      paths,
      scope: scope ?? defaultScope(language ? 'language' : 'classify'),
      baseHead: !language && needsHead(base, labels) ? (options.baseHead ?? 'zeros') : null,
      dtype,
      keep,
      sampler,
      seed,
      trials: planned,
    }),
  )
  return { decided, all }
}

/** Rows of `count` texts of each domain, in order. @throws PROBES_TOO_MANY where none would be left */
function drawProbes(
  members: readonly (readonly number[])[],
  domains: readonly string[],
  count: number,
  seed: number,
): number[] {
  return members
    .flatMap((rows, d) => {
      if (rows.length < count + 1) {
        throw inputError(
          'PROBES_TOO_MANY',
          `${count} probes of "${domains[d]}" are asked for; there are ${rows.length} texts`,
          { domain: domains[d], expected: count, found: rows.length },
          '--probes-per-domain with a smaller number',
        )
      }
      return [...new Random(seed, 'lab/probes', d).permutation(rows.length).subarray(0, count)].map((i) => rows[i])
    })
    .sort((a, b) => a - b)
}

/** @throws OUTPUT_EXISTS, PLAN_HAS_TRIALS */
async function checkFolder(output: string, digest: string, force = false): Promise<void> {
  const file = path.join(output, planFile)
  const names = await readdir(output).catch((): string[] => [])
  if (!names.includes(planFile)) return
  if (!force)
    throw usageError(
      'OUTPUT_EXISTS',
      `${file}: is there already`,
      { file },
      'Give another folder, or --force to replace it.',
    )
  const trials = await readdir(path.join(output, trialsFolder)).catch(() => [])
  if (trials.length === 0) return
  const there = await readJsonFile(file, 'PLAN', '').catch(() => undefined)
  if ((Object(there) as Partial<LabPlan>).digest === digest) return
  throw inputError(
    'PLAN_HAS_TRIALS',
    `${output}: has trials of another plan`,
    { file: output, found: trials.length },
    'give another folder, or remove its trials',
  )
}

/** Weights, and the small files that say what they mean. */
async function baseFiles(
  { dir, files }: Pick<ModelDirectory, 'dir' | 'files'>,
  { signal }: RunOptions,
): Promise<LabPlan['base']['files']> {
  return Promise.all(
    [...files, ...(await filesNow(smallFiles(dir)))].map(async (file) => ({
      path: path.resolve(file.path),
      size: file.size,
      mtimeMs: file.mtimeMs,
      sha256: await fileSha256(file.path, { signal, expected: file }),
    })),
  )
}
