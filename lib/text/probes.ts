import { inputError } from '../errors.js'
import { Turns } from '../turns.js'
import type { ProbeSource } from './given.js'
import { LabelResolver } from './labels.js'
import { errorAt, list, placeOf } from './place.js'
import { RecordReader, unknownDomain } from './records.js'
import { StratifiedSample, type Stratum } from './sample.js'
import type { ProbeOptions, ReadControl, ReadInput, TextRecord } from './types.js'

/** Fewer probes than this in a domain and its share is noted as uncertain. */
const fewProbes = 30

/** Labelled texts with their domains, in the order of the sources. n probes, D domains. */
export interface ProbeSet {
  texts: string[]
  /** n: what of each text comes before its response; absent: no column is named as one */
  prompts?: string[]
  /** n: data row of each probe over all sources */
  rows: Uint32Array
  /** n: `file:line` of each probe */
  sources: string[]
  /** D names: `domains` as given; else, where each probe's domain is its label, the model's order; else sorted */
  domains: string[]
  /** n: index into `domains` */
  domain: Int32Array
  /** n: class id in the model; −1 where there are no classes */
  label: Int32Array
  /** D: probes of each domain */
  counts: number[]
  /** unlabeled texts left out */
  dropped: number
  notes: string[]
  inputs: ReadInput[]
}

interface Probe {
  record: TextRecord
  domain: string
  label: number
}

/**
 * Reads labelled texts and checks them against the model's labels. Refusals: those of `readRecords`, and labels or
 * domains unknown to the model, fewer than two domains, a domain without a probe. A domain with fewer than 30 probes
 * is noted.
 * @param options.labels the model's labels in the order of their ids; null: a language model has none, and every text
 *   needs a domain (where there is no such column, the label's names it)
 */
export async function readProbes(
  sources: ProbeSource,
  options: ProbeOptions & { labels: string[] | null },
  control: ReadControl = {},
): Promise<ProbeSet> {
  const reader = await RecordReader.open(sources, options, control, options.labels !== null)
  const { labels } = options
  const resolver = labels && new LabelResolver(labels, options.labelMap)
  const allowed = options.domains === undefined ? undefined : new Set(options.domains)
  const { limit, perDomain, seed = 0 } = options
  const sample =
    limit === undefined && perDomain === undefined ? undefined : new StratifiedSample<Probe>(limit, perDomain, seed)
  const probes: Probe[] = []
  const seen = new Map<string, number>()
  let separate: boolean | undefined
  let same = true
  for await (const records of reader.batches()) {
    for (const record of records) {
      const probe = reader.skipped.unless(() => (resolver ? toProbe(record, resolver) : withoutLabel(record)))
      if (probe === undefined) continue
      separate ??= isSeparate(record)
      if (resolver && separate !== isSeparate(record)) throw mixedDomains(record, separate)
      if (allowed !== undefined && !allowed.has(probe.domain))
        throw unknownDomain(probe.domain, [...allowed], record.source)
      same &&= labels !== null && probe.domain === labels[probe.label]
      seen.set(probe.domain, (seen.get(probe.domain) ?? 0) + 1)
      if (sample === undefined) probes.push(probe)
      else sample.add(probe.domain, record.row, probe)
    }
  }
  const sampled = sample?.finish()
  const domains = options.domains ?? (same && labels ? labels : [...seen.keys()].sort())
  const set = await pack(sampled?.items ?? probes, domains, reader, new Turns(control.signal))
  checkDomains(set, seen, options)
  if (sampled !== undefined) set.notes.push(...sampleNotes(sampled.strata, options))
  set.notes.push(...(await repeatNotes(set, control.signal)))
  for (const [d, name] of domains.entries()) {
    if (set.counts[d] < fewProbes) {
      set.notes.push(
        `domain "${name}" has only ${set.counts[d]} probes; with fewer than ${fewProbes} its share is uncertain`,
      )
    }
  }
  return set
}

/** True where the domain is told apart from the label. */
const isSeparate = (record: TextRecord): boolean => record.domain !== undefined && record.label !== undefined

function toProbe(record: TextRecord, resolver: LabelResolver): Probe {
  const raw = record.label ?? record.domain
  if (raw === undefined) {
    throw errorAt(
      'PROBES_LABEL_MISSING',
      placeOf(record.source),
      'the text has no label',
      'name the column with --label, or leave such texts out with --drop-unlabeled',
    )
  }
  const label = resolver.resolve(raw, record.source)
  const name = resolver.labels[label]
  return { record, label, domain: isSeparate(record) ? (record.domain ?? name) : name }
}

