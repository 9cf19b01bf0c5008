import { z } from 'zod'

// Later editions may add to any object: readers ignore what they do not know, and so do these schemas.

const share = z.number().min(0).max(1)
const shares = z.record(z.string(), share)
const intervals = z.record(z.string(), z.tuple([share, share]))
const fraction = z.number().min(0).max(1)
const count = z.int().min(0)

const mixture = z.object({
  readout: z.string(),
  description: z.string(),
  settings: z.record(z.string(), z.union([z.number(), z.string()])),
  mixture: shares,
  interval: intervals,
  level: fraction,
  /** `sampling`: how far the method itself errs is not in the interval */
  intervalCovers: z.enum(['sampling', 'sampling and method']).optional(),
  intervalIncludes: z.string(),
  verdict: z.string().optional(),
})

const gradients = z.object({
  scope: z.string(),
  q: z.number(),
  condition: z.number().nullable(),
  separability: z.number(),
  closest: z.object({ domains: z.tuple([z.string(), z.string()]), cosine: z.number() }),
  explained: z.number(),
})

const diagnostics = z.object({
  verdict: z.enum(['ok', 'weak', 'unidentifiable']),
  reasons: z.array(z.string()),
  accuracy: z.object({ mean: fraction, chance: fraction, domains: z.record(z.string(), fraction) }).nullable(),
  gradients: gradients.nullable(),
  pathIntegral: z.object({ predicted: z.number(), actual: z.number(), share: z.number().nullable() }).nullable(),
  agreement: z.object({ difference: z.number(), limit: z.number(), readouts: z.array(z.string()) }).nullable(),
  sampling: z.number(),
})

const trace = z.object({
  verdict: z.enum(['exact', 'noisy', 'graded', 'none']),
  reason: z.string(),
  decay: z.number().nullable(),
  trainedTokens: z.object({ count, undecided: count }),
  longestText: count.nullable(),
  trainingTexts: z
    .object({
      estimate: z.number(),
      interval: z.tuple([z.number(), z.number().nullable()]),
      inside: z.number(),
      insideInterval: z.tuple([z.number(), z.number()]),
      outside: z.number(),
      level: fraction,
    })
    .nullable(),
})

const claimed = z.object({
  mixture: shares,
  verdict: z.enum(['consistent', 'not', "can't tell"]),
  reason: z.string(),
  /** ½ Σ |claimed − recovered|, beyond the rounding of the claim */
  distance: fraction,
  pValue: fraction,
  /** a true claim lies within this distance with probability `level` */
  limit: z.number().min(0),
  level: fraction,
  includes: z.string(),
})

/** `result.json` of `warp recover`, schema `warp.recover/1`. */
export const resultSchema = z.object({
  schema: z.literal('warp.recover/1'),
  tool: z.object({
    name: z.string(),
    version: z.string(),
    commit: z.string().nullable(),
    addon: z.string(),
    device: z.string(),
    deviceReason: z.string(),
    library: z.string(),
  }),
  command: z.record(z.string(), z.unknown()),
  seed: count,
  /** seconds by phase, in order */
  timings: z.record(z.string(), z.number()),
  peakMemoryBytes: count,
  plannedMemoryBytes: count,
  /** of the forward passes, multiply-adds count 2 */
  flops: z.number(),
  inputs: z.array(z.object({ role: z.string(), path: z.string(), size: count, sha256: z.string() })),
  domains: z.array(z.object({ name: z.string(), probes: count, truncated: count })),
  path: z.string(),
  lambdas: z.array(z.number()),
  scope: z.string(),
  /** D × K */
  /** products −⟨Ḡ_d, δ⟩/‖δ‖ by group of tensors, at one point; where domains' gradients were computed */
  depth: z
    .object({
      lambda: z.number(),
      groups: z.array(
        z.object({ name: z.string(), displacementNorm2: z.number(), products: z.record(z.string(), z.number()) }),
      ),
    })
    .optional(),
  footprint: z.object({
    mean: z.array(z.array(z.number())),
    standardError: z.array(z.array(z.number().nullable())),
  }),
  /** D × (K + 2): base, points of the path, reference */
  loss: z.array(z.array(z.number())),
  mixtures: z.array(mixture).min(1),
  recommended: z.object({
    readout: z.string(),
    reason: z.string(),
    /** of the training texts */
    mixture: shares,
    interval: intervals,
    /** language models: of the tokens that were learned, by the mean lengths of the domains' probes */
    mixtureByTokens: shares.optional(),
  }),
  /** where a mixture was declared */
  claimed: claimed.optional(),
  skipped: z.array(z.object({ readout: z.string(), reason: z.string() })),
  trace: trace.optional(),
  diagnostics,
  notes: z.array(z.string()),
})

export type RecoverResult = z.infer<typeof resultSchema>
