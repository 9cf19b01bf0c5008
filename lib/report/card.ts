// A section of a model card: what the model was trained on, for people in Markdown, for programs as front matter.
import { stringify } from 'yaml'
import { printable } from '../printable.js'
import { claimFigures, coversOf, percent } from './facts.js'
import { withoutHome } from './page.js'
import { commandLine, shownPath } from './provenance.js'
import type { RecoverResult } from './schema.js'
import { answerOf, bestOf, guarantees, limits, modelsOf, sentence } from './words.js'

/** The result as a data portfolio for a model card. @param date when it was made; default: now */
export function dataCard(result: RecoverResult, date = new Date()): string {
  const { tool, inputs, notes } = result
  const day = date.toISOString().slice(0, 10)
  const files = inputs.map(({ role, path, sha256 }) => [plain(role), plain(shownPath(path)), `\`${sha256}\``])
  const parts = [
    `---\n${stringify(frontMatter(result, day), { lineWidth: 0 })}---`,
    '## Data portfolio',
    plain(answerOf(result, modelsOf(result)[1])),
    shares(result),
    claim(result),
    verdict(result),
    '### Limits',
    list([...limits(result), ...notes]),
    '### Where this comes from',
    `Made ${day} by ${plain(tool.name)} ${plain(tool.version)}, from the weights: no training text was looked at, ` +
      'unless it is among the probes.',
    fenced(commandLine(['recover'], result.command)),
    table(['file of', 'path', 'SHA-256'], files),
  ]
  return withoutHome(`${parts.filter(Boolean).join('\n\n')}\n`)
}

const short = (share: number): number => +share.toFixed(4)

function frontMatter(result: RecoverResult, made: string): Record<string, unknown> {
  const { domains, recommended, claimed, diagnostics, tool, command } = result
  const [base, reference] = modelsOf(result)
  const best = bestOf(result)
  const given = command.base
  const share = (name: string) => ({
    domain: name,
    share: short(recommended.mixture[name]),
    interval: recommended.interval[name].map(short),
    ...(claimed && { claimed: claimed.mixture[name] }),
  })
  return {
    // what the hub knows by this name is a model of its own
    ...(typeof given === 'string' && given.startsWith('hf:') && { base_model: base }),
    data_portfolio: {
      schema: 'warp.card/1',
      made,
      by: `${tool.name} ${tool.version}`,
      base,
      reference,
      verdict: diagnostics.verdict,
      readout: recommended.readout,
      ...(diagnostics.verdict !== 'unidentifiable' && {
        level: best?.level ?? null,
        interval_covers: coversOf(best) === 'sampling' ? 'sampling' : 'sampling and method',
        mixture: domains.map(({ name }) => share(name)),
      }),
      ...(claimed && {
        claim: {
          verdict: claimed.verdict,
          distance: short(claimed.distance),
          p_value: short(claimed.pValue),
          limit: short(claimed.limit),
        },
      }),
    },
  }
}

function shares(result: RecoverResult): string {
  const { domains, recommended, claimed, diagnostics } = result
  if (diagnostics.verdict === 'unidentifiable') return ''
  const best = bestOf(result)
  const sampling = coversOf(best) === 'sampling'
  const rows = domains.map(({ name }) => {
    const [low, high] = recommended.interval[name].map(percent)
    const range = `${low.replace(/ %$/, '')} – ${high}`
    return [
      plain(name),
      percent(recommended.mixture[name]),
      sampling ? `(${range})` : range,
      ...(claimed ? [percent(claimed.mixture[name])] : []),
    ]
  })
  const head = ['domain', 'share', sampling ? 'sampling alone' : 'interval', ...(claimed ? ['claimed'] : [])]
  const by = `Shares of the training texts, by ${plain(recommended.readout)}: ${plain(recommended.reason)}.`
  const covers = best ? ` The interval covers ${plain(best.intervalIncludes)}.` : ''
  return `${table(head, rows)}\n\n${by}${covers}`
}

function claim({ claimed }: RecoverResult): string {
  if (!claimed) return ''
  const distance = `Distance ${plain(claimFigures(claimed))}.`
  return `**Claimed mixture: ${claimed.verdict}.** ${plain(sentence(claimed.reason))} ${distance}`
}

function verdict({ diagnostics: { verdict: word, reasons } }: RecoverResult): string {
  return `**Verdict: ${word}.** ${plain(sentence(guarantees[word].slice(0, -1)))}\n\n${list(reasons.map(sentence))}`
}

const list = (items: readonly string[]): string => items.map((item) => `- ${plain(item)}`).join('\n')

const row = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`

const table = (head: readonly string[], rows: readonly string[][]): string =>
  [row(head), row(head.map(() => '---')), ...rows.map(row)].join('\n')

/** A block of code that no run of backticks within ends. */
function fenced(code: string): string {
  const runs = [...code.matchAll(/`+/g)].map(([run]) => run.length)
  const fence = '`'.repeat(Math.max(3, ...runs.map((length) => length + 1)))
  return `${fence}sh\n${code}\n${fence}`
}

/** Text that means nothing to Markdown, on one line. */
const plain = (text: string): string => printable(text, 1000).replace(/[\\`*_{}[\]<>#|~&@$]|:(?=\S)/g, '\\$&')
