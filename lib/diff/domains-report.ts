import { escapeHtml } from '../report/escape.js'
import { list, section, table } from '../report/page.js'
import type { DomainsResult } from './domains.js'
import type { Table } from './part.js'

const percent = (value: number | null): string => (value === null ? '' : `${(100 * value).toFixed(0)} %`)
const between = (interval: [number, number] | null): string =>
  interval === null ? '' : `${(100 * interval[0]).toFixed(0)}–${(100 * interval[1]).toFixed(0)} %`

const quoted = (text: string, most: number): string =>
  JSON.stringify(text.length > most ? `${text.slice(0, most - 1)}…` : text)

const caution =
  'a draft to be renamed: texts that a model writes do not show the shares of its training texts as they were'

export function domainLines({ texts, domains, gradients }: DomainsResult): string[] {
  return [
    `domains: ${domains.length} kinds among ${texts} made texts (${caution})`,
    `  shares by gradients: ${gradients}`,
    ...domains.flatMap(({ name, byCount, byGradient, byGradientInterval, nearest }) => [
      `  ${name}: ${percent(byCount)} of the texts` +
        (byGradient === null ? '' : `, ${percent(byGradient)} (${between(byGradientInterval)}) by gradients`),
      ...nearest.slice(0, 2).map((text) => `    ${quoted(text, 90)}`),
    ]),
  ]
}

export function domainPage({ texts, domains, gradients, layer, criterion }: DomainsResult): string {
  const tried = criterion.map((value, i) => `${i + 1}: ${value === null ? 'too small a cluster' : value.toFixed(0)}`)
  return [
    section('Domains', `<p>${domains.length} kinds among ${texts} made texts: ${escapeHtml(caution)}.</p>`),
    list([
      `by spherical k-means of the mean activations behind layer ${layer}; Schwarz’s criterion ${tried.join(', ')}`,
      `shares by gradients: ${gradients}`,
    ]),
    table(
      ['', 'texts', 'by count', 'by gradients', 'words', 'nearest to its centre'],
      domains.map((one) => [
        escapeHtml(one.name),
        `${one.texts}`,
        `${percent(one.byCount)} (${between(one.byCountInterval)})`,
        one.byGradient === null ? '' : `${percent(one.byGradient)} (${between(one.byGradientInterval)})`,
        escapeHtml(one.words.join(' ')),
        one.nearest.map(escapeHtml).join('<br>'),
      ]),
    ),
  ].join('\n')
}

export function domainTables({ domains }: DomainsResult): Record<string, Table> {
  const low = (interval: [number, number] | null): number | null => interval?.[0] ?? null
  const high = (interval: [number, number] | null): number | null => interval?.[1] ?? null
  return {
    'domains.csv': [
      ['name', 'texts', 'count', 'countLow', 'countHigh', 'gradient', 'gradientLow', 'gradientHigh', 'words'],
      ...domains.map((one) => [
        one.name,
        one.texts,
        one.byCount,
        ...one.byCountInterval,
        one.byGradient,
        low(one.byGradientInterval),
        high(one.byGradientInterval),
        one.words.join(' '),
      ]),
    ],
  }
}
