import { escapeHtml } from '../report/escape.js'
import { list, section, table } from '../report/page.js'
import type { DomainsResult } from './domains.js'
import type { Tables } from './part.js'

const percent = (value: number | null): string => (value === null ? '' : `${(100 * value).toFixed(0)} %`)
const between = (interval: [number, number] | null): string =>
  interval === null ? '' : `${(100 * interval[0]).toFixed(0)}–${(100 * interval[1]).toFixed(0)} %`

const withInterval = (share: number, interval: [number, number] | null): string =>
  `${percent(share)}<small>${between(interval)}</small>`

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
      ['', 'texts', 'by count', 'by gradients'],
      domains.map((one) => [
        escapeHtml(one.name),
        `${one.texts}`,
        withInterval(one.byCount, one.byCountInterval),
        one.byGradient === null ? '' : withInterval(one.byGradient, one.byGradientInterval),
      ]),
      { caption: 'Shares, and 95 % of the resampled ones' },
    ),
    ...domains.flatMap((one) => [
      `<h3>${escapeHtml(one.name)}</h3><p>${escapeHtml(one.words.join(' '))}</p>`,
      list(one.nearest),
    ]),
  ].join('\n')
}

export function domainTables({ domains }: DomainsResult): Tables {
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
