import { readJsonFile } from './json-file.js'
import { meantName } from './nearest.js'
import { describe, errorAt, list } from './place.js'

const hint = '{"World": 0.5, "Sports": 0.5}'

/**
 * A mixture from a JSON file: `{"World": 0.5, …}`, the same under the key `mixture`, or the lists `domains` and
 * `mixture`. Each domain must be named, no other, with shares ≥ 0 that sum to 1 ± 1e-6.
 * @returns the shares in the order of `domains`
 */
export async function readMixture(file: string, domains: string[]): Promise<Float64Array> {
  const shares = sharesByName(await readJsonFile(file, 'MIXTURE', hint), file)
  for (const [name, share] of shares) {
    if (!domains.includes(name)) {
      throw errorAt(
        'MIXTURE_DOMAIN_UNKNOWN',
        { file },
        `the domain "${name}" is none of ${list(domains)}`,
        meantName(name, domains, 'name each domain as the probes do'),
        { expected: domains.slice(0, 100), found: name },
      )
    }
    if (typeof share !== 'number' || !(share >= 0) || !Number.isFinite(share)) {
      throw errorAt(
        'MIXTURE_SHARE_INVALID',
        { file },
        `the share of "${name}" must be a number ≥ 0, found ${describe(share)}`,
        hint,
        { found: describe(share) },
      )
    }
  }
  const missing = domains.filter((name) => !shares.has(name))
  if (missing.length > 0) {
    throw errorAt(
      'MIXTURE_DOMAIN_MISSING',
      { file },
      `there is no share for ${list(missing)}`,
      'write 0 for a domain that is not in the mixture',
      { expected: domains.slice(0, 100), found: [...shares.keys()] },
    )
  }
  const mixture = Float64Array.from(domains, (name) => shares.get(name) as number)
  const sum = mixture.reduce((a, b) => a + b, 0)
  if (!(Math.abs(sum - 1) <= 1e-6)) {
    throw errorAt('MIXTURE_SUM', { file }, `the shares sum to ${sum}, not to 1`, 'divide each share by the sum', {
      expected: 1,
      found: sum,
    })
  }
  return mixture
}

function sharesByName(value: unknown, file: string): Map<string, unknown> {
  const expected = (found: unknown): Error =>
    errorAt('MIXTURE_FORM', { file }, `expected an object of shares, found ${describe(found)}`, hint)
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw expected(value)
  const { mixture, domains } = value as { mixture?: unknown; domains?: unknown }
  if (!Array.isArray(mixture)) {
    const shares = typeof mixture === 'object' && mixture !== null ? mixture : value
    return new Map(Object.entries(shares))
  }
  if (!Array.isArray(domains) || domains.length !== mixture.length || new Set(domains).size !== domains.length) {
    throw errorAt('MIXTURE_FORM', { file }, 'a list of shares needs a list "domains" of as many different names', hint)
  }
  return new Map(domains.map((name, d) => [String(name), mixture[d]]))
}
