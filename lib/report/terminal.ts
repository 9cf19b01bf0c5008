import picocolors from 'picocolors'
import { displayWidth, padEnd, padStart, safeName, tableBlocks, wrap } from './columns.js'
import { printable } from '../printable.js'
import { claimFigures, coversOf, diagnosticLines, percent, seconds, settingsText } from './facts.js'
import type { RecoverResult } from './schema.js'

export interface TerminalOptions {
  /** with ANSI colours; default false */
  color?: boolean
  /** columns; default 100 */
  width?: number
}

type Paint = ReturnType<typeof picocolors.createColors>

/** Columns of the longest bar. */
const BAR = 30

/** The result as text for people: the recommended mixture with bars, the verdict, every readout, diagnostics, notes. */
export function terminalReport(result: RecoverResult, { color = false, width = 100 }: TerminalOptions = {}): string {
  const paint = picocolors.createColors(color)
  const body = Math.max(40, width - 2)
  const lines: string[] = []
  const title = (text: string) => lines.push('', paint.bold(text))
  const indented = (text: string[]) => lines.push(...text.map((line) => `  ${line}`))
  const labelled = (entries: { name: string; text: string }[]) => {
    const room = Math.max(...entries.map(({ name }) => displayWidth(name))) + 2
    for (const { name, text } of entries) {
      wrap(printable(text, 1000), body - room).forEach((line, i) =>
        lines.push(`  ${i === 0 ? paint.dim(padEnd(name, room)) : ' '.repeat(room)}${line}`),
      )
    }
  }

  const { recommended, diagnostics } = result
  const best = result.mixtures.find(({ readout }) => readout === recommended.readout)
  const settings = best ? settingsText(best.settings) : ''
  lines.push(`${paint.bold('Recovered mixture')}  ${recommended.readout}${settings && paint.dim(` (${settings})`)}`)
  indented(mixtureBars(result, paint, body, coversOf(best) === 'sampling'))
  const key = '█ to the lower end, ▓ to the estimate, ░ to the upper end of the interval'
  indented(wrap(key, body).map((line) => paint.dim(line)))
  const shade = { ok: paint.green, weak: paint.yellow, unidentifiable: paint.red }[diagnostics.verdict]
  lines.push('', `${paint.bold('Verdict')}  ${shade(diagnostics.verdict)}`)
  labelled([
    ...diagnostics.reasons.map((text) => ({ name: '-', text })),
    { name: 'readout', text: `${recommended.readout}: ${recommended.reason}` },
    ...(best ? [{ name: 'interval', text: intervalText(best) }] : []),
  ])
  const { claimed } = result
  if (claimed) {
    const shade = { consistent: paint.green, not: paint.red, "can't tell": paint.yellow }[claimed.verdict]
    lines.push('', `${paint.bold('Claimed mixture')}  ${shade(claimed.verdict)}`)
    labelled([
      { name: '-', text: claimed.reason },
      { name: 'distance', text: claimFigures(claimed) },
    ])
  }
  title('Every readout, shares in %')
  const inPercent = (mixture: Record<string, number>) =>
    result.domains.map(({ name }) => (100 * mixture[name]).toFixed(1))
  tableBlocks(
    ['', ...result.domains.map(({ name }) => safeName(name, 20))],
    [
      ...result.mixtures.map(({ readout, mixture }) => [safeName(readout), ...inPercent(mixture)]),
      ...(claimed ? [['as claimed', ...inPercent(claimed.mixture)]] : []),
    ],
    body,
  ).forEach(([head, ...rows], block) => {
    if (block > 0) lines.push('')
    indented([paint.dim(head), ...rows.map((row, i) => (result.mixtures[i] === best ? paint.bold(row) : row))])
  })
  if (result.skipped.length > 0) {
    lines.push('')
    labelled(result.skipped.map(({ readout, reason }) => ({ name: readout, text: `left out: ${reason}` })))
  }
  title('Diagnostics')
  labelled(diagnosticLines(result))
  if (result.notes.length > 0) {
    title('Notes')
    labelled(result.notes.map((text) => ({ name: '-', text })))
  }
  lines.push('', ...wrap(printable(closingLine(result)), width).map((line) => paint.dim(line)))
  return `${lines.join('\n')}\n`
}

const intervalText = (best: RecoverResult['mixtures'][number]): string =>
  coversOf(best) === 'sampling'
    ? `of sampling alone, hence in brackets: covers ${best.intervalIncludes}`
    : `covers ${best.intervalIncludes}`

/** One line per domain: share, bar in three shades (to the lower end, the estimate, the upper end), interval. */
function mixtureBars(result: RecoverResult, paint: Paint, width: number, sampling: boolean): string[] {
  const { mixture, interval } = result.recommended
  const names = result.domains.map(({ name }) => safeName(name))
  const room = Math.max(...names.map(displayWidth))
  const bar = Math.max(8, Math.min(BAR, width - room - 28))
  const full = Math.max(...Object.values(interval).map(([, high]) => high), 1e-9)
  return result.domains.map(({ name }, d) => {
    const [low, high] = interval[name]
    const [solid, middle, all] = [low, mixture[name], high].map((share) => Math.round((bar * share) / full))
    const drawn = paint.cyan('█'.repeat(solid) + '▓'.repeat(middle - solid) + '░'.repeat(all - middle))
    const ends = `${(100 * low).toFixed(1)} – ${percent(high)}`
    const range = sampling ? `(${ends})` : ends
    return (
      `${padEnd(names[d], room)}  ${paint.bold(padStart(percent(mixture[name]), 7))}  ` +
      `${drawn}${' '.repeat(bar - all)}  ${paint.dim(padStart(range, 13))}`
    )
  })
}

function closingLine(result: RecoverResult): string {
  const probes = result.domains.reduce((sum, domain) => sum + domain.probes, 0)
  return (
    `${probes} probes, ${result.lambdas.length} points of the ${result.path} path, scope ${result.scope}, seed ` +
    `${result.seed}; ${seconds(result.timings).toFixed(1)} s, ${Math.ceil(result.peakMemoryBytes / 2 ** 20)} MiB, ` +
    `${result.tool.device}`
  )
}
