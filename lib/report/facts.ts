import type { RecoverResult } from './schema.js'

/** What the diagnostics say, one line each, for every form of the report. */
export function diagnosticLines({ diagnostics, trace }: RecoverResult): { name: string; text: string }[] {
  const { accuracy, gradients, pathIntegral, agreement, sampling } = diagnostics
  const lines: { name: string; text: string }[] = []
  const add = (name: string, text: string) => lines.push({ name, text })
  if (accuracy) {
    const { mean, chance } = accuracy
    add('accuracy', `the reference is right on ${percent(mean)} of the probes (chance ${percent(chance)})`)
  }
  if (gradients) {
    const { scope, q, condition, separability, closest, explained } = gradients
    add(
      'gradients',
      `scope ${scope}, q = ${q}: condition ${condition?.toPrecision(3) ?? 'infinite'}, ` +
        `separability ${separability.toFixed(2)}, ${percent(explained)} of the displacement explained`,
    )
    add('closest', `${closest.domains.join(' and ')}, cosine ${+closest.cosine.toFixed(2)}`)
  }
  if (pathIntegral) {
    const { predicted, actual, share } = pathIntegral
    add(
      'path integral',
      `the scores account for ${predicted.toFixed(3)} of ${actual.toFixed(3)} nats of the loss` +
        (share === null ? '' : ` (${percent(share)})`),
    )
  }
  if (agreement) {
    add(
      'agreement',
      `${agreement.readouts.join(', ')} differ by ${points(agreement.difference)} on average ` +
        `(a random mixture: ${points(agreement.limit)})`,
    )
  }
  add('sampling', `other probes of the same domains would move a share by up to about ${points(sampling)}`)
  if (trace) {
    const {
      trainedTokens: { count, undecided },
      longestText,
      trainingTexts,
    } = trace
    add(
      'trace',
      trace.verdict === 'none'
        ? `none: ${trace.reason}`
        : `${trace.verdict}: ${count} tokens trained, ${undecided} undecided` +
            (longestText === null ? '' : `, longest text ${longestText} tokens`) +
            (trainingTexts
              ? `; about ${Math.round(trainingTexts.estimate)} training texts, ${Math.round(trainingTexts.inside)} ` +
                'among the probes'
              : ''),
    )
  }
  return lines
}

/** Of a judged claim. */
export const claimFigures = ({ distance, pValue }: NonNullable<RecoverResult['claimed']>): string =>
  `${percent(distance)} of the texts, p = ${+pValue.toPrecision(2)}, allowing for what the interval covers`

/** What an interval covers; where an older document does not say, as it is drawn for all errors. */
export function coversOf(mixture: { intervalCovers?: string } | undefined): 'sampling' | 'all' {
  return mixture?.intervalCovers === 'sampling' ? 'sampling' : 'all'
}

/** `12.3 %` */
export function percent(share: number): string {
  return `${(100 * share).toFixed(1)} %`
}

function points(share: number): string {
  return `${(100 * share).toFixed(1)} points`
}

/** `scope top, q 1`, or nothing. */
export function settingsText(settings: Record<string, number | string>): string {
  const short = (value: number | string) =>
    typeof value === 'number' && !Number.isInteger(value) ? Number(value.toPrecision(3)) : value
  return Object.entries(settings)
    .map(([name, value]) => `${name} ${short(value)}`)
    .join(', ')
}

export function seconds(timings: Record<string, number>): number {
  return Object.values(timings).reduce((sum, value) => sum + value, 0)
}
