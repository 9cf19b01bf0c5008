import { barChart, escapeHtml, lineChart, seriesStyle } from './charts.js'
import { diagnosticLines, percent, seconds, settingsText } from './facts.js'
import { htmlPage, inputTable, list, section, table, wordTable } from './page.js'
import type { RecoverResult } from './schema.js'

/** The result as one HTML page. */
export function htmlReport(result: RecoverResult): string {
  const { recommended, diagnostics } = result
  const best = result.mixtures.find(({ readout }) => readout === recommended.readout)
  const bars = result.domains.map(({ name }) => {
    const [low, high] = recommended.interval[name]
    return { name, value: recommended.mixture[name], low, high }
  })
  const sections = [
    `<h1>Recovered mixture</h1><p class="soft">${escapeHtml(inputsLine(result))}</p>`,
    barChart(`Recovered shares of ${bars.length} domains with intervals`, bars),
    `<p>Verdict: <span class="verdict ${diagnostics.verdict}">${diagnostics.verdict}</span>. ` +
      `${escapeHtml(sentences(diagnostics.reasons))}</p>`,
    `<p>Readout ${escapeHtml(recommended.readout)}: ${escapeHtml(recommended.reason)}.` +
      `${best ? ` The interval covers ${escapeHtml(best.intervalIncludes)}.` : ''}</p>`,
    section('Every readout', mixtureTable(result) + skippedList(result)),
    section('Diagnostics', wordTable(diagnosticLines(result).map(({ name, text }) => [name, text]))),
    section('Footprint', footprintChart(result) + legend(result)),
    section('Loss along the path', lossChart(result) + legend(result)),
    section('Domains', domainTable(result)),
    result.notes.length > 0 ? section('Notes', list(result.notes)) : '',
    section('Inputs', inputTable(result.inputs)),
    section('Run', runTable(result)),
  ]
  return htmlPage('Recovered mixture', sections)
}

function sentences(reasons: string[]): string {
  return reasons.map((reason) => `${reason.charAt(0).toUpperCase()}${reason.slice(1)}.`).join(' ')
}

function inputsLine(result: RecoverResult): string {
  const roles = ['base', 'reference', 'probes'].map((role) => {
    const paths = result.inputs.flatMap((input) => (input.role === role ? [input.path] : []))
    return `${role} ${paths.join(', ')}`
  })
  return roles.join(' · ')
}

function mixtureTable(result: RecoverResult): string {
  const rows = result.mixtures.map(({ readout, description, settings, mixture, interval }) => [
    `${escapeHtml(readout)}<small>${escapeHtml([description, settingsText(settings)].filter(Boolean).join('; '))}` +
      '</small>',
    ...result.domains.map(({ name }) => {
      const [low, high] = interval[name]
      return `${percent(mixture[name])}<small>${(100 * low).toFixed(1)} – ${(100 * high).toFixed(1)}</small>`
    }),
  ])
  const classes = result.mixtures.map(({ readout }) => (readout === result.recommended.readout ? 'best' : ''))
  return table(['', ...result.domains.map(({ name }) => escapeHtml(name))], rows, classes)
}

function skippedList({ skipped }: RecoverResult): string {
  return skipped.length > 0 ? list(skipped.map(({ readout, reason }) => `${readout} left out: ${reason}`)) : ''
}

function footprintChart({ domains, lambdas, footprint }: RecoverResult): string {
  const series = domains.map(({ name }, d) => ({
    name,
    x: lambdas,
    y: footprint.mean[d],
    error: footprint.standardError[d],
  }))
  return lineChart('Mean Mimic Score of each domain along the path', 'score ± standard error', series)
}

function lossChart({ domains, lambdas, loss }: RecoverResult): string {
  const series = domains.map(({ name }, d) => ({ name, x: [0, ...lambdas, 1], y: loss[d] }))
  return lineChart('Mean loss of each domain from base to reference', 'nats', series)
}

function legend({ domains }: RecoverResult): string {
  const items = domains.map(({ name }, d) => {
    const { color, dash } = seriesStyle(d)
    const line = dash ? `stroke-dasharray="${dash}" ` : ''
    return (
      `<li><svg width="24" height="8" viewBox="0 0 24 8" aria-hidden="true"><path d="M0 4H24" stroke="${color}" ` +
      `${line}stroke-width="3"/></svg> ${escapeHtml(name)}</li>`
    )
  })
  return `<ul class="legend">${items.join('')}</ul>`
}

function domainTable({ domains, diagnostics }: RecoverResult): string {
  const { accuracy } = diagnostics
  return table(
    ['', 'probes', 'truncated', 'accuracy of the reference'],
    domains.map(({ name, probes, truncated }) => [
      escapeHtml(name),
      String(probes),
      String(truncated),
      accuracy ? percent(accuracy.domains[name]) : '–',
    ]),
  )
}

function runTable(result: RecoverResult): string {
  const { tool, timings } = result
  const phases = Object.entries(timings).map(([phase, time]) => `${phase} ${time.toFixed(1)}`)
  return wordTable([
    [
      'tool',
      `${tool.name} ${tool.version}${tool.commit ? ` (${tool.commit.slice(0, 12)})` : ''}, ${tool.device}, ` +
        `products ${tool.library}`,
    ],
    ['path', `${result.path}, ${result.lambdas.length} points, scope ${result.scope}, seed ${result.seed}`],
    ['time', `${seconds(timings).toFixed(1)} s (${phases.join(', ')})`],
    ['memory', `${Math.ceil(result.peakMemoryBytes / 2 ** 20)} MiB at the peak`],
    ['options', JSON.stringify(result.command)],
  ])
}