/** A language model's probe: a domain is compulsory, a class does not exist. */
function withoutLabel(record: TextRecord): Probe {
  const domain = record.domain ?? record.label
  if (domain !== undefined) return { record, label: -1, domain }
  throw errorAt(
    'PROBES_DOMAIN_MISSING',
    placeOf(record.source),
    'the text names no domain',
    "name the column with --domain; a language model's texts need no label",
  )
}

function mixedDomains(record: TextRecord, separate: boolean): Error {
  return errorAt(
    'PROBES_DOMAIN_MISSING',
    placeOf(record.source),
    separate
      ? 'the texts before name a domain beside the label, this one does not'
      : 'this text names a domain beside the label, those before do not',
    'name the domain of every text, or choose the column with --domain',
  )
}

async function pack(
  probes: readonly Probe[],
  domains: string[],
  reader: RecordReader,
  turns: Turns,
): Promise<ProbeSet> {
  const index = new Map(domains.map((name, d) => [name, d]))
  const n = probes.length
  const [texts, sources, prompts] = [new Array<string>(n), new Array<string>(n), new Array<string>(n)]
  const [domain, label, rows] = [new Int32Array(n), new Int32Array(n), new Uint32Array(n)]
  const counts = new Array<number>(domains.length).fill(0)
  let prompted = false
  for (const [i, probe] of probes.entries()) {
    const { text, prompt, row, source } = probe.record
    texts[i] = text
    prompts[i] = prompt ?? ''
    prompted ||= prompt !== undefined
    rows[i] = row
    sources[i] = source
    label[i] = probe.label
    domain[i] = index.get(probe.domain) as number
    counts[domain[i]]++
    if (turns.due) await turns.take()
  }
  return {
    texts,
    ...(prompted && { prompts }),
    rows,
    sources,
    domains,
    domain,
    label,
    counts,
    dropped: reader.dropped,
    notes: reader.notes(),
    inputs: reader.inputs(),
  }
}

function checkDomains({ domains, counts }: ProbeSet, seen: Map<string, number>, { limit }: ProbeOptions): void {
  if (seen.size < 2) {
    const found = seen.size === 0 ? 'no text is left' : `all texts are of the domain "${[...seen.keys()][0]}"`
    throw inputError(
      'PROBES_ONE_DOMAIN',
      `expected texts of at least two domains; ${found}`,
      { expected: 2, found: seen.size },
      'a mixture needs candidates: give probes of every domain',
    )
  }
  const empty = domains.filter((_, d) => counts[d] === 0)
  if (empty.length === 0) return
  const cut = empty.find((name) => seen.has(name))
  throw inputError(
    'PROBES_DOMAIN_EMPTY',
    cut === undefined
      ? `no probes of ${list(empty)}`
      : `--limit ${limit} leaves no probe of "${cut}", which has ${seen.get(cut)}`,
    { expected: domains.slice(0, 100), found: [...seen.keys()].slice(0, 100) },
    cut === undefined ? 'give probes of every domain, at least 30 of each' : '--per-domain N takes as many of each',
  )
}

/** A text of two domains says nothing of which of them was trained on. */
async function repeatNotes(
  { texts, prompts, domain, sources }: ProbeSet,
  signal: AbortSignal | undefined,
): Promise<string[]> {
  const turns = new Turns(signal)
  const first = new Map<string, number>()
  let repeated = 0
  let places = ''
  for (const [i, text] of texts.entries()) {
    const whole = prompts ? `${prompts[i]}\n${text}` : text
    const before = first.get(whole)
    if (before === undefined) first.set(whole, i)
    else if (domain[before] !== domain[i] && repeated++ === 0) places = `${sources[before]} and ${sources[i]}`
    if (turns.due) await turns.take()
  }
  return repeated > 0 ? [`texts that stand in more than one domain: ${repeated}, the first at ${places}`] : []
}

function sampleNotes(strata: Stratum[], { perDomain, seed = 0 }: ProbeOptions): string[] {
  const total = (key: 'seen' | 'kept'): number => strata.reduce((sum, stratum) => sum + stratum[key], 0)
  const notes = [`${total('kept')} of ${total('seen')} texts were chosen at random (seed ${seed})`]
  for (const { name, seen } of strata) {
    if (perDomain !== undefined && seen < perDomain) {
      notes.push(`domain "${name}" has ${seen} texts, fewer than the ${perDomain} asked for`)
    }
  }
  return notes
}
