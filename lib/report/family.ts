// Several models side by side: the page and the terminal's table of `warp recover` with several references.
import picocolors from 'picocolors'
import type { FamilyResult } from '../family.js'
import { printable } from '../printable.js'
import { legend, lineChart, lineLabel, mostSeries, type Series } from './charts.js'
import { safeName, tableBlocks, wrap } from './columns.js'
import { escapeHtml } from './escape.js'
import { claimFigures, coversOf, percent, seconds } from './facts.js'
import { htmlPage, list, section, wordTable } from './page.js'
import { commandLine, type InputFile } from './provenance.js'
import { grid } from './tables.js'
import type { TerminalOptions } from './terminal.js'
import { bestOf, guarantees, limits, modelsOf } from './words.js'

type Member = FamilyResult['members'][number]

const kinds = { ok: 'ok', weak: 'weak', unidentifiable: 'bad' } as const
const order = ['ok', 'weak', 'unidentifiable'] as const

/** The least certain verdict of all. */
const worstOf = ({ members }: FamilyResult) =>
  order[Math.max(...members.map(({ result }) => order.indexOf(result.diagnostics.verdict)))]

const digits = (share: number): string => (100 * share).toFixed(1)

/** All members as one page. @param date when it was made; default: now */
export function familyPage(result: FamilyResult, date?: Date): string {
  const { members, tool, command } = result
  const verdict = worstOf(result)
  const [base] = modelsOf(members[0].result)
  const [first] = members
  return htmlPage({
    title: `What ${members.length} models were trained on, starting from ${base}`,
    answer: answerOf(members),
    verdict: {
      word: verdict,
      kind: kinds[verdict],
      guarantee: guarantees[verdict],
      reasons: verdictsOf(members),
    },
    sections: [
      section('Recovered mixtures', shares(result)),
      section('From step to step', steps(result)),
      section('Each model', eachModel(members)),
      section('Notes', list(notesOf(members))),
    ],
    how: [
      'For each model, base and model are merged along a path: what lies between stands for the steps of its training.',
      'A domain whose gradients point where the weights went was trained on; one whose gradients do not was not.',
      'The readouts turn this into shares, for each model as if it were alone.',
    ],
    limits: limits(first.result),
    provenance: {
      date,
      command: commandLine(['recover'], command),
      tool,
      facts: [['time', `${members.reduce((sum, one) => sum + seconds(one.result.timings), 0).toFixed(1)} s`]],
      files: filesOf(members),
    },
    result,
  })
}

/** Members by what `of` says of them, in the order of the first of each. */
function grouped<Key>(members: readonly Member[], of: (member: Member) => Key): [Key, Member[]][] {
  const groups = new Map<Key, Member[]>()
  for (const member of members) groups.set(of(member), [...(groups.get(of(member)) ?? []), member])
  return [...groups]
}

/** The largest share of each model, models of one domain together. */
function answerOf(members: readonly Member[]): string {
  const by = grouped(members, ({ result: { recommended, diagnostics } }) =>
    diagnostics.verdict === 'unidentifiable'
      ? undefined
      : Object.entries(recommended.mixture).reduce((best, one) => (one[1] > best[1] ? one : best))[0],
  )
  const told = by.map(([domain, some]) => {
    const whose = some.length > 3 ? `${some.length} models` : some.map(({ name }) => name).join(', ')
    if (domain === undefined) return `of ${whose} nothing can be told from these probes`
    const found = some.map(({ result }) => result.recommended.mixture[domain]).toSorted((a, b) => a - b)
    const [low, high] = [percent(found[0]), percent(found.at(-1)!)]
    return `${domain} in ${whose} (${low === high ? high : `${low} to ${high}`})`
  })
  return `The largest share: ${told.join('; ')}.`
}

/** Which models have which verdict, where they differ. */
function verdictsOf(members: readonly Member[]): string[] {
  const by = grouped(members, ({ result }) => result.diagnostics.verdict)
  return by.length < 2 ? [] : by.map(([verdict, some]) => `${verdict}: ${some.map(({ name }) => name).join(', ')}`)
}

function shares({ domains, members }: FamilyResult): string {
  return (
    grid(
      domains.map((name) => ({ name, values: members.map(({ result }) => result.recommended.mixture[name]) })),
      {
        caption: 'Shares in %, with intervals',
        corner: 'domain',
        columns: members.map(({ name }) => name),
        format: digits,
        heat: true,
        small: (row, column) => rangeOf(members[column], domains[row]),
        file: 'mixtures.csv',
        many: 'domains',
      },
    ) + '<p class="soft">Below each share stands its interval, in brackets where it is one of sampling alone.</p>'
  )
}

