import { barChart } from '../report/bars.js'
import { breakable, escapeHtml } from '../report/escape.js'
import { list, section } from '../report/page.js'
import { folded, table } from '../report/tables.js'
import type { Tables } from './part.js'
import type { WeightsResult } from './weights.js'

type TensorFigures = WeightsResult['tensors'][number]

const share = (value: number | null): string => (value === null ? '–' : `${+(100 * value).toPrecision(3)} %`)
const rounded = (value: number | null, digits = 3): string =>
  value === null ? '–' : String(+value.toPrecision(digits))
const rankText = ({ rank, effectiveRank, singularValues }: TensorFigures): string =>
  singularValues.length === 0
    ? '–'
    : rank !== null
      ? String(rank)
      : `none<small>effective ${rounded(effectiveRank)}+</small>`

/** For the terminal. */
export function weightLines(result: WeightsResult): string[] {
  const { summary, evidence, groups, decay } = result
  const width = Math.max(5, ...groups.map(({ group }) => group.length))
  const row = (name: string, cells: string[]): string =>
    `  ${name.padEnd(width)}  ${cells.map((cell) => cell.padStart(10)).join(' ')}`
  return [
    `weights: ${summary}`,
    ...evidence.map((line) => `  - ${line}`),
    ...(decay ? [`  - token rows: ${decayText(decay)}`] : []),
    row('group', ['tensors', 'relative', 'changed', 'moved', 'rounding']),
    ...groups.map((g) =>
      row(g.group, [String(g.tensors), share(g.relative), share(g.changed), share(g.moved), share(g.rounding)]),
    ),
    ...unsharedLines(result).map((line) => `  ${line}`),
  ]
}

function decayText({ decay, trained, rows, reason }: NonNullable<WeightsResult['decay']>): string {
  if (decay === null) return reason
  return `${trained} of ${rows} rows had a gradient; the others are ${(1 + decay).toPrecision(8)} times the base's`
}

function unsharedLines({ onlyBase, onlyReference, reshaped }: WeightsResult): string[] {
  const named = (what: string, names: string[]): string[] =>
    names.length > 0
      ? [`${what}: ${names.slice(0, 6).join(', ')}${names.length > 6 ? `, … (${names.length})` : ''}`]
      : []
  return [
    ...named('only in the base', onlyBase),
    ...named('only in the reference', onlyReference),
    ...named(
      'of another shape',
      reshaped.map(({ name, base, reference }) => `${name} [${base}] and [${reference}]`),
    ),
  ]
}

/** Sections of the page. */
export function weightPage(result: WeightsResult): string {
  const { summary, evidence, groups, tensors, decay } = result
  const unshared = unsharedLines(result)
  return [
    section('Weights', `<p>${escapeHtml(summary)}</p>${list(evidence)}`),
    decay ? `<p>Token rows (${escapeHtml(decay.tensor)}): ${escapeHtml(decayText(decay))}.</p>` : '',
    unshared.length > 0 ? list(unshared) : '',
    '<h3>By depth</h3>',
    barChart(
      groups.map((g) => ({ name: g.group, value: g.relative ?? 0 })),
      {
        caption: 'Size of the difference against the base: ‖reference − base‖ / ‖base‖',
        head: ['group', 'size'],
        format: share,
        file: 'group-sizes.csv',
        many: 'groups',
        order: 'given',
      },
    ),
    folded(groups, groupTable, (rest) => `${rest.length} more groups`),
    '<h3>Tensors</h3><p class="soft">Size: ‖reference − base‖ / ‖base‖. The line is the logarithm of the singular ' +
      'values, largest first, down to what rounding can give (dashed).</p>',
    folded(
      tensors.filter(({ changed }) => changed > 0),
      tensorTable,
      (rest) => `${rest.length} more tensors`,
    ),
  ].join('\n')
}

const groupTable = (groups: readonly WeightsResult['groups'][number][]): string =>
  table(
    ['group', 'changed', 'moved', 'rounding'],
    groups.map((g) => [breakable(g.group), share(g.changed), share(g.moved), share(g.rounding)]),
    { caption: 'Of the numbers: changed at all, moved beyond rounding; and what rounding can account for' },
  )

const tensorTable = (tensors: readonly TensorFigures[]): string =>
  table(
    ['tensor', 'size', 'changed', 'rank', 'values'],
    tensors.map((t) => [
      `<code>${breakable(t.name)}</code><small>${t.shape.join(' × ')}</small>`,
      share(t.relative),
      share(t.changed),
      rankText(t),
      spark(t),
    ]),
    { caption: 'Tensors that changed, with the singular values of the difference', className: 'tensors' },
  )

function spark({ singularValues, noise, rank }: TensorFigures): string {
  if (singularValues.length < 2 || !(singularValues[0] > 0)) return ''
  const shown = rank === null ? singularValues : singularValues.slice(0, rank + 4)
  const floor = Math.max(noise ?? 0, singularValues[0] * 1e-9)
  const low = Math.log10(Math.min(floor, ...shown.filter((value) => value > 0)))
  const high = Math.log10(singularValues[0])
  const x = (i: number): string => ((i / Math.max(1, shown.length - 1)) * 118 + 1).toFixed(1)
  const y = (value: number): string =>
    (22 - ((Math.log10(Math.max(value, 10 ** low)) - low) / Math.max(1e-9, high - low)) * 20).toFixed(1)
  const points = shown.map((value, i) => `${x(i)},${y(value)}`).join(' ')
  const label = `${singularValues.length} values, ${rounded(singularValues[0])} to ${rounded(singularValues.at(-1)!)}`
  return (
    `<svg role="img" aria-label="${label}" viewBox="0 0 120 24">` +
    `<path class="noise" d="M0 ${y(floor)}H120"/><polyline class="spark" points="${points}"/></svg>`
  )
}

/** CSV files. */
export function weightTables({ tensors, groups }: WeightsResult): Tables {
  const head = ['elements', 'relative', 'changed', 'moved', 'rounding'] as const
  return {
    'weights.csv': [
      ['tensor', 'group', 'shape', 'base', 'reference', ...head, 'cosine', 'scale', 'rank', 'effectiveRank', 'noise'],
      ...tensors.map((t) => [
        t.name,
        t.group,
        t.shape.join('x'),
        t.base,
        t.reference,
        ...head.map((key) => t[key]),
        t.cosine,
        t.scale,
        t.rank,
        t.effectiveRank,
        t.noise,
      ]),
    ],
    'groups.csv': [
      ['group', 'tensors', ...head],
      ...groups.map((g) => [g.group, g.tensors, ...head.map((key) => g[key])]),
    ],
    'singular-values.csv': [
      ['tensor', 'index', 'value'],
      ...tensors.flatMap((t) => t.singularValues.map((value, i) => [t.name, i + 1, value])),
    ],
  }
}
