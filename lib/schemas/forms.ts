// What several results have in common. Later editions may add to any object: readers ignore what they do not know, and
// so do these schemas.
import { z } from 'zod'
import type { MixtureResult } from '../readouts/index.js'

export const count = z.int().min(0)
export const texts = z.array(z.string())
export const numbers = z.array(z.number())
export const seconds = z.record(z.string(), z.number())
export const fraction = z.number().min(0).max(1)
const shares = z.record(z.string(), fraction)

/** A part whose keys belong to what it was made from (a recipe, an architecture): any JSON object. */
export const loose = <T>(): z.ZodType<T> => z.record(z.string(), z.unknown()) as unknown as z.ZodType<T>

export const domains = z.array(z.object({ name: z.string(), probes: count, truncated: count }))
export const hashed = z.object({ role: z.string(), path: z.string(), size: count, sha256: z.string() })

export const mixture = z.object({
  readout: z.string(),
  description: z.string(),
  settings: z.record(z.string(), z.union([z.number(), z.string()])),
  mixture: shares,
  interval: z.record(z.string(), z.tuple([z.number(), z.number()])),
  level: fraction,
  intervalCovers: z.enum(['sampling', 'sampling and method']).optional(),
  intervalIncludes: z.string(),
  verdict: z.string().optional(),
}) satisfies z.ZodType<MixtureResult>

export const trainingTexts = z.object({
  estimate: z.number(),
  interval: z.tuple([z.number(), z.number().nullable()]),
  inside: z.number(),
  insideInterval: z.tuple([z.number(), z.number()]),
  outside: z.number(),
  level: fraction,
})
