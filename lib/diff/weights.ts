import { z } from 'zod'
import { inputError } from '../errors.js'
import { addon } from '../native/load.js'
import { runTask } from '../native/task.js'
import { judgeTable } from '../trace/table.js'
import { byDepth } from './groups.js'
import { NotApplicable, type DiffPair, type Part, type PartOptions } from './part.js'
import { cosine, measure, relativeSize, roundingShare, spectral, type Measured } from './tensors.js'
import { findUnexplained, grownRows } from './unexplained.js'
import { decayed, judge, verdicts, type Unshared } from './verdict.js'
import { weightLines, weightPage, weightTables } from './weights-report.js'

const share = z.number().min(0).max(1)
const count = z.int().min(0)

const figures = {
  elements: count,
  /** ‖reference − base‖ / ‖base‖; null where the base is zero */
  relative: z.number().nullable(),
  /** elements that differ; by more than rounding to the coarser of the two types */
  changed: share,
  moved: share,
  /** of the squared difference, what rounding accounts for at most; null where there is none */
  rounding: share.nullable(),
}

const tensorSchema = z.object({
  name: z.string(),
  group: z.string(),
  shape: z.array(count),
  base: z.string(),
  reference: z.string(),
  ...figures,
  cosine: z.number().nullable(),
  /** α, where the tensor is (1 + α) times the base's up to rounding */
  scale: z.number().nullable(),
  /** where the spectrum of the difference ends; null where it does not, or was not looked at */
  rank: count.nullable(),
  /** (Σσ²)² / Σσ⁴; where the spectrum goes on behind the values, at least this */
  effectiveRank: z.number().nullable(),
  /** largest first, at most 64 */
  singularValues: z.array(z.number()),
  /** the largest singular value that rounding to `noiseOf` and the computation itself can give */
  noise: z.number().nullable(),
  noiseOf: z.string().nullable(),
  /** relative change of a value in the last pass of the computation */
  change: z.number().nullable(),
})

export const weightsSchema = z.object({
  verdict: z.enum(verdicts),
  summary: z.string(),
  evidence: z.array(z.string()),
  unexplained: z.array(z.object({ kind: z.string(), tensor: z.string(), text: z.string(), rows: z.array(count) })),
  /** of the rows of the input embedding table that had no gradient: (1 + decay) times the base's */
  decay: z
    .object({
      tensor: z.string(),
      verdict: z.enum(['exact', 'noisy', 'none']),
      reason: z.string(),
      decay: z.number().nullable(),
      trained: count,
      rows: count,
    })
    .nullable(),
  groups: z.array(z.object({ group: z.string(), tensors: count, ...figures })),
  tensors: z.array(tensorSchema),
  onlyBase: z.array(z.string()),
  onlyReference: z.array(z.string()),
  reshaped: z.array(z.object({ name: z.string(), base: z.array(count), reference: z.array(count) })),
})
export type WeightsResult = z.infer<typeof weightsSchema>

/** Which weights moved, how, and what training that speaks for; for any pair that has tensors in common. */
export const weights: Part<WeightsResult> = {
  name: 'weights',
  about: 'which weights moved, how far, of what rank, and what training that speaks for',
  schema: weightsSchema,
  run: runWeights,
  lines: weightLines,
  page: weightPage,
  tables: weightTables,
}

async function runWeights(pair: DiffPair, options: PartOptions, notes: string[]): Promise<WeightsResult> {
  const unshared = compareNames(pair)
  const sums = await runTask(
    (report) => addon().compareTensors(pair.handles.base, pair.handles.reference, options.threads, report),
    'weights',
    'elements',
    options,
  )
  const { base, reference } = pair
  const tensors = sums
    .map((one) => measure(one, base.tensors.get(one.name)!, reference.tensors.get(one.name)!, reference.inputEmbedding))
    .sort((a, b) => byDepth(a.place, b.place) || (a.name < b.name ? -1 : 1))
  refuseNonFinite(tensors, pair)
  const decay = await decayOf(tensors, pair, options)
  const findings = await findUnexplained(tensors, pair, options)
  const table = tensors.find(({ name }) => name === decay?.tensor)
  const grown = table && grownRows(table.name, decay!.decay, Math.min(table.bits.base, table.bits.reference))
  if (grown) findings.push(grown)
  if (options.singularValues > 0) await addSpectra(tensors, pair, options, notes)
  const judged = judge({ tensors, unshared, findings, spectra: options.singularValues > 0 })
  return {
    ...judged,
    unexplained: findings,
    decay,
    groups: groupsOf(tensors),
    tensors: tensors.map(describe),
    ...unshared,
  }
}

/** @throws NotApplicable where no tensor of one name has one shape */
function compareNames({ base, reference }: DiffPair): Unshared {
  const a = base.tensors
  const b = reference.tensors
  const unshared: Unshared = {
    onlyBase: [...a.keys()].filter((name) => !b.has(name)),
    onlyReference: [...b.keys()].filter((name) => !a.has(name)),
    reshaped: [],
  }
  for (const [name, { shape }] of b) {
    const other = a.get(name)?.shape
    if (other && other.join() !== shape.join()) unshared.reshaped.push({ name, base: other, reference: shape })
  }
  if (b.size > unshared.onlyReference.length + unshared.reshaped.length) return unshared
  const [example] = unshared.reshaped
  const differ = example
    ? `${example.name} is [${example.base}] and [${example.reference}]`
    : `the base has ${few(a)}, the reference ${few(b)}`
  throw new NotApplicable(
    'DIFF_NOTHING_SHARED',
    `of ${a.size} and ${b.size} tensors none has the same name and shape in both: ${differ}`,
  )
}

