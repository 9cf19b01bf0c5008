/**
 * What the forward passes leave behind about the gradients of one scope. Notation: A_d is the mean gradient of
 * domain d (over its probes and over the points of the path), divided element-wise by u^q, u being the root mean
 * square of the domains' mean gradients; δ the displacement of the scope's tensors, reference minus base, unscaled.
 */
export interface GradientStatistics {
  scope: 'head' | 'top'
  /** exponent of the preconditioner: 0 a gradient as SGD uses it, 1 as Adam does */
  q: number
  /** D × D, ⟨A_d, A_d'⟩ */
  gram: Float64Array
  /** D, ⟨A_d, δ⟩ */
  displacement: Float64Array
  /** ‖δ‖² */
  displacementNorm2: number
  /** N × (D + 2), row i: ⟨g_i, A_d⟩ for every d, ⟨g_i, δ⟩, ‖g_i‖²; g_i is the probe's own path-mean gradient / u^q */
  perProbe: Float64Array
}

/**
 * Products of mean gradients of any scope, on a sample of its coordinates, at one point of the path. Each domain's
 * probes are split into B blocks; block a of domain d has row d·B + a.
 */
export interface BlockStatistics {
  scope: string
  /** plain, or in the metric of Adam's preconditioner at the shares it leads to */
  kind: 'plain' | 'adam'
  lambda: number
  /** B */
  blocks: number
  /** N: the block of each probe in its domain */
  block: Uint32Array
  /** (D·B)² */
  gram: Float64Array
  /** D·B, with δ */
  displacement: Float64Array
  /** of δ in this metric */
  norm2: number
  /** share of the mean gradients' squared length that is the probes' noise, mean over domains */
  noise: number
  /** coordinates looked at, of all in the scope */
  coordinates: number
  of: number
}

/** Everything a readout may look at: N probes of D domains, K points of the path, C classes. */
export interface FootprintStatistics {
  domains: string[]
  classes: string[]
  /** D, the class each domain is; null when domains are not classes */
  classOfDomain: Int32Array | null
  /** K, positions of the points, in (0, 1) */
  lambdas: Float64Array
  /** N, index into `domains` */
  domain: Int32Array
  /** N, index into `classes` */
  label: Int32Array
  /** N × (K + 2), cross-entropy in nats at the base, at the K points, at the reference */
  loss: Float64Array
  /** N × K, the alignment matrix (Mimic Scores) */
  alignment: Float64Array
  /** N × C, logits of the reference */
  referenceLogits: Float64Array
  gradients: GradientStatistics[]
  /** of wider scopes, where they were computed */
  blocks?: BlockStatistics[]
  /** the family of the path; the path integral is checked for 'linear' only */
  path?: string
  /** the tensors the alignment was scored on: head, top */
  scope?: string
  /** ‖δ‖ over the tensors the alignment was scored on; without it the path integral is not checked */
  displacementNorm?: number
}

/**
 * Shares of the D domains (not negative, sum 1) from a resample of the probes: `weights` (N) says how often each probe
 * was drawn, null stands for once each. Every domain must have been drawn at least once.
 */
export type Predictor = (weights: Float64Array | null) => Float64Array

/** One way to read a mixture out of the statistics. */
export interface Readout {
  name: string
  description: string
  /** what the numbers depend on, for the result: thresholds, scopes, exponents */
  settings(stats: FootprintStatistics): Record<string, number | string>
  /** the reason why it does not apply, null when it does */
  why(stats: FootprintStatistics): string | null
  /** does once what every resample needs; call only when `why` gives null */
  prepare(stats: FootprintStatistics): Predictor
  /**
   * Half-width that the method's own error adds to the interval, for D domains and C classes (0: language models); 0 or
   * absent where it was not measured.
   */
  methodError?(domains: number, classes: number): number
}

/** The mixture one readout gives, ready for the result. */
export interface MixtureResult {
  readout: string
  description: string
  settings: Record<string, number | string>
  mixture: Record<string, number>
  interval: Record<string, [low: number, high: number]>
  /** nominal coverage of the sampling part of the interval */
  level: number
  /** `sampling`: how far the method itself errs is not in the interval */
  intervalCovers?: 'sampling' | 'sampling and method'
  /** in words, which sources of error the interval covers */
  intervalIncludes: string
  /** of readouts that judge themselves, such as the trace: `exact`, `noisy`, `none` */
  verdict?: string
}

export interface Diagnostics {
  verdict: 'ok' | 'weak' | 'unidentifiable'
  /** why the verdict is what it is, one sentence each */
  reasons: string[]
  /** share of probes that the reference classifies as labelled, domains weighing the same; null without labels */
  accuracy: { mean: number; chance: number; domains: Record<string, number> } | null
  /** the domains' mean gradients of the widest scope; null where there are none */
  gradients: GradientDiagnostics | null
  /** integral of the footprint along the path against the loss it must explain; null unless the path is linear */
  pathIntegral: { predicted: number; actual: number; share: number | null } | null
  /** how far the other informative readouts lie from the recommended one */
  agreement: { difference: number; limit: number; readouts: string[] } | null
  /** half-width of the recommended interval that is due to the probes drawn, mean over domains */
  sampling: number
}

export interface GradientDiagnostics {
  scope: string
  q: number
  /** of the Gram matrix of the unit-length mean gradients; null when it is singular */
  condition: number | null
  /** 1 − mean cosine between two domains' mean gradients: 0 when they point one way, 1 when orthogonal */
  separability: number
  /** the two domains hardest to tell apart, and the cosine between their mean gradients */
  closest: { domains: [string, string]; cosine: number }
  /** share of ‖δ‖² that the matched combination of the domains' gradients accounts for */
  explained: number
}
