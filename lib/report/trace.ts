// The trace as a page: what was found, what it rests on, and the evidence itself.
import type { Member, TracedToken, TraceResult } from '../trace/result.js'
import { barChart, escapeHtml, histogramChart, seriesStyle, type Histogram } from './charts.js'
import { percent } from './facts.js'
import { htmlPage, inputTable, list, section, table, wordTable, type InputFile } from './page.js'

/** An excluded text and the spellings of the tokens that exclude it. */
export interface ExcludedText {
  domain: string
  source: string
  text: string
  tokens: string[]
}

export interface TracePage {
  result: TraceResult
  tokens: readonly TracedToken[]
  /** texts that may be members, the most probable first */
  members: readonly Member[]
  /** some of the excluded texts */
  excluded: readonly ExcludedText[]
  histogram: Histogram | undefined
  files: readonly InputFile[]
}

/** Entries of a list; the files beside the page have the rest. */
const mostMembers = 200,
  leastMembers = 20,
  mostTokens = 4000,
  longestText = 600

const style = `
.ranked { columns: 11rem; padding: 0; list-style: none; font-variant-numeric: tabular-nums;
  max-height: 24rem; overflow: auto }
.ranked li { break-inside: avoid; display: flex; justify-content: space-between; gap: .5rem }
.ranked code { overflow-wrap: anywhere } .ranked span { color: var(--soft) }
.texts { padding-left: 1.4rem } .texts li { margin: .4rem 0; overflow-wrap: anywhere }
.texts small { color: var(--soft); display: block }
mark { background: #ffd54a; color: #1c1c1e; padding: 0 .1em } input { font: inherit; width: 100%; max-width: 20rem }
li, p, .words td + td { overflow-wrap: anywhere }
.key { display: inline-block; width: .8em; height: .8em; margin-right: .3em }
@media print { .ranked { max-height: none; overflow: visible } #find { display: none } }
`

const script = `
const box = document.getElementById('find'), items = [...document.querySelectorAll('.ranked li')]
box.hidden = false
box.addEventListener('input', () => {
  const wanted = box.value.toLowerCase()
  for (const item of items) item.hidden = !item.firstChild.textContent.toLowerCase().includes(wanted)
})
`

/** One page without anything from elsewhere; its only script searches the list of tokens. */
export function tracePage(found: TracePage): string {
  const { result, tokens, histogram } = found
  const shown = tokens.length > 0
  const sections = [
    `<h1>Trace of training texts</h1><p class="soft">${escapeHtml(inputsLine(result))}</p>`,
    `<p><span class="verdict ${verdictClass[result.verdict]}">${result.verdict}</span>: ` +
      `${escapeHtml(sentence(result))}</p>`,
    section('What it rests on', wordTable(facts(result)) + (histogram ? scores(result, histogram) : '')),
    result.mixtures.length > 0 ? section('Mixture', mixture(result)) : '',
    result.texts ? section('Texts', domains(result)) : '',
    found.members.length > 0 ? section(title(result), members(found.members)) : '',
    found.excluded.length > 0 ? section('Excluded texts', excluded(found)) : '',
    shown ? section(result.grading ? 'Likely trained tokens' : 'Trained tokens', tokenList(tokens)) : '',
    result.conditions.length > 0 ? section('This holds if', list(result.conditions)) : '',
    result.notes.length > 0 ? section('Notes', list(result.notes)) : '',
    section('Inputs', inputTable(found.files)),
  ]
  return htmlPage('Trace of training texts', sections, { style, script: shown ? script : undefined })
}

const verdictClass: Record<TraceResult['verdict'], string> = {
  exact: 'ok',
  noisy: 'weak',
  graded: 'weak',
  none: 'unidentifiable',
}

const whole = (value: number): string => value.toFixed(0)
const title = ({ grading }: TraceResult): string =>
  grading ? 'Likely training texts' : 'Likely members among the possible texts'

function inputsLine({ inputs }: TraceResult): string {
  const texts = inputs.probes.length > 0 ? ` · texts ${inputs.probes.join(', ')}` : ''
  return `base ${inputs.base} · reference ${inputs.reference}${texts}`
}

