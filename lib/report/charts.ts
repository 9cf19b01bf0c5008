/** Charts with axes as inline SVG, small enough for a phone: strings in, a string out; colours come from the page. */
import { escapeHtml, shorten } from './escape.js'

/** Class of a series: one of eight colours, dashes beyond. */
export const seriesClass = (index: number): string => `s${index % 8}`

/** Counts of two kinds in the bins of one scale, each side to its own baseline, and a threshold between them. */
export interface Histogram {
  /** bins + 1 */
  edges: number[]
  /** below the threshold, above it */
  below: number[]
  above: number[]
  /** on the scale of the edges; null: none */
  threshold: number | null
}

const [left, top, width, height] = [52, 18, 376, 190]

/** Bars of counts on a logarithmic scale, one kind on the other. */
export function histogramChart(label: string, unit: string, { edges, below, above, threshold }: Histogram): string {
  const [low, high] = [edges[0], edges[edges.length - 1]]
  const most = Math.max(1, ...below.map((count, i) => count + above[i]))
  const x = (value: number) => left + ((value - low) / (high - low || 1)) * width
  const y = (count: number) => top + height - (Math.log1p(count) / Math.log1p(most)) * height
  const counts = Array.from({ length: 1 + Math.floor(Math.log10(most)) }, (_, i) => 10 ** i)
  const parts = counts.map((count) => gridLine(y(count), String(count)))
  below.forEach((count, i) => {
    const [from, to] = [x(edges[i]), x(edges[i + 1])]
    const bar = (first: number, last: number, series: number) =>
      last > first
        ? `<rect class="bar ${seriesClass(series)}" x="${at(from)}" width="${at(Math.max(0.5, to - from - 0.5))}" ` +
          `y="${at(y(last))}" height="${at(y(first) - y(last))}"/>`
        : ''
    parts.push(bar(0, count, 0) + bar(count, count + above[i], 1))
  })
  for (const tick of ticks(low, high, niceStep((high - low) / 6))) parts.push(tickLabel(x(tick), at(tick)))
  if (threshold !== null && threshold >= low && threshold <= high) {
    const right = x(threshold) > left + width / 2
    parts.push(
      `<path class="threshold" d="M${at(x(threshold))} ${top - 4}V${top + height}"/>` +
        `<text class="axis" x="${at(x(threshold) + (right ? -5 : 5))}" y="${top + 6}" ` +
        `text-anchor="${right ? 'end' : 'start'}">threshold</text>`,
    )
  }
  return svg(label, [...parts, axisName(unit), `<text class="axis" x="2" y="${top - 8}">rows</text>`])
}

export interface Series {
  name: string
  x: readonly number[]
  y: readonly number[]
  /** half-widths of a band around y */
  error?: readonly (number | null)[]
}

export interface Axes {
  /** name of the horizontal axis; default λ, from 0 to 1 */
  x?: string
  /** unit of the vertical one */
  y: string
  /** of the horizontal axis; default 0 to 1 */
  range?: [low: number, high: number]
  /** the vertical axis begins at 0 (default), or where the values do */
  fromZero?: boolean
}

/** Series with a colour of their own; the others are thin and grey. */
export const mostSeries = 8

/** Lines, with bands where errors are given. */
export function lineChart(label: string, axes: Axes, series: readonly Series[]): string {
  const { x: xName = 'λ', y: yName, range: [from, to] = [0, 1], fromZero = true } = axes
  const values = series.flatMap(({ y, error }) => y.flatMap((v, i) => [v - (error?.[i] ?? 0), v + (error?.[i] ?? 0)]))
  const zero = fromZero ? [0] : []
  const [low, high] = [Math.min(...zero, ...values), Math.max(...zero, ...values)]
  const span = high - low || 1
  const x = (value: number) => left + ((value - from) / (to - from || 1)) * width
  const y = (value: number) => top + height - ((value - low) / span) * height
  const parts = ticks(low, high, niceStep(span / 5)).map((tick) => gridLine(y(tick), at(tick), tick === 0))
  for (const tick of ticks(from, to, niceStep((to - from || 1) / 4))) parts.push(tickLabel(x(tick), at(tick)))
  const drawn = series.map((one, i) => lineOf(one, i, x, y))
  // what has a colour lies on top of what has none
  return svg(label, [...parts, ...drawn.toReversed(), axisName(xName), axisUnit(yName)])
}

