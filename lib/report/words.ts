// What a mixture is said to be, in words, by page and card.
import { coversOf, percent } from './facts.js'
import { modelName } from './provenance.js'
import type { RecoverResult } from './schema.js'

/** What each verdict promises. */
export const guarantees: Record<RecoverResult['diagnostics']['verdict'], string> = {
  ok:
    'the domains can be told apart with these probes and the interval is narrow; if the training texts are of these ' +
    'domains, each share lies in its interval about as often as the interval says. What is none of the domains is ' +
    'not seen.',
  weak: 'the mixture is a hint, not a measurement: what is below makes it less certain than the intervals show.',
  unidentifiable: 'these probes do not tell the domains apart on this pair of models: take no share from this page.',
}

export const sentence = (reason: string): string => `${reason.charAt(0).toUpperCase()}${reason.slice(1)}.`

/** Names of base and reference, from the options or the files. */
export function modelsOf({ command, inputs }: RecoverResult): [base: string, reference: string] {
  const named = (role: 'base' | 'reference') => {
    const given = command[role] ?? inputs.find((input) => input.role === role)?.path
    return typeof given === 'string' ? modelName(given) : role
  }
  return [named('base'), named('reference')]
}

/** What became of a declared mixture. */
const claimWords = {
  consistent: 'consistent with the weights',
  not: 'not consistent with the weights',
  "can't tell": "can't tell whether it is consistent with the weights",
} as const

/** The answer in a sentence, and what became of a claim in another. */
export function answerOf(result: RecoverResult, reference: string): string {
  const { claimed } = result
  return mixtureOf(result, reference) + (claimed ? ` The claimed mixture: ${claimWords[claimed.verdict]}.` : '')
}

function mixtureOf({ recommended, diagnostics, domains }: RecoverResult, reference: string): string {
  if (diagnostics.verdict === 'unidentifiable')
    return `What ${reference} was trained on cannot be told from these probes.`
  const ranked = domains
    .map(({ name }) => ({ name, share: recommended.mixture[name] }))
    .sort((a, b) => b.share - a.share)
  const shown = ranked.length <= 5 ? ranked : ranked.slice(0, 3)
  const rest = ranked.slice(shown.length)
  const told = shown.map(({ name, share }) => `${name} ${percent(share)}`)
  if (rest.length > 0) {
    told.push(`${rest.length} other domains ${percent(rest.reduce((sum, { share }) => sum + share, 0))}`)
  }
  const hint = diagnostics.verdict === 'weak' ? ' by a weak reading' : ''
  return `The texts that ${reference} was trained on were${hint} ${told.slice(0, -1).join(', ')} and ${told.at(-1)}.`
}

/** The recommended readout's own entry. */
export function bestOf({ mixtures, recommended }: RecoverResult) {
  return mixtures.find(({ readout }) => readout === recommended.readout)
}

/** What the shares do not say. */
export function limits(result: RecoverResult): string[] {
  const sampling = coversOf(bestOf(result)) === 'sampling'
  return [
    'The shares are among these domains: texts of a domain that no probe stands for are given to the domains most ' +
      'like them.',
    'Shares count texts by how often they were trained on, as far as gradients show; duplicates and epochs count.',
    sampling
      ? 'The interval of this readout covers the draw of the probes alone; how far the readout errs has not been ' +
        'measured.'
      : 'The error of the method was measured on experts with known mixtures; other models, bases and domains may ' +
        'err more.',
    'A base other than the one that was fine-tuned, or weights changed by anything but training, gives shares ' +
      'without meaning.',
  ]
}
