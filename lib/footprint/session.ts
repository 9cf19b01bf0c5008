import os from 'node:os'
import path from 'node:path'
import {
  filesNow,
  hashFiles,
  smallFiles,
  nativeWeights,
  networkOf,
  openPair,
  pairTokenizer,
  type BaseHead,
  type ModelPair,
  type TokenizerChoice,
} from '../checkpoint/index.js'
import { Beside } from '../beside.js'
import { checkWhole, inputError, usageError } from '../errors.js'
import type { Network } from '../models/network.js'
import { addon } from '../native/load.js'
import { runTask, type RunOptions } from '../native/task.js'
import type { Handle, PathRequest, ScorePlan, TensorSurvey } from '../native/types.js'
import { objectiveFor, type Objective } from '../objectives/index.js'
import { deviceKinds, type Kinds, pathKinds, runKinds, textKinds } from '../options.js'
import { openPairPath, parsePathOptions, type PathOptions } from '../paths/index.js'
import {
  packProbes,
  readLabelMap,
  readProbes,
  type PackedProbes,
  type ProbeOptions,
  type ProbeSource,
  type ProbeSet,
} from '../text/index.js'
import { loadTokenizer, startTokenizers, type Tokenizer } from '../text/tokenizer/index.js'
import { checkDomains, whyTooMany } from '../readouts/limits.js'
import { attemptOn, chooseDevice, type Device, type DeviceOptions } from './device.js'
import { chooseScope, type Scope } from './scope.js'
import { Shared } from './shared.js'
import { planProbes, type ScoreOptions } from './score.js'
import type { ScoreSpool } from './spool.js'

/** Options of `footprint` and `recover`: the command line's, in camelCase. */
export interface FootprintOptions
  extends RunOptions,
    PathOptions,
    DeviceOptions,
    Omit<ProbeOptions, 'labelMap' | 'seed'> {
  base: string
  reference: string
  /** files, folders, `-` for JSONL on stdin; or the texts themselves: `[{ text, label }]`, or an async iterable */
  probes: ProbeSource
  /** where the base has no classification head: `zeros`, or normal numbers from a seed */
  baseHead?: BaseHead
  /** raw label → the model's label name or id; or the path of a JSON file, or `a=b,c=d` */
  labelMap?: Record<string, string> | string
  /** in tokens, special ones included; default 256, at most the model's positions */
  maxLength?: number
  /** default true: longer texts are cut off and counted; false: refused */
  truncate?: boolean
  /** whose tokenizer reads the texts; default: the reference's, else the base's. Asked for, others may differ. */
  tokenizer?: TokenizerChoice
  /** what the models were made for; default: as the reference's class says */
  objective?: Objective
  /**
   * of the alignment matrix: `head`, `top`, `all`, `layers`, `embedding` or globs of tensor names; default
   * `head`, of language models `layers` */
  scope?: string
  /** default: all the process may use */
  threads?: number
  /** bytes for working buffers, weights included; default 2 GiB */
  memory?: number
  /** of subsamples, masks and resamples; default 0 */
  seed?: number
  /** where scores are kept while they are made, for a run that may be stopped; not on a GPU */
  spool?: ScoreSpool
}

/** What `footprint` takes. */
export const footprintKinds: Kinds<FootprintOptions> = {
  ...runKinds,
  ...pathKinds,
  ...deviceKinds,
  ...textKinds,
  base: 'text',
  reference: 'text',
  probes: 'any',
  baseHead: 'baseHead',
  labelMap: 'labelMap',
  maxLength: 'number',
  truncate: 'flag',
  tokenizer: 'text',
  scope: 'text',
  objective: 'text',
  threads: 'number',
  memory: 'number',
  seed: 'number',
  spool: 'object',
}

export interface InputRecord {
  /** base, reference, probes */
  role: string
  path: string
  size: number
  sha256: string
}

/** Everything opened and checked, before the first forward pass. */
export interface Session {
  pair: ModelPair
  tokenizer: Tokenizer
  probes: ProbeSet
  packed: PackedProbes
  /** of the reference */
  network: Network
  scope: Scope
  path: PathRequest
  pathHandle: Handle
  /** weight files of a trajectory's checkpoints */
  between: readonly string[]
  /** the path's constants are known, and noted */
  prepared: boolean
  survey: TensorSurvey[]
  score: ScoreOptions
  plan: ScorePlan
  seed: number
  /** tokens of a probe, special ones included */
  maxLength: number
  device: Device
  /** with their hashes, which are made beside other work */
  inputs: Beside<InputRecord[]>
  notes: string[]
  /** seconds by phase so far */
  timings: Record<string, number>
  close(): void
}

