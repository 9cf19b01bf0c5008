import { inputError } from '../errors.js'

/** Readouts that set every domain against every other take the cube of their number: above this they are left out. */
export const mostCompared = 100
/** What the rest, all of it near-linear in the domains, is made for. */
export const mostDomains = 10_000

/** Why readouts that compare domains with each other do not apply, or null. */
export const whyTooMany = (domains: readonly string[]): string | null =>
  domains.length > mostCompared ? `it sets every domain against every other, which is done up to ${mostCompared}` : null

/** @throws WarpError (input) DOMAINS_TOO_MANY */
export function checkDomains(domains: readonly string[], most = mostDomains): void {
  if (domains.length <= most) return
  throw inputError(
    'DOMAINS_TOO_MANY',
    `the texts have ${domains.length} domains; at most ${most} are possible here`,
    { found: domains.length, expected: most },
    'name a column of fewer values with --domain, or join domains',
  )
}