/** The verdict in one sentence. */
function sentence({ verdict, reason, trainedTokens, trainingTexts, grading, texts }: TraceResult): string {
  if (verdict === 'none') return `${reason}.`
  const tokens = grading
    ? `About ${whole(grading.expected)} of ${grading.tokens} tokens of these texts look trained on`
    : `${trainedTokens.count} of ${trainedTokens.rows} tokens were trained on`
  if (!trainingTexts || !texts) return `${tokens}.`
  const counts = Object.values(texts)
  const gone = counts.reduce((sum, { excluded }) => sum + excluded, 0),
    all = counts.reduce((sum, { pool }) => sum + pool, 0)
  const [low, high] = trainingTexts.interval
  const range = high === null ? `${whole(low)} or more` : `${whole(low)} to ${whole(high)}`
  return (
    `${tokens}; ${grading ? 'no text is' : `${gone} of ${all} candidate texts are`} excluded with ` +
    `certainty, and about ` +
    `${whole(trainingTexts.estimate)} training texts (${range}) explain what moved, ` +
    `${whole(trainingTexts.inside)} of them here.`
  )
}

function facts(result: TraceResult): [string, string][] {
  const { trainedTokens: tokens, layout, longestText, frozen, comparedTensors, decay, grading, lastTokens } = result
  const rows: [string, string][] = [['why', result.reason]]
  const packed = typeof layout.packed === 'number' ? `windows of ${layout.packed} tokens` : `packed ${layout.packed}`
  rows.push([
    'objective',
    `${layout.objective} (${layout.from})` +
      (layout.objective === 'language' ? `; end token ${layout.eos}, ${packed}` : ''),
  ])
  if (lastTokens) rows.push(['last tokens', lastTokens.reason])
  if (grading) {
    const { untrainedRows, columns, falsePositiveRate, missedRate } = grading
    rows.push(
      [
        'rows that no text holds',
        `${untrainedRows.fitted} fitted in ${columns} columns, ${untrainedRows.held} held back`,
      ],
      [
        'threshold',
        `${percent(falsePositiveRate)} of untrained tokens lie above it, ${percent(missedRate)} of trained ones below`,
      ],
      ['lost', grading.lost],
    )
  } else if (decay !== null) {
    rows.push(
      ['decay', `untrained rows are ${(1 + decay).toFixed(8)} times the base's`],
      [
        'threshold',
        `${tokens.threshold.toPrecision(4)} (noise ${tokens.noise.toPrecision(4)}; ` +
          `${tokens.falsePositiveBound} false ones at most)`,
      ],
    )
  }
  rows.push(['longest text', longestText === null ? 'unknown: no position table tells' : `${longestText} tokens`])
  rows.push(['frozen', `${frozen.length} of ${comparedTensors} tensors`])
  return rows
}

function scores({ grading, trainedTokens }: TraceResult, histogram: Histogram): string {
  const unit = grading
    ? 'score in deviations of untrained rows'
    : 'log10 of the score (1 is the rounding of the stored numbers)'
  const key = (index: number, text: string) =>
    `<li><span class="key" style="background:${seriesStyle(index).color}"></span>${text}</li>`
  const kinds = grading ? ['more likely untrained', 'more likely trained'] : ['not trained', 'trained']
  return (
    histogramChart(`Scores of ${trainedTokens.rows} rows with the threshold`, unit, histogram) +
    `<ul class="legend">${key(0, `${kinds[0]}: below the threshold`)}${key(1, `${kinds[1]}: above it`)}</ul>`
  )
}

function mixture({ mixtures: [one], calibration }: TraceResult): string {
  const bars = Object.entries(one.mixture)
    .sort(([, a], [, b]) => b - a)
    .map(([name, value]) => ({ name, value, low: one.interval[name][0], high: one.interval[name][1] }))
  const error = calibration ? ` Expected error of a share: ${(100 * calibration.expectedError).toFixed(1)} points.` : ''
  return (
    barChart(`Shares of ${bars.length} domains with intervals`, bars) +
    `<p class="soft">${percent(one.level)} intervals of ${escapeHtml(one.intervalIncludes)}.${error}</p>`
  )
}

