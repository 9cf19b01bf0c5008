import { z } from 'zod'
import { diffSchema } from '../diff/index.js'
import { planSchema } from '../lab/plan.js'
import { labReportSchema } from '../lab/report.js'
import { projectorSchema } from '../readouts/projector.js'
import { resultSchema } from '../report/schema.js'
import * as making from './making.js'
import * as reading from './reading.js'

/** What `--json` prints in the place of a result when a command fails. */
const failure = z.object({
  error: z.object({
    code: z.string(),
    message: z.string(),
    details: z.record(z.string(), z.unknown()),
    hint: z.string(),
  }),
})

const read = [resultSchema, diffSchema, ...Object.values(reading)]
/** Two of them are also files, which end with a digest of the rest. */
const files = [planSchema, projectorSchema]
const results = [...read, ...Object.values(making), labReportSchema, ...files]

/**
 * The schema of every document that `--json` prints, by the value of its key `schema`: `warp.recover/1`,
 * `warp.trace/1`, …; `error` is what a command prints that fails. `warp lab fit` prints a list of `warp.projector/1`.
 * A number stands for one form, to which later versions may add; what readers would stumble over gets the next one.
 */
export const resultSchemas: Readonly<Record<string, z.ZodType>> = Object.fromEntries<z.ZodType>([
  ...results.map((schema): [string, z.ZodType] => [schema.shape.schema.value, schema]),
  ['error', failure],
])

/** The same as JSON schemas, draft 2020-12, by the same names; `warp-recover/schemas/trace.1.json` is one of them. */
export function jsonSchemas(): Record<string, Record<string, unknown>> {
  return Object.fromEntries(
    Object.entries(resultSchemas).map(([title, schema]) => {
      const { properties, ...made } = z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' })
      const sealed = files.some((file) => file === schema) && { digest: { type: 'string' } }
      return [title, { title, ...made, properties: { ...properties, ...sealed } }]
    }),
  )
}
