// The page of `warp recover`.
import { barChart, stripChart, type Covers } from './bars.js'
import { legend, lineChart, lineLabel, mostSeries, type Series } from './charts.js'
import { breakable, escapeHtml } from './escape.js'
import { claimFigures, coversOf, diagnosticLines, percent, seconds, settingsText } from './facts.js'
import { htmlPage, list, section, wordTable } from './page.js'
import { commandLine } from './provenance.js'
import type { RecoverResult } from './schema.js'
import { folded, grid, table } from './tables.js'
import { answerOf, bestOf, guarantees, limits, modelsOf, sentence } from './words.js'

/** The result as one HTML page. @param date when it was made; default: now */
export function htmlReport(result: RecoverResult, date?: Date): string {
  const { diagnostics, notes } = result
  const [base, reference] = modelsOf(result)
  return htmlPage({
    title: `What ${reference} was trained on, starting from ${base}`,
    answer: answerOf(result, reference),
    verdict: {
      word: diagnostics.verdict,
      kind: ({ ok: 'ok', weak: 'weak', unidentifiable: 'bad' } as const)[diagnostics.verdict],
      guarantee: guarantees[diagnostics.verdict],
      reasons: diagnostics.reasons.map(sentence),
    },
    sections: [
      section('Recovered mixture', shares(result)),
      section('The claimed mixture', claimedShares(result)),
      section('Every readout', everyReadout(result)),
      section('What speaks for it', wordTable(diagnosticLines(result).map(({ name, text }) => [name, text]))),
      section('Along the path from base to reference', alongPath(result)),
      section('The probes', domainTable(result)),
      notes.length > 0 ? section('Notes', list(notes)) : '',
    ],
    how: how(result),
    limits: limits(result),
    provenance: {
      date,
      command: commandLine(['recover'], result.command),
      tool: result.tool,
      facts: runFacts(result),
      files: result.inputs,
    },
    result,
  })
}

function shares(result: RecoverResult): string {
  const { recommended, domains } = result
  const best = bestOf(result)
  const covers: Covers = coversOf(best)
  const bars = domains.map(({ name }) => {
    const [low, high] = recommended.interval[name]
    return { name, value: recommended.mixture[name], low, high, other: result.claimed?.mixture[name] }
  })
  const interval = best ? ` The ${percent(best.level)} interval covers ${escapeHtml(best.intervalIncludes)}.` : ''
  const byTokens = recommended.mixtureByTokens
  return (
    barChart(bars, {
      caption:
        `Share of each domain in the training texts, by ${recommended.readout}` +
        (result.claimed ? '; upright lines: as claimed' : ''),
      otherName: 'claimed',
      head: ['domain', 'share', covers === 'sampling' ? 'sampling alone' : 'interval'],
      format: percent,
      covers,
      file: 'mixture.csv',
      colored: result.domains.length <= mostSeries,
      many: 'domains',
    }) +
    `<p class="soft">Readout ${escapeHtml(recommended.readout)}: ${escapeHtml(recommended.reason)}.${interval}</p>` +
    (byTokens
      ? barChart(
          domains.map(({ name }) => ({ name, value: byTokens[name] })),
          {
            caption: 'The same as shares of the tokens that were learned',
            head: ['domain', 'share'],
            format: percent,
            file: 'mixture-by-tokens.csv',
            many: 'domains',
          },
        )
      : '')
  )
}

function claimedShares(result: RecoverResult): string {
  const { claimed, recommended } = result
  if (!claimed) return ''
  return (
    `<p><strong>${escapeHtml(claimed.verdict)}</strong>: ${escapeHtml(claimed.reason)}.</p>` +
    grid(
      ordered(result).map((name) => {
        const [told, found] = [claimed.mixture[name], recommended.mixture[name]]
        return { name, values: [told, found, found - told] }
      }),
      {
        caption: 'Shares in %',
        corner: 'domain',
        columns: ['claimed', 'recovered', 'difference'],
        format: (share) => (100 * share).toFixed(1),
        file: 'claimed.csv',
        many: 'domains',
      },
    ) +
    `<p class="soft">Distance (half the sum of the differences, beyond the rounding of the claim): ` +
    `${escapeHtml(claimFigures(claimed))}.</p>`
  )
}

/** Domains as they were given; of many, the largest shares first. */
function ordered({ domains, recommended: { mixture } }: RecoverResult): string[] {
  const names = domains.map(({ name }) => name)
  return names.length > mostSeries ? names.toSorted((a, b) => mixture[b] - mixture[a]) : names
}