function domains({ texts }: TraceResult): string {
  return table(
    ['', 'texts', 'excluded', 'possible', 'likely', 'trained on: here', 'elsewhere'],
    Object.entries(texts!).map(([name, of]) => [
      escapeHtml(name),
      String(of.pool),
      `${of.excluded}<small>${percent(of.excludedShare)}</small>`,
      String(of.pool - of.excluded),
      String(of.likely),
      whole(of.inside),
      whole(of.outside),
    ]),
  )
}

const cut = (text: string): string => (text.length > longestText ? `${text.slice(0, longestText)}…` : text)

function memberItem({ probability, domain, source, text }: Member): string {
  return (
    `<li>${escapeHtml(cut(text))}<small>${percent(probability)} · ${escapeHtml(domain)} · ` +
    `${escapeHtml(source)}</small></li>`
  )
}

function members(all: readonly Member[]): string {
  const top = all.slice(0, mostMembers),
    bottom = all.slice(Math.max(mostMembers, all.length - leastMembers))
  const between = all.length - top.length - bottom.length
  return (
    `<ol class="texts">${top.map(memberItem).join('')}</ol>` +
    (between > 0 ? `<p class="soft">${between} texts between these are in members.csv.</p>` : '') +
    (bottom.length > 0
      ? `<ol class="texts" start="${all.length - bottom.length + 1}">${bottom.map(memberItem).join('')}</ol>`
      : '')
  )
}

/** The text with the first place of each token marked, case apart. */
export function marked(text: string, tokens: readonly string[]): string {
  const lower = text.toLowerCase()
  const places = tokens
    .map((token) => ({ at: placeOf(lower, token.toLowerCase()), length: token.length }))
    .filter(({ at }) => at >= 0)
    .sort((a, b) => a.at - b.at)
  let html = '',
    from = 0
  for (const { at, length } of places) {
    if (at < from) continue
    html += `${escapeHtml(text.slice(from, at))}<mark>${escapeHtml(text.slice(at, at + length))}</mark>`
    from = at + length
  }
  return html + escapeHtml(text.slice(from))
}

/** Where a token stands as a word or at its beginning, else anywhere. */
function placeOf(text: string, token: string): number {
  if (token === '') return -1
  for (let at = text.indexOf(token); at >= 0; at = text.indexOf(token, at + 1)) {
    if (at === 0 || !/[\p{L}\p{N}]/u.test(text[at - 1])) return at
  }
  return text.indexOf(token)
}

function excluded({ excluded: some, result }: TracePage): string {
  const all = Object.values(result.texts!).reduce((sum, of) => sum + of.excluded, 0)
  const items = some.map(({ domain, source, text, tokens }) => {
    const words = tokens.map((token) => `<code>${escapeHtml(token)}</code>`).join(', ')
    return (
      `<li>${marked(cut(text), tokens)}<small>${words} · ${escapeHtml(domain)} · ` +
      `${escapeHtml(source)}</small></li>`
    )
  })
  const rest = all > some.length ? `<p class="soft">${some.length} of ${all}; all of them are in excluded.csv.</p>` : ''
  return (
    `<p>Each holds a token that was not trained, marked where it stands first.</p><ul ` +
    `class="texts">${items.join('')}</ul>${rest}`
  )
}

function tokenList(tokens: readonly TracedToken[]): string {
  const ranked = tokens
    .filter(({ probability }) => probability === undefined || probability >= 0.5)
    .sort((a, b) => b.score - a.score)
  const items = ranked.slice(0, mostTokens).map(({ id, token, score, state, probability }) => {
    const told =
      probability === undefined ? `${score.toPrecision(3)}${state === 'undecided' ? ' ?' : ''}` : percent(probability)
    return `<li><code>${escapeHtml(token || `#${id}`)}</code><span>${told}</span></li>`
  })
  const rest = tokens.length - items.length
  return (
    `<p><input id="find" type="search" placeholder="search" aria-label="search among the tokens" hidden></p>` +
    `<ul class="ranked">${items.join('')}</ul>` +
    (rest > 0 ? `<p class="soft">${rest} more are in tokens.jsonl.</p>` : '')
  )
}