function lineOf(one: Series, i: number, x: (value: number) => number, y: (value: number) => number): string {
  const kind = i < mostSeries ? seriesClass(i) : 'rest'
  const point = (k: number, by: number) => `${at(x(one.x[k]))},${at(y(one.y[k] + by))}`
  const indices = [...one.x.keys()]
  const upper = indices.map((k) => point(k, one.error?.[k] ?? 0))
  const lower = indices.toReversed().map((k) => point(k, -(one.error?.[k] ?? 0)))
  const band = one.error && i < mostSeries ? `<polygon class="band" points="${[...upper, ...lower].join(' ')}"/>` : ''
  const line = indices.map((k) => point(k, 0)).join(' ')
  return (
    `<g class="${kind}">${band}<polyline class="line" ` +
    `points="${line}"><title>${escapeHtml(one.name)}</title></polyline></g>`
  )
}

/** Which line is whose; a word for those without a colour. */
export function legend(names: readonly string[]): string {
  const swatch = (kind: string) =>
    `<svg class="${kind}" width="22" height="8" aria-hidden="true"><line class="line" x1="0" x2="22" y1="4" ` +
    `y2="4"/></svg>`
  const items = names
    .slice(0, mostSeries)
    .map((name, i) => `<li>${swatch(seriesClass(i))} ${escapeHtml(shorten(name, 60))}</li>`)
  const rest = names.length - items.length
  if (rest > 0) items.push(`<li>${swatch('rest')} ${rest} more</li>`)
  return `<ul class="legend">${items.join('')}</ul>`
}

/** First and last value of each line, for those who do not see it. */
export function lineLabel(title: string, series: readonly Series[]): string {
  const told = series
    .slice(0, mostSeries)
    .map(({ name, y }) => `${name} from ${at(y[0])} to ${at(y[y.length - 1])}`)
    .join('; ')
  return `${title}: ${told}${series.length > mostSeries ? `; ${series.length - mostSeries} more` : ''}`
}

const gridLine = (y: number, text: string, zero = false): string =>
  `<line class="${zero ? 'zero' : 'grid'}" x1="${left}" x2="${left + width}" y1="${at(y)}" y2="${at(y)}"/>` +
  `<text class="axis" x="${left - 6}" y="${at(y + 4)}" text-anchor="end">${text}</text>`
const tickLabel = (x: number, text: string): string =>
  `<text class="axis" x="${at(x)}" y="${top + height + 16}" text-anchor="middle">${text}</text>`
const axisName = (text: string): string =>
  `<text class="axis" x="${left + width / 2}" y="${top + height + 33}" text-anchor="middle">${escapeHtml(text)}</text>`
const axisUnit = (text: string): string => `<text class="axis" x="2" y="${top - 7}">${escapeHtml(text)}</text>`

function svg(label: string, parts: readonly string[]): string {
  return (
    `<svg class="chart" role="img" aria-label="${escapeHtml(label)}" ` +
    `viewBox="0 0 ${left + width + 14} ${top + height + 40}">${parts.join('')}</svg>`
  )
}

/** A number for an attribute or a label: at most five significant digits, never in exponent form. */
export function at(value: number): string {
  return String(+value.toFixed(Math.abs(value) >= 1 ? 2 : 5))
}

/** The next of 1, 2, 5 times a power of ten. */
function niceStep(rough: number): number {
  const power = 10 ** Math.floor(Math.log10(rough))
  return power * ([1, 2, 5].find((factor) => factor * power >= rough * (1 - 1e-9)) ?? 10)
}

function ticks(low: number, high: number, step: number): number[] {
  const out: number[] = []
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + 1e-9 * step; i++) out.push(i * step)
  return out
}
