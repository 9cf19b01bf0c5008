// The trace as a page: what was found, what it rests on, and the evidence itself.
import type { Member, TracedToken, TraceResult } from '../trace/result.js'
import { barChart } from './bars.js'
import { histogramChart, type Histogram } from './charts.js'
import { breakable, escapeHtml } from './escape.js'
import { coversOf, percent } from './facts.js'
import { marked } from './marked.js'
import { htmlPage, list, section, wordTable } from './page.js'
import { commandLine, modelName, type InputFile } from './provenance.js'
import { csvDownload, folded, table } from './tables.js'

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
  /** as they were given; default: those in the result */
  options?: Record<string, unknown>
  /** when the page was made; default: now */
  date?: Date
}

/** Entries of a list; the files beside the page have the rest. */
const mostMembers = 200,
  leastMembers = 20,
  mostTokens = 4000,
  longestText = 600

const style = `
.ranked { display: grid; grid-template-columns: repeat(auto-fill, minmax(11rem, 1fr)); gap: .1rem 1.2rem;
  padding: .2rem; list-style: none; font-variant-numeric: tabular-nums; max-width: none;
  max-height: 24rem; overflow: hidden auto }
.ranked li { break-inside: avoid; min-width: 0; display: flex; justify-content: space-between; gap: .5rem }
.ranked code { overflow-wrap: anywhere } .ranked span { color: var(--soft) }
.texts { padding-left: 2.2rem } .texts li { margin: .4rem 0 } .texts small { display: block }
mark { background: #ffd54a; color: #1b1b1f; padding: 0 .1em }
input { font: inherit; width: 100%; max-width: 20rem; padding: .2rem .4rem; color: inherit; background: var(--paper);
  border: 1px solid var(--soft) }
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
  const { inputs, tool, seed } = result
  const shown = tokens.length > 0
  const { base, reference, probes } = inputs
  return htmlPage({
    title: `What the embeddings of ${modelName(reference)} tell about its training, starting from ${modelName(base)}`,
    answer: answer(result),
    verdict: {
      word: result.verdict,
      kind: verdictKind[result.verdict],
      guarantee: guarantees[result.verdict],
      reasons: [`${result.reason}.`],
    },
    sections: [
      result.mixtures.length > 0 ? section('Mixture', mixture(result)) : '',
      section('What it rests on', wordTable(facts(result)) + (histogram ? scores(result, histogram) : '')),
      result.texts ? section('Texts', domains(result)) : '',
      found.members.length > 0 ? section(title(result), members(found.members)) : '',
      found.excluded.length > 0 ? section('Excluded texts', excluded(found)) : '',
      shown ? section(result.grading ? 'Likely trained tokens' : 'Trained tokens', tokenList(tokens)) : '',
      result.notes.length > 0 ? section('Notes', list(result.notes)) : '',
    ],
    how: how(result),
    limits: [...result.conditions.map((condition) => `It holds if ${condition}.`), ...limits],
    provenance: {
      date: found.date,
      command: commandLine(['trace'], found.options ?? { base, reference, ...(probes.length > 0 && { probes }) }),
      tool,
      facts: [['seed', String(seed)]],
      files: found.files,
    },
    result,
    style,
    script: shown ? script : undefined,
  })
}

const verdictKind: Record<TraceResult['verdict'], 'ok' | 'weak' | 'bad'> = {
  exact: 'ok',
  noisy: 'weak',
  graded: 'weak',
  none: 'bad',
}

const guarantees: Record<TraceResult['verdict'], string> = {
  exact:
    'rows that were not trained are told from trained ones down to the rounding of the stored numbers: a text ' +
    'that is ' +
    'excluded was not trained on.',
  noisy:
    'trained rows stand clear of the noise of the others, with as few false ones as stated below: an excluded ' +
    'text was ' +
    'not trained on, but for those.',
  graded: 'every row of this table moves in training: tokens and texts are likely or unlikely, none is certain.',
  none: 'the table says nothing about the training texts: no text is excluded or counted by it.',
}

function how({ grading }: TraceResult): string[] {
  return [
    'Full fine-tuning moves a row of the embedding table only if its token occurs in the training texts.',
    grading
      ? grading.rows === 'input'
        ? 'Here the table is the output layer too, so that all rows move: those no text can hold show how, and the ' +
          'rest is measured against them.'
        : 'Here it tells nothing, but every row of the output layer moves in training, those of the tokens to be ' +
          'predicted in a way of their own: rows that no text can hold show how the others do.'
      : 'The rows that did not move tell the decay and the noise of the stored numbers; what stands clear of it ' +
        'was trained.',
    grading
      ? 'Each token gets a probability of having been in a training text.'
      : 'A text with a token that was not trained cannot have been a training text.',
    'The number and the mixture of texts that explain the trained tokens are estimated from the candidates.',
    'The same is done for synthetic training sets, drawn from the candidates: their errors correct the estimate ' +
      'and give its intervals.',
  ]
}

const limits = [
  'That a text is possible, or likely, does not show that it was trained on: other texts with the same tokens ' +
    'look the same.',
  'Mixture and number rest on the candidates: training texts of another kind are told as the domains most like them.',
]

const whole = (value: number): string => value.toFixed(0)
const title = ({ grading }: TraceResult): string =>
  grading ? 'Likely training texts' : 'Likely members among the possible texts'

/** The verdict in one sentence. */
function answer(result: TraceResult): string {
  const { verdict, reason, trainedTokens, trainingTexts, grading, texts, predictions } = result
  if (verdict === 'none') {
    const alone = predictions
      ? ` By what both models predict, about ${whole(predictions.expected)} of ${predictions.texts} candidate texts ` +
        `were trained on (${percent(predictions.alone!.falsePositiveRate)} of the others look so).`
      : ''
    return `The embedding table tells nothing of the training texts: ${reason}.${alone}`
  }
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
    `${whole(trainingTexts.estimate)} training texts (${range}) explain what moved` +
    (grading ? '.' : `, ${whole(trainingTexts.inside)} of them here.`)
  )
}

function facts(result: TraceResult): [string, string][] {
  const { trainedTokens: tokens, layout, longestText, frozen, comparedTensors, decay, grading, lastTokens } = result
  const { predictions, outputRows } = result
  const rows: [string, string][] = []
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
  if (outputRows.scores) rows.push(['output rows', outputRows.reason])
  if (predictions) {
    const { statistics, tokens: compared, texts, likely } = predictions
    const mean = statistics.find(({ name }) => name === 'mean')!
    rows.push([
      'predictions',
      `${compared} tokens of ${texts} texts: those of members gained ${mean.members.toPrecision(2)} nats more than ` +
        `expected, those of others ${mean.others.toPrecision(2)}; ${likely} texts are more likely members than not`,
    ])
  }
  if (result.votes) rows.push(['votes', result.votes.reason])
  rows.push(['longest text', longestText === null ? 'unknown: no position table tells' : `${longestText} tokens`])
  rows.push(['frozen', `${frozen.length} of ${comparedTensors} tensors`])
  return rows
}

function scores({ grading, trainedTokens }: TraceResult, histogram: Histogram): string {
  const unit = grading
    ? 'score in deviations of untrained rows'
    : 'log10 of the score (1 is the rounding of the stored numbers)'
  const kinds = grading ? ['more likely untrained', 'more likely trained'] : ['not trained', 'trained']
  const key = (index: number, where: string) =>
    `<li><svg class="s${index}" width="12" height="12" aria-hidden="true"><rect class="bar" width="12" ` +
    `height="12"/></svg> ` +
    `${kinds[index]}: ${where} the threshold</li>`
  const { edges, below, above, threshold } = histogram
  const total = (counts: number[]) => counts.reduce((sum, count) => sum + count, 0)
  const label =
    `Scores of ${trainedTokens.rows} rows: ${total(below)} below the threshold` +
    `${threshold === null ? '' : ` of ${+threshold.toFixed(3)}`}, ${total(above)} above it`
  return (
    `<figure><figcaption>Scores of the rows of the table</figcaption>${histogramChart(label, unit, histogram)}` +
    `<ul class="legend">${key(0, 'below')}${key(1, 'above')}</ul>` +
    csvDownload('scores.csv', [
      ['from', 'to', ...kinds],
      ...below.map((count, i) => [edges[i], edges[i + 1], count, above[i]]),
    ]) +
    '</figure>'
  )
}

const byShare = (mixture: Record<string, number>): string[] =>
  Object.keys(mixture).sort((a, b) => mixture[b] - mixture[a])

/** The mixtures beside the trace's, domains in its order. */
function others([first, ...more]: TraceResult['mixtures']): string {
  if (more.length === 0) return ''
  const show = (names: readonly string[]) =>
    table(
      ['domain', ...more.map(({ readout }) => escapeHtml(readout))],
      names.map((name) => [
        breakable(name),
        ...more.map(({ mixture: shares, interval }) => {
          const [low, high] = interval[name]
          return `${percent(shares[name])}<small>${percent(low)} to ${percent(high)}</small>`
        }),
      ]),
      { caption: 'By other witnesses', className: 'free' },
    )
  const named = more.map(({ readout, description }) => `${readout}: ${description}`).join('; ')
  return (
    folded(byShare(first.mixture), show, (rest) => `${rest.length} more domains`) +
    `<p class="soft">${escapeHtml(named)}. Intervals include ${escapeHtml(more[0].intervalIncludes)}.</p>`
  )
}

function mixture({ mixtures, calibration }: TraceResult): string {
  const [one] = mixtures
  const bars = byShare(one.mixture).map((name) => {
    const [low, high] = one.interval[name]
    return { name, value: one.mixture[name], low, high }
  })
  const error = calibration ? ` Expected error of a share: ${(100 * calibration.expectedError).toFixed(1)} points.` : ''
  return (
    barChart(bars, {
      caption: 'Share of each domain in the training texts',
      head: ['domain', 'share', 'interval'],
      format: percent,
      covers: coversOf(one),
      file: 'mixture.csv',
      many: 'domains',
    }) +
    `<p class="soft">${percent(one.level)} intervals of ${escapeHtml(one.intervalIncludes)}.${error}</p>` +
    others(mixtures)
  )
}

/** Counts of each domain: of its texts, and of the training texts that are its. */
function domains({ texts }: TraceResult): string {
  const show = (rows: readonly [string, NonNullable<TraceResult['texts']>[string]][]) =>
    `<div class="blocks">${table(
      ['domain', 'texts', 'excluded', 'possible', 'likely'],
      rows.map(([name, of]) => [
        breakable(name),
        String(of.pool),
        `${of.excluded}<small>${percent(of.excludedShare)}</small>`,
        String(of.pool - of.excluded),
        String(of.likely),
      ]),
      { caption: 'Candidate texts', className: 'free' },
    )}${table(
      ['domain', 'among these', 'elsewhere'],
      rows.map(([name, of]) => [breakable(name), whole(of.inside), whole(of.outside)]),
      { caption: 'Training texts, estimated', className: 'free' },
    )}</div>`
  return folded(Object.entries(texts!), show, (rest) => `${rest.length} more domains`)
}

const cut = (text: string): string => (text.length > longestText ? `${text.slice(0, longestText)}…` : text)

function memberItem({ probability, byTable, domain, source, text }: Member): string {
  const table = byTable === undefined ? '' : ` (${percent(byTable)} by the table alone)`
  return (
    `<li>${escapeHtml(cut(text))}<small>${percent(probability)}${table} · ${escapeHtml(domain)} · ` +
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
  const items = ranked.slice(0, mostTokens).map(({ id, token, score, state, probability, target }) => {
    const told =
      state === 'target'
        ? `${percent(target!)} last`
        : probability === undefined
          ? `${score.toPrecision(3)}${state === 'undecided' ? ' ?' : ''}`
          : percent(probability)
    return `<li><code>${escapeHtml(token || `#${id}`)}</code><span>${told}</span></li>`
  })
  const rest = tokens.length - items.length
  return (
    `<p><input id="find" type="search" placeholder="search" aria-label="search among the tokens" hidden></p>` +
    `<ul class="ranked" tabindex="0" aria-label="tokens, the clearest first">${items.join('')}</ul>` +
    (rest > 0 ? `<p class="soft">${rest} more are in tokens.jsonl.</p>` : '')
  )
}
