import type { Readout } from './types.js'

/** The baseline that knows nothing: equal shares, the centre of all mixtures. */
export const uniform: Readout = {
  name: 'uniform',
  description: 'equal shares: the baseline that looks at no data',
  settings: () => ({}),
  why: () => null,
  prepare(stats) {
    const D = stats.domains.length
    return () => new Float64Array(D).fill(1 / D)
  },
}
