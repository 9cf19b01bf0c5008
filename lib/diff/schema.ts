import { z } from 'zod'
import { parts } from './parts.js'

// Later editions may add to any object: readers ignore what they do not know, and so do these schemas.

/** `warp diff --json`, schema `warp.diff/1`: each part under its name, where it ran. */
export const diffSchema = z.object({
  schema: z.literal('warp.diff/1'),
  tool: z.object({ name: z.string(), version: z.string() }),
  command: z.literal('diff'),
  seed: z.int().min(0),
  inputs: z.object({ base: z.string(), reference: z.string() }),
  /** parts that were asked for and had nothing to say about this pair */
  skipped: z.array(z.object({ part: z.string(), code: z.string(), reason: z.string() })),
  ...Object.fromEntries(parts.map(({ name, schema }) => [name, schema.optional()])),
  notes: z.array(z.string()),
})
