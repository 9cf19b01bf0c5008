import { escapeHtml } from '../report/escape.js'
import { list, section } from '../report/page.js'
import { folded, table, words, type Cell } from '../report/tables.js'
import { spelled, type Tables } from './part.js'
import type { TextsResult } from './texts.js'

const quoted = (text: string, most: number): string =>
  JSON.stringify(text.length > most ? `${text.slice(0, most - 1)}…` : text)

/** What the trace says of a text. */
export const verdictOf = (trained: boolean | null): string =>
  trained === null ? '' : trained ? 'every token trained on' : 'not a training text'

/** The same, with the tokens that it rests on. */
function traceOf({ trained, trainedScore, untrained }: TextsResult['texts'][number]): Cell {
  if (trainedScore !== null) return `graded ${trainedScore.toFixed(2)}`
  return words(escapeHtml(trained === false ? `not trained on: ${spelled(untrained)}` : verdictOf(trained)))
}

function how({ made: { starts, seeds, maxNewTokens, lambda, contrasts, temperature }, counts }: TextsResult): string {
  const point = lambda === 1 ? '' : `, λ = ${lambda}`
  const amplified = contrasts.every((a) => a === 0) ? '' : `, contrast ${contrasts.join(' and ')}`
  const drawn = temperature === 1 ? '' : `, temperature ${temperature}`
  return (
    `${counts.texts} of at most ${maxNewTokens} tokens, seeds ${seeds.join(', ')}, ` +
    `starts ${starts.join(', ')}${point}${amplified}${drawn}`
  )
}

function tally({ counts: { texts, trained, untrained, unknown } }: TextsResult): string {
  if (unknown === texts) return 'nothing is certain of which tokens were trained on'
  const rest = unknown > 0 ? `, ${unknown} cannot be told` : ''
  return `every token of ${trained} was trained on; ${untrained} were no training texts as they stand${rest}`
}

export function textLines(result: TextsResult): string[] {
  const { passages, texts } = result
  const head = [`texts: ${how(result)}`, `  ${tally(result)}`]
  if (passages.length === 0) head.push('  no two share a passage; some of them:')
  else head.push(`  likely word for word (${passages.length} passages that several texts share):`)
  return [
    ...head,
    ...passages
      .slice(0, 12)
      .map(({ text, texts: n, trained }) =>
        `  ${`${n} ×`.padStart(6)} ${quoted(text, 100)} ${verdictOf(trained)}`.trimEnd(),
      ),
    ...texts
      .filter(({ copies }) => copies === 1)
      .slice(0, passages.length === 0 ? 8 : 0)
      .map(({ text }) => `         ${quoted(text, 100)}`),
  ]
}

export function textPage(result: TextsResult): string {
  const { passages, texts } = result
  return [
    section('Texts', `<p>${escapeHtml(how(result))}.</p>`),
    list([tally(result)]),
    '<h3>Likely word for word</h3>',
    passages.length === 0
      ? '<p>No two texts share a passage.</p>'
      : table(
          ['passage', 'texts', 'seeds', 'nats', 'trace'],
          passages
            .slice(0, 100)
            .map(({ text, texts: n, seeds, gain, trained }) => [
              escapeHtml(text),
              `${n}`,
              `${seeds}`,
              gain.toFixed(2),
              words(verdictOf(trained)),
            ]),
          { caption: 'Nats: what the reference gives a token of it above the base' },
        ),
    '<h3>Others</h3>',
    folded(
      texts.filter(({ copies }) => copies === 1).slice(0, 60),
      (some) =>
        table(
          ['text', 'trace'],
          some.map((one) => [escapeHtml(one.text), traceOf(one)]),
        ),
      (more) => `${more.length} more texts`,
    ),
  ].join('\n')
}

export function textTables({ passages }: TextsResult): Tables {
  return {
    'passages-shared.csv': [
      ['texts', 'seeds', 'gain', 'trained', 'text'],
      ...passages.map(({ texts, seeds, gain, trained, text }) => [
        texts,
        seeds,
        gain,
        trained === null ? null : String(trained),
        text,
      ]),
    ],
  }
}
