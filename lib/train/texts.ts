import { createHash } from 'node:crypto'
import { setImmediate } from 'node:timers/promises'
import { inputError } from '../errors.js'
import type { RunOptions } from '../native/task.js'
import type { Objective } from '../objectives/index.js'
import { LabelResolver } from '../text/labels.js'
import { readLabelMap, readRecords, type ProbeOptions, type ProbeSet, type ProbeSource } from '../text/index.js'

/** Texts with their classes: what a model is trained on. */
export interface LabelledTexts {
  texts: string[]
  /** n: what of each text comes before its response, where a column is named as one */
  prompts?: string[]
  /** n: `file:line` of each text */
  sources: string[]
  /** of language models the domains stand in for the classes */
  objective: Objective
  /** n: index into `labels` */
  label: Int32Array
  /** n × classes: probabilities that are learned in the place of the label */
  soft?: Float32Array
  /** class names by id */
  labels: string[]
  /** n: index into `domains` */
  domain: Int32Array
  /** the labels, in their order, where each text's domain is its label; else sorted */
  domains: string[]
  /** what there is to tell of their reading */
  notes?: string[]
}

export interface LabelledTextsOptions extends Omit<ProbeOptions, 'labelMap'> {
  labelMap?: Record<string, string> | string
  /** class names by id; default: those of the label map in its order, else the base's where they fit, else sorted */
  labels?: string[]
  /** default `classify` */
  objective?: Objective
}

const readingNames = [
  'format',
  'columns',
  'text',
  'response',
  'label',
  'domain',
  'labelMap',
  'labels',
  'limit',
  'perDomain',
  'dropUnlabeled',
  'skipInvalid',
  'quotes',
  'seed',
  'objective',
] as const

/** What of a command's options says how texts are read; nothing of what was left out. */
export const readingOf = (options: LabelledTextsOptions): LabelledTextsOptions =>
  Object.fromEntries(readingNames.map((name) => [name, options[name]]).filter(([, value]) => value !== undefined))

/**
 * Reads labelled texts; where there is no label column, the domain is the label.
 * @param known the base model's own labels, [] when it has none
 * @throws WarpError of the readers; LABELS_TOO_FEW, PROBES_LABEL_MISSING, PROBES_LABEL_UNKNOWN
 */
export async function readLabelledTexts(
  files: ProbeSource,
  options: LabelledTextsOptions,
  known: string[],
  control: RunOptions = {},
): Promise<LabelledTexts> {
  const labelMap = typeof options.labelMap === 'string' ? await readLabelMap(options.labelMap) : options.labelMap
  const notes: string[] = []
  const reading = { ...control, notes }
  const { objective = 'classify' } = options
  const texts: string[] = []
  const prompts: string[] = []
  const sources: string[] = []
  const raw: string[] = []
  const domainNames: string[] = []
  for await (const { text, prompt, label, domain, source } of readRecords(files, { ...options, labelMap }, reading)) {
    const name = objective === 'language' ? (domain ?? label ?? 'texts') : (label ?? domain)
    if (name === undefined) {
      throw inputError(
        'PROBES_LABEL_MISSING',
        `${source}: the text has no label`,
        { file: source },
        'name the column with --label, or leave such texts out with --drop-unlabeled',
      )
    }
    texts.push(text)
    if (prompt !== undefined) prompts.push(prompt)
    sources.push(source)
    raw.push(name)
    domainNames.push(domain ?? name)
  }
  const seen = [...new Set(raw)]
  const labels =
    options.labels ??
    (objective === 'classify' && labelMap
      ? [...new Set(Object.values(labelMap))]
      : fitting(known, seen)
        ? known
        : seen.sort())
  if (labels.length < 2 && objective === 'classify') {
    throw inputError(
      'LABELS_TOO_FEW',
      `a classifier needs at least two classes; the texts have ${JSON.stringify(labels)}`,
      { found: labels, expected: 2 },
      'give texts of several classes, or choose the column with --label',
    )
  }
  const resolver = new LabelResolver(labels, undefined)
  const label = Int32Array.from(raw, (name, i) => resolver.resolve(name, sources[i]))
  const same = label.every((id, i) => labels[id] === domainNames[i])
  const domains = same ? labels : [...new Set(domainNames)].sort()
  const index = new Map(domains.map((name, d) => [name, d]))
  return {
    texts,
    ...(prompts.length > 0 && { prompts }),
    sources,
    objective,
    labels,
    label,
    domains,
    domain: Int32Array.from(domainNames, (name) => index.get(name)!),
  }
}

/** Some of the texts, in the order of `rows`. */
export function pick(all: LabelledTexts, rows: Int32Array): LabelledTexts {
  return {
    ...all,
    texts: Array.from(rows, (row) => all.texts[row]),
    ...(all.prompts && { prompts: Array.from(rows, (row) => all.prompts![row]) }),
    sources: Array.from(rows, (row) => all.sources[row]),
    label: rows.map((row) => all.label[row]),
    ...(all.soft && { soft: softRows(all.soft, rows, all.labels.length) }),
    domain: rows.map((row) => all.domain[row]),
  }
}

function softRows(soft: Float32Array, rows: Int32Array, classes: number): Float32Array {
  const own = new Float32Array(rows.length * classes)
  rows.forEach((row, i) => own.set(soft.subarray(row * classes, (row + 1) * classes), i * classes))
  return own
}

const fitting = (known: string[], seen: string[]): boolean =>
  known.length > 0 && seen.every((name) => known.includes(name))

/** What packProbes takes: every class is its own domain. */
export function asProbes({ texts, prompts, sources, label, labels }: LabelledTexts): ProbeSet {
  const counts = countsOf({ label, labels })
  return {
    texts,
    ...(prompts && { prompts }),
    sources,
    rows: Uint32Array.from(texts, (_, i) => i),
    domains: labels,
    domain: label,
    label,
    counts,
    dropped: 0,
    notes: [],
    inputs: [],
  }
}

export function countsOf({ label, labels }: Pick<LabelledTexts, 'label' | 'labels'>): number[] {
  const counts = new Array<number>(labels.length).fill(0)
  for (const c of label) counts[c]++
  return counts
}

/** SHA-256 over class names, and classes (or their probabilities) and texts in order. */
export async function textsSha256(
  { texts, prompts, label, soft, labels }: LabelledTexts,
  signal?: AbortSignal,
): Promise<string> {
  const hash = createHash('sha256').update(JSON.stringify(labels))
  for (let i = 0; i < texts.length; i++) {
    hash.update(JSON.stringify(prompts ? [label[i], texts[i], prompts[i]] : [label[i], texts[i]]))
    if (i % 1000 !== 999) continue
    await setImmediate()
    signal?.throwIfAborted()
  }
  if (soft) hash.update(new Uint8Array(soft.buffer, soft.byteOffset, soft.byteLength))
  return hash.digest('hex')
}
