/** Charts as inline SVG: strings in, a string out; colours come from the page's style sheet. */

/** For text and attribute values of HTML and SVG. */
export function escapeHtml(text: string): string {
  const named: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' }
  // NUL and other control characters are not allowed in HTML at all.
  return text.replace(/[&<>"']/g, (character) => named[character]).replace(/[^\P{Cc}\t\n]/gu, '\ufffd')
}

/** Eight colours that remain distinct in colour-blind eyes (Okabe and Ito), again with dashes after eight. */
const palette = ['#0072b2', '#d55e00', '#009e73', '#cc79a7', '#e69f00', '#56b4e9', '#7a5cc0', '#8a8a00']
export function seriesStyle(index: number): { color: string; dash: string } {
  return { color: palette[index % palette.length], dash: ['', '6 3', '2 3'][Math.floor(index / palette.length) % 3] }
}

export interface Bar {
  name: string
  value: number
  low: number
  high: number
}

/** Horizontal bars of shares with intervals. */
export function barChart(label: string, bars: Bar[]): string {
  const [left, width, row] = [170, 430, 28]
  const height = bars.length * row + 30
  const top = Math.min(1, Math.max(0.05, ...bars.map(({ high }) => high)))
  const step = niceStep(top / 5)
  const x = (share: number) => left + (share / top) * width
  const parts = ticks(0, top, step).map(
    (tick) =>
      `<line class="grid" x1="${at(x(tick))}" x2="${at(x(tick))}" y1="0" y2="${height - 24}"/>` +
      `<text class="axis" x="${at(x(tick))}" y="${height - 8}" text-anchor="middle">${at(100 * tick)} %</text>`,
  )
  bars.forEach(({ name, value, low, high }, i) => {
    const y = i * row + 5
    const middle = y + 9
    parts.push(
      `<g><title>${escapeHtml(name)}: ${at(100 * value)} % (${at(100 * low)} to ${at(100 * high)} %)</title>` +
        `<text x="${left - 8}" y="${middle + 4}" text-anchor="end">${escapeHtml(shorten(name, 24))}</text>` +
        `<rect x="${left}" y="${y}" width="${at(x(value) - left)}" height="18" fill="${seriesStyle(i).color}"/>` +
        `<path class="interval" d="M${at(x(low))} ${middle}H${at(x(high))}M${at(x(low))} ${middle - 5}v10` +
        `M${at(x(high))} ${middle - 5}v10"/></g>`,
    )
  })
  return svg(label, left + width + 40, height, parts)
}

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

/** Bars of counts on a logarithmic scale, one kind on the other. */
export function histogramChart(label: string, unit: string, { edges, below, above, threshold }: Histogram): string {
  const [left, top, width, height] = [60, 20, 540, 200]
  const [low, high] = [edges[0], edges[edges.length - 1]]
  const most = Math.max(1, ...below.map((count, i) => count + above[i]))
  const x = (value: number) => left + ((value - low) / (high - low || 1)) * width
  const y = (count: number) => top + height - (Math.log1p(count) / Math.log1p(most)) * height
  const counts = Array.from({ length: 1 + Math.floor(Math.log10(most)) }, (_, i) => 10 ** i)
  const parts = counts.map(
    (count) =>
      `<line class="grid" x1="${left}" x2="${left + width}" y1="${at(y(count))}" y2="${at(y(count))}"/>` +
      `<text class="axis" x="${left - 6}" y="${at(y(count) + 4)}" text-anchor="end">${count}</text>`,
  )
  below.forEach((count, i) => {
    const [from, to] = [x(edges[i]), x(edges[i + 1])]
    const bar = (first: number, last: number, color: string) =>
      last > first
        ? `<rect x="${at(from)}" width="${at(Math.max(0.5, to - from - 0.5))}" y="${at(y(last))}" ` +
          `height="${at(y(first) - y(last))}" fill="${color}"/>`
        : ''
    parts.push(bar(0, count, seriesStyle(0).color) + bar(count, count + above[i], seriesStyle(1).color))
  })
  for (const tick of ticks(low, high, niceStep((high - low) / 6))) {
    const where = `x="${at(x(tick))}" y="${top + height + 16}"`
    parts.push(`<text class="axis" ${where} text-anchor="middle">${at(tick)}</text>`)
  }
  if (threshold !== null && threshold >= low && threshold <= high) {
    parts.push(
      `<path class="interval" d="M${at(x(threshold))} ${top - 6}V${top + height}"><title>threshold</title></path>`,
    )
  }
  parts.push(
    `<text class="axis" x="${left + width / 2}" y="${top + height + 34}" ` +
      `text-anchor="middle">${escapeHtml(unit)}</text>`,
  )
  return svg(label, left + width + 20, top + height + 40, parts)
}

export interface Series {
  name: string
  x: number[]
  y: number[]
  /** half-widths of a band around y */
  error?: (number | null)[]
}

/** Lines over λ in [0, 1], with bands where errors are given. */
export function lineChart(label: string, unit: string, series: Series[]): string {
  const [left, top, width, height] = [60, 12, 540, 240]
  const values = series.flatMap(({ y, error }) => y.flatMap((v, i) => [v - (error?.[i] ?? 0), v + (error?.[i] ?? 0)]))
  const low = Math.min(0, ...values)
  const high = Math.max(0, ...values)
  const span = high - low || 1
  const x = (value: number) => left + value * width
  const y = (value: number) => top + height - ((value - low) / span) * height
  const parts = ticks(low, high, niceStep(span / 5)).map(
    (tick) =>
      `<line class="grid" x1="${left}" x2="${left + width}" y1="${at(y(tick))}" y2="${at(y(tick))}"/>` +
      `<text class="axis" x="${left - 6}" y="${at(y(tick) + 4)}" text-anchor="end">${at(tick)}</text>`,
  )
  for (const tick of [0, 0.25, 0.5, 0.75, 1]) {
    parts.push(`<text class="axis" x="${at(x(tick))}" y="${top + height + 18}" text-anchor="middle">${tick}</text>`)
  }
  parts.push(
    `<text class="axis" x="${left + width / 2}" y="${top + height + 34}" text-anchor="middle">λ</text>`,
    `<text class="axis" x="4" y="${top - 1}">${escapeHtml(unit)}</text>`,
  )
  series.forEach((one, i) => {
    const { color, dash } = seriesStyle(i)
    const point = (k: number, by: number) => `${at(x(one.x[k]))},${at(y(one.y[k] + by))}`
    const indices = [...one.x.keys()]
    if (one.error) {
      const upper = indices.map((k) => point(k, one.error![k] ?? 0))
      const lower = indices.toReversed().map((k) => point(k, -(one.error![k] ?? 0)))
      parts.push(`<polygon points="${[...upper, ...lower].join(' ')}" fill="${color}" opacity=".15"/>`)
    }
    parts.push(
      `<polyline points="${indices.map((k) => point(k, 0)).join(' ')}" fill="none" stroke="${color}" ` +
        `stroke-width="2"${dash && ` stroke-dasharray="${dash}"`}><title>${escapeHtml(one.name)}</title></polyline>`,
    )
  })
  return svg(label, left + width + 20, top + height + 40, parts)
}

function svg(label: string, width: number, height: number, parts: string[]): string {
  return (
    `<svg role="img" aria-label="${escapeHtml(label)}" viewBox="0 0 ${width} ${height}" width="${width}">` +
    `${parts.join('')}</svg>`
  )
}

/** A number for an attribute or a label: at most five significant digits, never in exponent form. */
function at(value: number): string {
  return String(+value.toFixed(Math.abs(value) >= 1 ? 2 : 5))
}

/** The next of 1, 2, 5 times a power of ten. */
function niceStep(rough: number): number {
  const power = 10 ** Math.floor(Math.log10(rough))
  return power * ([1, 2, 5].find((factor) => factor * power >= rough * (1 - 1e-9)) ?? 10)
}

function ticks(low: number, high: number, step: number): number[] {
  const out: number[] = []
  for (let i = Math.ceil(low / step); i * step <= high + 1e-9 * step; i++) out.push(i * step)
  return out
}

function shorten(name: string, longest: number): string {
  const characters = [...name]
  return characters.length > longest ? `${characters.slice(0, longest - 1).join('')}…` : name
}
