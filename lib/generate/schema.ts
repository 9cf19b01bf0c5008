import { z } from 'zod'

const count = z.int().nonnegative()

/** What every made text says of itself. */
export const madeText = {
  text: z.string(),
  prompt: z.string(),
  ids: z.array(count),
  logProbability: z.number(),
  baseLogProbability: z.number().nullable(),
  lambda: z.number().nullable(),
  contrast: z.number(),
  seed: count,
}