/** Seconds each phase took, in order. */
export class Stopwatch {
  readonly timings: Record<string, number> = {}
  #last = performance.now()
  lap(phase: string): void {
    const now = performance.now()
    this.timings[phase] = (this.timings[phase] ?? 0) + (now - this.#last) / 1000
    this.#last = now
  }
}

/**
 * Opens and checks the pair, reads and tokenizes the probes, surveys the weights and plans the run.
 * @param shared with sessions of the same base and texts
 * @throws WarpError of every room it passes through; NO_SIGNAL where base and reference are the same, NOT_FINITE
 */
export async function openSession(
  options: FootprintOptions,
  gradients: boolean,
  shared = new Shared(),
): Promise<Session> {
  const { signal, onProgress, seed = 0 } = options
  refuseEarly(options)
  const watch = new Stopwatch()
  const chosen = await chooseDevice(options, { signal })
  parsePathOptions(options)
  startTokenizers()
  const objective = await objectiveFor(options.reference, options.objective, options.base)
  const pair = await openPair(options.base, options.reference, { ...options, objective })
  const network = networkOf(pair.reference, objective)
  const scope = chooseScope(options.scope, network)
  const maxLength = chooseMaxLength(options.maxLength, network)
  watch.lap('open')
  const labels = objective === 'language' ? null : pair.reference.architecture.labels
  const threads = options.threads ?? os.availableParallelism()
  const surveying = new Beside((run) => surveyOf(pair, threads, run), options)
  let inputs: Beside<InputRecord[]> | undefined
  let closePath = (): void => {}
  const close = (): void => {
    surveying.stop()
    inputs?.stop()
    closePath()
  }
  try {
    surveying.start()
    const texts = await openTexts({ ...options, maxLength }, labels, network, shared)
    const { tokenizer, tokenizerNotes, probes, packed } = texts
    watch.lap('tokenize')
    const survey = await surveying.finish()
    watch.lap('survey')
    const hashed = (inputs = new Beside((run) => hashInputs(pair, probes, run, shared), options))
    const prepared = !chosen.request // on a GPU the path's constants are found there
    const path = await openPairPath(pair, { ...options, objective, forward: true, prepare: prepared })
    closePath = path.close
    watch.lap('path')
    const score: ScoreOptions = {
      scope: scope.request,
      gradients: gradients && whyTooMany(probes.domains) === null,
      threads,
      memory: options.memory ?? 2 ** 31,
      device: chosen.request,
      signal: hashed.signal,
      onProgress,
    }
    const { device, result: plan } = await attemptOn(chosen, options, (request) => {
      score.device = request
      return planProbes(path.handle, network, packed, probes.domains.length, score)
    })
    const cut = truncationNotes(probes, packed, maxLength)
    return {
      pair,
      tokenizer,
      probes,
      packed,
      network,
      scope,
      path: path.request,
      pathHandle: path.handle,
      between: path.inputs.flatMap(({ role, files }) => (role === 'checkpoint' ? files.map((file) => file.path) : [])),
      prepared,
      survey,
      score,
      plan,
      seed,
      maxLength,
      device,
      inputs: hashed,
      notes: [...path.notes, ...tokenizerNotes, ...probes.notes, ...cut, ...device.notes],
      timings: watch.timings,
      close,
    }
  } catch (error) {
    close()
    throw error
  }
}

/** The probes and their tokens; the tokenizer is read on its thread meanwhile. */
async function openTexts(
  options: FootprintOptions & { maxLength: number },
  labels: string[] | null,
  { vocabularySize }: Network,
  shared: Shared,
) {
  const opening = openTokenizer(options)
  opening.catch(() => undefined) // it is waited for below, or never after another error
  const { signal, onProgress, seed = 0, maxLength, truncate = true } = options
  shared.sameLabels(options.reference, labels)
  const packing = { maxLength, truncate, vocabularySize }
  const control = { signal, onProgress }
  const read = async (): Promise<ProbeSet> => {
    const labelMap = typeof options.labelMap === 'string' ? await readLabelMap(options.labelMap) : options.labelMap
    const probes = await readProbes(options.probes, { ...options, labelMap, seed, labels }, control)
    checkDomains(probes.domains)
    return probes
  }
  const probes = await shared.once('probes', read)
  const { tokenizer, tokenizerNotes } = await opening
  const pack = (): Promise<PackedProbes> => packProbes(probes, tokenizer, packing, control)
  const packed = await shared.once(`tokens ${JSON.stringify([tokenizer.sha256, packing])}`, pack)
  return { tokenizer, tokenizerNotes, probes, packed }
}

/** Nothing is opened for a run that has been stopped, or whose numbers are none. */
function refuseEarly({ signal, threads, memory, deviceMemory, seed }: FootprintOptions): void {
  signal?.throwIfAborted()
  checkWhole('threads', threads, 1, 1024)
  checkWhole('memory', memory, 0, Number.MAX_SAFE_INTEGER)
  checkWhole('deviceMemory', deviceMemory, 1, Number.MAX_SAFE_INTEGER)
  checkWhole('seed', seed, 0, Number.MAX_SAFE_INTEGER)
}

async function openTokenizer({ base, reference, tokenizer: chosen }: FootprintOptions) {
  const tokenizerNotes: string[] = []
  const found = await pairTokenizer(base, reference, tokenizerNotes, chosen)
  return { tokenizer: found ?? (await loadTokenizer(reference)), tokenizerNotes } // which says what is missing
}

function chooseMaxLength(asked: number | undefined, { maxPositions }: Network): number {
  if (asked === undefined) return Math.min(256, maxPositions)
  if (!Number.isInteger(asked) || asked < 1) {
    throw usageError(
      'MAX_LENGTH_RANGE',
      `max length must be a whole number of at least 1, not ${asked}`,
      { found: asked },
      '--max-length 256',
    )
  }
  if (asked > maxPositions) {
    throw inputError(
      'MAX_LENGTH_RANGE',
      `max length ${asked} exceeds the model's ${maxPositions} positions`,
      { found: asked, expected: maxPositions },
      `--max-length ${maxPositions}`,
    )
  }
  return asked
}

/** @throws WarpError NOT_FINITE, NO_SIGNAL */
async function surveyOf(pair: ModelPair, threads: number, run: RunOptions): Promise<TensorSurvey[]> {
  const base = nativeWeights(pair.base, pair.generated)
  let reference: Handle | undefined
  try {
    const other = (reference = nativeWeights(pair.reference))
    const survey = await runTask((report) => addon().survey(base, other, threads, report), 'survey', 'elements', run)
    checkSurvey(survey, pair)
    return survey
  } finally {
    reference?.close()
    base.close()
  }
}

function checkSurvey(survey: TensorSurvey[], pair: ModelPair): void {
  for (const { name, nonFinite } of survey) {
    if (!nonFinite) continue
    const { dir, tensors } = pair[nonFinite.side]
    throw inputError(
      'NOT_FINITE',
      `${dir}: tensor ${name} has NaN or infinity at element ${nonFinite.index}`,
      { file: dir, tensor: tensors.get(name)?.storedName ?? name, offset: nonFinite.index },
      'the checkpoint is damaged or its training diverged',
    )
  }
  if (survey.every(({ changed }) => changed === 0)) {
    throw inputError(
      'NO_SIGNAL',
      'base and reference have the same weights: there is nothing to explain',
      { file: pair.reference.dir },
      'give the fine-tuned model as the reference',
    )
  }
}

function truncationNotes(probes: ProbeSet, packed: PackedProbes, maxLength: number): string[] {
  const cut = packed.truncated.reduce((sum, count) => sum + count, 0)
  if (cut === 0) return []
  const by = probes.domains.map((name, d) => `${name} ${packed.truncated[d]}`).join(', ')
  return [`${cut} of ${probes.texts.length} texts were longer than ${maxLength} tokens and cut off (${by})`]
}

async function hashInputs(pair: ModelPair, probes: ProbeSet, run: RunOptions, shared: Shared): Promise<InputRecord[]> {
  const roles = ['base', 'reference'] as const
  const weights = await shared.hash(
    roles.flatMap((role) => pair[role].files.map((file) => ({ role, ...file }))),
    run,
  )
  const others = (await Promise.all(roles.map((role) => filesNow(smallFiles(pair[role].dir))))).flatMap((files, i) =>
    files.map((file) => ({ role: roles[i], ...file })),
  )
  const records = [...weights, ...(await hashFiles(others))].map(
    ({ role, path: file, size, sha256 }): InputRecord => ({ role, path: path.normalize(file), size, sha256 }),
  )
  return [...records, ...probes.inputs.map((input) => ({ role: 'probes' as const, ...input }))]
}