const few = (names: ReadonlyMap<string, unknown>): string => [...names.keys()].slice(0, 3).join(', ')

function refuseNonFinite(tensors: Measured[], { base, reference }: DiffPair): void {
  const bad = tensors.find(({ sums }) => !Number.isFinite(sums.base2) || !Number.isFinite(sums.delta2))
  if (!bad) return
  const side = Number.isFinite(bad.sums.base2) ? 'reference' : 'base'
  const { dir } = side === 'base' ? base : reference
  throw inputError(
    'NOT_FINITE',
    `${dir}: ${bad.name} holds a NaN, an infinity, or values too large for float32`,
    { file: dir, tensor: bad.name, side },
    'The checkpoint is damaged, or the training diverged; use an earlier one.',
  )
}

/** The decay of the token rows that had no gradient, where most rows agree on one. */
async function decayOf(
  tensors: readonly Measured[],
  pair: DiffPair,
  options: PartOptions,
): Promise<WeightsResult['decay']> {
  const table = tensors.find(({ name }) => name === pair.reference.inputEmbedding)
  if (table?.shape.length !== 2 || table.sums.changed === 0) return null
  const [rows, columns] = table.shape
  const { signal, threads } = options
  const found = await judgeTable(
    { ...pair.handles, name: table.name, rows, columns, dtypes: table.dtypes },
    { signal, threads },
  )
  const { verdict, reason, counts } = found
  const decay = verdict === 'none' ? null : found.decay
  return { tensor: table.name, verdict, reason, decay, trained: counts.trained, rows }
}

/** Singular values of every matrix that moved. */
async function addSpectra(
  tensors: readonly Measured[],
  { handles }: DiffPair,
  options: PartOptions,
  notes: string[],
): Promise<void> {
  const { signal, onProgress, singularValues: values, seed, memory, threads } = options
  const matrices = tensors.filter(
    (tensor) => tensor.moved > 0 && !decayed(tensor) && tensor.shape.length === 2 && Math.min(...tensor.shape) > 1,
  )
  const deeper = tensors.filter(({ moved, shape }) => moved > 0 && shape.length > 2)
  if (deeper.length > 0) {
    notes.push(`singular values are of matrices: ${deeper.length} tensors of more dimensions were left out`)
  }
  const total = matrices.reduce((sum, { elements }) => sum + elements, 0)
  let done = 0
  for (const tensor of matrices) {
    const request = { name: tensor.name, values, seed, memory, threads }
    const found = await runTask(
      () => addon().singularValues(handles.base, handles.reference, request),
      'singular values',
      'elements',
      { signal },
    )
    tensor.spectrum = spectral(tensor, found, values)
    done += tensor.elements
    onProgress?.({ phase: 'singular values', done, total, unit: 'elements' })
  }
  const loose = matrices.filter(({ spectrum }) => spectrum!.rank === null && spectrum!.change > 1e-4)
  if (loose.length > 0) {
    notes.push(`singular values of ${loose.length} tensors still moved by more than 1e-4 when the passes ended`)
  }
}

function groupsOf(tensors: readonly Measured[]): WeightsResult['groups'] {
  const groups = new Map<string, Measured[]>()
  for (const tensor of tensors) {
    const { group } = tensor.place
    groups.set(group, [...(groups.get(group) ?? []), tensor])
  }
  return [...groups].map(([group, members]) => {
    const sum = (value: (tensor: Measured) => number): number =>
      members.reduce((total, tensor) => total + value(tensor), 0)
    const elements = sum((tensor) => tensor.elements)
    const base2 = sum(({ sums }) => sums.base2)
    const delta2 = sum(({ sums }) => sums.delta2)
    return {
      group,
      tensors: members.length,
      elements,
      relative: base2 > 0 ? Math.sqrt(delta2 / base2) : delta2 > 0 ? null : 0,
      changed: elements > 0 ? sum(({ sums }) => sums.changed) / elements : 0,
      moved: elements > 0 ? sum(({ moved }) => moved) / elements : 0,
      rounding:
        delta2 > 0 ? Math.min(1, sum((tensor) => (roundingShare(tensor) ?? 0) * tensor.sums.delta2) / delta2) : null,
    }
  })
}

function describe(tensor: Measured): WeightsResult['tensors'][number] {
  const { name, place, shape, elements, dtypes, sums, scale, spectrum } = tensor
  return {
    name,
    group: place.group,
    shape,
    base: dtypes.base,
    reference: dtypes.reference,
    elements,
    relative: relativeSize(tensor),
    changed: elements > 0 ? sums.changed / elements : 0,
    moved: elements > 0 ? tensor.moved / elements : 0,
    rounding: roundingShare(tensor),
    cosine: cosine(tensor),
    scale,
    rank: spectrum?.rank ?? null,
    effectiveRank: spectrum?.effectiveRank ?? null,
    singularValues: spectrum?.values ?? [],
    noise: spectrum?.floor ?? null,
    noiseOf: spectrum?.dtype ?? null,
    change: spectrum?.change ?? null,
  }
}