function everyReadout(result: RecoverResult): string {
  const { mixtures, recommended, skipped } = result
  const others = mixtures.filter(({ readout }) => readout !== recommended.readout)
  const order = ordered(result)
  const strips = order.map((name) => {
    const [low, high] = recommended.interval[name]
    const told = others.map(({ readout, mixture }) => ({ name: readout, value: mixture[name] }))
    return { name, value: recommended.mixture[name], low, high, others: told }
  })
  const digits = (share: number) => (100 * share).toFixed(1)
  return (
    stripChart(
      strips,
      `Where each readout puts a share: ${recommended.readout} thick, in its interval; the others grey`,
      percent,
    ) +
    '<p class="soft">Below each share stands its interval, in brackets where it is one of sampling alone.</p>' +
    grid(
      order.map((name) => ({ name, values: mixtures.map(({ mixture }) => mixture[name]) })),
      {
        caption: 'Shares in %, with intervals',
        corner: 'domain',
        columns: mixtures.map(({ readout }) => readout),
        format: digits,
        heat: true,
        small: (row, column) => {
          const [low, high] = mixtures[column].interval[order[row]]
          const range = `${digits(low)}–${digits(high)}`
          return coversOf(mixtures[column]) === 'sampling' ? `(${range})` : range
        },
        file: 'readouts.csv',
        many: 'domains',
      },
    ) +
    `<details><summary>What each readout is</summary>${wordTable(
      mixtures.map(({ readout, description, settings, intervalIncludes }) => [
        readout,
        [description, settingsText(settings), `interval: ${intervalIncludes}`].filter(Boolean).join('; '),
      ]),
    )}</details>` +
    list(skipped.map(({ readout, reason }) => `${readout} left out: ${reason}`))
  )
}

function alongPath(result: RecoverResult): string {
  const { domains, lambdas, footprint, loss } = result
  // the first ones get the colours
  const order = ordered(result).map((name) => domains.findIndex((domain) => domain.name === name))
  const scores = order.map(
    (d): Series => ({
      name: domains[d].name,
      x: lambdas,
      y: footprint.mean[d],
      error: footprint.standardError[d],
    }),
  )
  const losses = order.map((d): Series => ({ name: domains[d].name, x: [0, ...lambdas, 1], y: loss[d] }))
  const figure = (caption: string, unit: string, series: Series[]) =>
    `<figure><figcaption>${escapeHtml(caption)}</figcaption>` +
    `${lineChart(lineLabel(caption, series), { y: unit }, series)}</figure>`
  const numbers = (caption: string, columns: string[], values: number[][], file: string) =>
    grid(
      order.map((d) => ({ name: domains[d].name, values: values[d] })),
      { caption, corner: 'domain', columns, format: significant, heat: true, file, many: 'domains' },
    )
  const points = lambdas.map((lambda) => `λ ${+lambda.toFixed(4)}`)
  return (
    `<div class="side">${figure('Mean Mimic Score of each domain, with its standard error', 'score', scores)}` +
    `${figure('Mean loss of each domain', 'nats', losses)}</div>${legend(order.map((d) => domains[d].name))}` +
    `<details><summary>The numbers</summary>${numbers('Mean Mimic Score', points, footprint.mean, 'footprint.csv')}` +
    `${numbers('Mean loss in nats', ['base', ...points, 'reference'], loss, 'loss.csv')}</details>`
  )
}

const significant = (value: number): string =>
  value !== 0 && Math.abs(value) < 1e-3 ? value.toExponential(1) : String(+value.toPrecision(3))

function domainTable({ domains, diagnostics }: RecoverResult): string {
  const { accuracy } = diagnostics
  const show = (some: typeof domains) =>
    table(
      ['domain', 'probes', 'cut off', ...(accuracy ? ['accuracy'] : [])],
      some.map(({ name, probes, truncated }) => [
        breakable(name),
        String(probes),
        String(truncated),
        ...(accuracy ? [percent(accuracy.domains[name])] : []),
      ]),
      { caption: `Texts of each domain${accuracy ? ', and the share that the reference labels as given' : ''}` },
    )
  return folded(
    domains,
    (some) => show([...some]),
    (rest) => `${rest.length} more domains`,
  )
}

function how({ path, scope, lambdas, recommended }: RecoverResult): string[] {
  return [
    'Base and reference are merged along a path: models between the two stand for the hidden steps of the training.',
    `At ${lambdas.length} points of the ${path} path, the loss of every probe and its gradient are computed ` +
      `(scope ${scope}).`,
    'A domain whose gradients point where the weights went was trained on; one whose gradients do not was not.',
    `The readout ${recommended.readout} turns this into shares; others that use other evidence are listed for ` +
      `comparison.`,
    'The probes are drawn again many times: how far the shares move gives the interval, to which the error of the ' +
      'method ' +
      'is added where it was measured.',
  ]
}

function runFacts({ tool, timings, path, lambdas, scope, seed, peakMemoryBytes }: RecoverResult): [string, string][] {
  const phases = Object.entries(timings).map(([phase, time]) => `${phase} ${time.toFixed(1)}`)
  return [
    ['on', `${tool.device}, products ${tool.library}`],
    ['path', `${path}, ${lambdas.length} points, scope ${scope}, seed ${seed}`],
    ['time', `${seconds(timings).toFixed(1)} s (${phases.join(', ')})`],
    ['memory', `${Math.ceil(peakMemoryBytes / 2 ** 20)} MiB at the peak`],
  ]
}