function rangeOf({ result }: Member, domain: string): string {
  const [low, high] = result.recommended.interval[domain]
  const range = `${digits(low)}–${digits(high)}`
  return coversOf(bestOf(result)) === 'sampling' ? `(${range})` : range
}

/** Numbers at the ends of names that are the same otherwise, rising: the steps of one run. */
export function stepsOf(names: readonly string[]): number[] | undefined {
  const found = names.map((name) => /^(.*?)(\d+)$/.exec(name))
  if (found.some((match) => !match || match[1] !== found[0]![1])) return undefined
  const steps = found.map((match) => Number(match![2]))
  return steps.every((step, i) => i === 0 || step > steps[i - 1]) ? steps : undefined
}

/** Shares over the steps of one run, where the names say that they are such. */
function steps({ domains, members }: FamilyResult): string {
  const x = stepsOf(members.map(({ name }) => name))
  if (!x) return ''
  const last = members.at(-1)!.result.recommended.mixture
  const ranked = domains.length > mostSeries ? domains.toSorted((a, b) => last[b] - last[a]) : domains
  const series = ranked.map((name): Series => {
    const y = members.map(({ result }) => result.recommended.mixture[name])
    return { name, x, y }
  })
  const caption = 'Share of each domain in what was trained on up to a step'
  return (
    `<figure><figcaption>${escapeHtml(caption)}</figcaption>` +
    lineChart(lineLabel(caption, series), { x: 'step', y: 'share', range: [x[0], x.at(-1)!] }, series) +
    `</figure>${legend(ranked)}`
  )
}

/** What is to be said of a member beside its shares. */
function factsOf({ result }: Member): string {
  const { recommended, diagnostics, claimed, trace } = result
  const found = trace?.trainingTexts
  return [
    `${diagnostics.verdict}, by ${recommended.readout}`,
    ...(claimed ? [`claimed mixture: ${claimed.verdict} (${claimFigures(claimed)})`] : []),
    ...(found ? [`trace: about ${Math.round(found.estimate)} training texts`] : []),
    ...diagnostics.reasons,
  ].join('; ')
}

const eachModel = (members: readonly Member[]): string =>
  wordTable(members.map((member) => [member.name, factsOf(member)]))

/** Notes of all members, those of several once. */
function notesOf(members: readonly Member[]): string[] {
  const whose = new Map<string, string[]>()
  for (const { name, result } of members)
    for (const note of result.notes) whose.set(note, [...(whose.get(note) ?? []), name])
  return [...whose].map(([note, names]) => (names.length === members.length ? note : `${names.join(', ')}: ${note}`))
}

/** Files of all members, those of several once; whose a reference is stands beside it. */
function filesOf(members: readonly Member[]): InputFile[] {
  const files = new Map<string, InputFile>()
  for (const { name, result } of members)
    for (const file of result.inputs)
      files.set(file.path, { ...file, role: file.role === 'reference' ? name : file.role })
  return [...files.values()]
}

/** All members as a table for people, with what there is to say of each. */
export function familyReport(result: FamilyResult, { color = false, width = 100 }: TerminalOptions = {}): string {
  const paint = picocolors.createColors(color)
  const { domains, members } = result
  const body = Math.max(40, width - 2)
  const lines = [paint.bold('Recovered mixtures, shares in %')]
  const rows = members.map(({ name, result: { recommended } }) => [
    safeName(name),
    ...domains.map((domain) => digits(recommended.mixture[domain])),
  ])
  tableBlocks(['', ...domains.map((name) => safeName(name, 20))], rows, body).forEach(([head, ...block], at) => {
    if (at > 0) lines.push('')
    lines.push(`  ${paint.dim(head)}`, ...block.map((row) => `  ${row}`))
  })
  for (const member of members) {
    const widest = domains.reduce((most, domain) => {
      const [low, high] = member.result.recommended.interval[domain]
      return Math.max(most, high - low)
    }, 0)
    const facts = `${factsOf(member)}; the widest interval spans ${percent(widest)}`
    lines.push('', paint.bold(safeName(member.name)))
    lines.push(...wrap(printable(facts, 2000), body).map((line) => `  ${line}`))
  }
  const notes = notesOf(members)
  if (notes.length > 0) lines.push('', paint.bold('Notes'))
  for (const note of notes) lines.push(...wrap(printable(`- ${note}`, 2000), body).map((line) => `  ${line}`))
  return `${lines.join('\n')}\n`
}
