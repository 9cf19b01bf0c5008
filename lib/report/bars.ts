// Charts whose rows are the rows of a table: they grow with the page, and their numbers are text.
import { mostSeries } from './charts.js'
import { breakable, escapeHtml } from './escape.js'
import { csvDownload, folded, table, type Cell } from './tables.js'

/** What an interval covers: the draw of the probes alone, or the method's own error too. */
export type Covers = 'sampling' | 'all'

export interface Bar {
  name: string
  value: number
  /** of the interval; both absent: none */
  low?: number
  high?: number
  /** a value to compare with, such as a claimed share */
  other?: number
}

export interface BarOptions {
  caption: string
  /** heads of the columns: what the rows are, what the bars show, what stands behind them */
  head: readonly [string, string, string?]
  format: (value: number) => string
  /** default: all */
  covers?: Covers
  /** of the link with the numbers */
  file: string
  /** what many rows are called */
  many?: string
  /** what `other` is */
  otherName?: string
  /** of many rows: the largest first (default), whose rest is told with its sum; the least first; or as given */
  order?: 'most' | 'least' | 'given'
  /** a colour for each row, the same as of its line in a chart; default: one for all */
  colored?: boolean
  /** default: the largest value, or end of an interval */
  most?: number
}

/** Where the longest bar ends, in percent of the cell: its value stands behind it. */
const room = 66

const at = (value: number): string => `${+value.toFixed(2)}%`

/** Bars to the right, their values on them, with the intervals' ends; many of them are folded, the longest first. */
export function barChart(given: readonly Bar[], options: BarOptions): string {
  const {
    caption,
    head,
    format,
    covers = 'all',
    file,
    many = 'rows',
    otherName = 'other',
    order = 'most',
    colored = false,
  } = options
  const most =
    options.most ?? Math.max(1e-12, ...given.map(({ value, high, other }) => Math.max(value, high ?? 0, other ?? 0)))
  const inks = given.map((bar, i) => ({ ...bar, series: colored ? i % 8 : 0 }))
  const sorted = order !== 'given' && given.length > mostSeries
  const bars = sorted ? inks.toSorted((a, b) => (order === 'least' ? -1 : 1) * (b.value - a.value)) : inks
  const withRange = given.some(({ low }) => low !== undefined)
  const show = (some: readonly (typeof bars)[number][]) =>
    table(
      head.slice(0, withRange ? 3 : 2).map((name) => escapeHtml(name ?? '')),
      some.map((bar): Cell[] => [
        breakable(bar.name),
        `<svg class="s${bar.series}" height="22" role="img" aria-label="${escapeHtml(labelOf(bar, options))}">` +
          `${drawn(bar, most, options)}</svg>`,
        ...(withRange ? [bar.low === undefined ? '–' : rangeOf(bar, format)] : []),
      ]),
      { caption, className: withRange ? 'plots' : 'plots bare' },
    )
  const togetherOf = (some: readonly Bar[]) =>
    order === 'most' ? `, ${format(some.reduce((total, { value }) => total + value, 0))} together` : ''
  const csv = [
    ['name', 'value', 'low', 'high', ...(given.some(({ other }) => other !== undefined) ? [otherName] : [])],
    ...given.map(({ name, value, low, high, other }) => [
      name,
      value,
      low ?? null,
      high ?? null,
      ...(other === undefined ? [] : [other]),
    ]),
  ]
  return (
    `<figure>${folded(bars, show, (rest) => `${rest.length} more ${many}${togetherOf(rest)}`)}` +
    `${covers === 'sampling' && withRange ? samplingKey : ''}${csvDownload(file, csv)}</figure>`
  )
}

const samplingKey =
  '<p class="soft"><svg width="40" height="10" aria-hidden="true"><line class="interval sampling" x1="0" x2="40" ' +
  'y1="5" ' +
  'y2="5"/></svg> Dashed: an interval of sampling alone. Other probes would move the share so far; how far the ' +
  'method ' +
  'itself errs is not in it.</p>'

const rangeOf = ({ low, high }: Bar, format: (value: number) => string): string =>
  `${format(low!).replace(/ %$/, '')} – ${escapeHtml(format(high!))}`

function labelOf({ name, value, low, high, other }: Bar, { format, covers, otherName }: BarOptions): string {
  const interval =
    low === undefined ? '' : `, ${format(low)} to ${format(high!)}${covers === 'sampling' ? ' by sampling alone' : ''}`
  return `${name}: ${format(value)}${interval}${other === undefined ? '' : `, ${otherName} ${format(other)}`}`
}

function drawn({ value, low, high, other }: Bar, most: number, { format, covers = 'all' }: BarOptions): string {
  const x = (share: number) => at((room * Math.max(0, share)) / most)
  const ends =
    low === undefined || high === undefined
      ? ''
      : `<line class="halo" x1="${x(low)}" x2="${x(high)}" y1="11" y2="11"/>` +
        `<line class="interval ${covers}" x1="${x(low)}" x2="${x(high)}" y1="11" y2="11"/>` +
        (covers === 'all'
          ? [low, high].map((end) => `<line class="interval" x1="${x(end)}" x2="${x(end)}" y1="6" y2="16"/>`).join('')
          : '')
  const mark = other === undefined ? '' : `<line class="threshold" x1="${x(other)}" x2="${x(other)}" y1="0" y2="22"/>`
  return (
    `<rect class="bar" x="0" y="3" height="16" width="${x(value)}"/>${ends}${mark}` +
    `<text class="value" x="${x(Math.max(value, high ?? 0, other ?? 0))}" dx="6" ` +
    `y="15.5">${escapeHtml(format(value))}</text>`
  )
}

/** A row of a strip: marks on one scale, one of them the answer. */
export interface Strip {
  name: string
  value: number
  low: number
  high: number
  others: readonly { name: string; value: number }[]
}

/** Where several ways to read the same number put it: a line for each, the answer's thick, in its interval. */
export function stripChart(rows: readonly Strip[], caption: string, format: (value: number) => string): string {
  const most = Math.max(1e-12, ...rows.flatMap(({ high, others }) => [high, ...others.map(({ value }) => value)]))
  const x = (share: number) => at((100 * Math.max(0, share)) / (most * 1.02))
  const line = (share: number, kind: string) =>
    `<line class="mark${kind}" x1="${x(share)}" x2="${x(share)}" y1="${kind ? 5 : 2}" y2="${kind ? 17 : 20}"/>`
  const show = (some: readonly Strip[]) =>
    table(
      ['domain', `0 to ${escapeHtml(format(most))}`],
      some.map(({ name, value, low, high, others }): Cell[] => {
        const told = others.map((other) => `${other.name} ${format(other.value)}`).join(', ')
        return [
          breakable(name),
          `<svg class="s0" height="22" role="img" aria-label="${escapeHtml(`${name}: ${format(value)}; ${told}`)}">` +
            `<rect class="span" x="${x(low)}" width="${x(high - low)}" y="3" height="16"/>` +
            '<line class="grid" x1="0" x2="100%" y1="21" y2="21"/>' +
            `${others.map((other) => line(other.value, ' other')).join('')}${line(value, '')}</svg>`,
        ]
      }),
      { caption, className: 'plots bare' },
    )
  return `<figure>${folded(rows, show, (rest) => `${rest.length} more domains`)}</figure>`
}
