// The state that a training run goes on from: a file that proves itself. Its header is what this run would write, byte
// for byte, and its last word is a digest over the header and every parameter and moment.
import { createHash } from 'node:crypto'
import { z } from 'zod'
import { parseStrictJson, readExactly, withFile, writeAtomic, writeSafetensorsHeader } from '../checkpoint/index.js'
import { digestOf, sealed } from '../document.js'
import { inputError, type WarpError } from '../errors.js'
import { addon } from '../native/load.js'
import { callNative } from '../native/task.js'
import type { Handle, TrainerPart } from '../native/types.js'
import { chunksOf, writeAll, type Shapes } from './save.js'
import { lstat } from '../stat.js'

const hash = z.string().regex(/^[0-9a-f]{64}$/)

const schema = z
  .strictObject({
    schema: z.literal('warp.train.state/2'),
    /** hashes of all that decides the run */
    base: hash,
    data: hash,
    recipe: hash,
    step: z.int().min(0),
    loss: z.array(z.number()),
    norm: z.array(z.number()),
  })
  .refine(
    ({ step, loss, norm }) => loss.length === step && norm.length === step,
    'loss and norm are those of every step',
  )

/** What a state file says beside its tensors. */
export type StateRecord = z.infer<typeof schema>
/** What decides a run, by hashes. */
export type RunKey = Pick<StateRecord, 'base' | 'data' | 'recipe'>

interface Plan {
  pieces: { canonical: string; part: TrainerPart; shape: readonly number[]; offset: number }[]
  header: Buffer
  dataEnd: number
}

const digestBytes = 32
const largestHeader = 100_000_000

/** The file of a state but for its numbers: header, tensors, digest. */
function layOut(shapes: Shapes, trainable: readonly string[], record: StateRecord): Plan {
  const pieces = trainable.flatMap((canonical) =>
    (['value', 'first', 'second'] as const).map((part) => ({ canonical, part, shape: shapes.get(canonical)! })),
  )
  const tensors = pieces.map(({ canonical, part, shape }) => ({
    name: `${part}.${canonical}`,
    dtype: 'F32' as const,
    shape,
  }))
  // the digest is a tensor too: other readers read the file; all have one dtype: the order is ours
  tensors.push({ name: 'digest', dtype: 'F32', shape: [digestBytes / 4] })
  const { header, offsets, fileSize } = writeSafetensorsHeader(tensors, { state: sealed(record).trim() })
  return {
    pieces: pieces.map((piece, i) => ({ ...piece, offset: offsets[i] })),
    header,
    dataEnd: fileSize - digestBytes,
  }
}

/** Parameters and moments after a step, from which training goes on with the same bits. */
export async function saveState(
  path: string,
  trainer: Handle,
  shapes: Shapes,
  trainable: readonly string[],
  record: StateRecord,
): Promise<void> {
  const { pieces, header, dataEnd } = layOut(shapes, trainable, record)
  const digest = createHash('sha256').update(header)
  await writeAtomic(
    path,
    dataEnd + digestBytes,
    async (handle) => {
      await writeAll(handle, header, 0)
      for (const { canonical, part, shape, offset } of pieces) {
        for (const [first, take] of chunksOf(shape)) {
          const bytes = new Uint8Array(
            callNative(() => addon().readTrainer(trainer, canonical, part, 'F32', first, take)),
          )
          digest.update(bytes)
          await writeAll(handle, bytes, offset + first * 4)
        }
      }
      await writeAll(handle, digest.digest(), dataEnd)
    },
    { force: true },
  )
}

/** What a state file says, undefined when there is none. @throws WarpError TRAIN_STATE_DAMAGED */
export async function readState(path: string): Promise<StateRecord | undefined> {
  const found = await lstat(path).catch(() => undefined)
  if (!found) return undefined
  if (!found.isFile()) throw damaged(path, 'is not a regular file')
  return whole(path, async () =>
    withFile(path, async (handle, { size }) => {
      const length = size < 8 ? 0 : Number((await readExactly(handle, path, 0, 8)).readBigUInt64LE())
      if (length === 0 || length > Math.min(size - 8, largestHeader)) throw damaged(path, 'has no header')
      const header = parseStrictJson(await readExactly(handle, path, 8, length), {
        file: path,
        prefix: 'TRAIN_STATE',
        fileOffset: 8,
      })
      const { state } = (header as { __metadata__?: { state?: unknown } } | null)?.__metadata__ ?? {}
      if (typeof state !== 'string') throw damaged(path, 'is not a state of a training run')
      const { digest, ...record } = Object(
        parseStrictJson(Buffer.from(state), { file: path, prefix: 'TRAIN_STATE' }),
      ) as Record<string, unknown>
      const parsed = schema.safeParse(record)
      if (parsed.success && digest !== digestOf(record))
        throw damaged(path, 'has a record that was changed after it was written')
      if (parsed.success) return parsed.data
      throw damaged(path, `is not a state of a training run: ${parsed.error.issues[0].message}`)
    }),
  )
}

/**
 * Puts a trainer where the state file was written. Throws before the trainer's step moves; the trainer is then of no
 * use.
 * @throws WarpError TRAIN_STATE_DAMAGED
 */
export async function loadState(
  path: string,
  trainer: Handle,
  shapes: Shapes,
  trainable: readonly string[],
  record: StateRecord,
): Promise<void> {
  const { pieces, header, dataEnd } = layOut(shapes, trainable, record)
  await whole(path, () =>
    withFile(path, async (handle, { size }) => {
      if (size !== dataEnd + digestBytes) throw damaged(path, `has ${size} bytes, not ${dataEnd + digestBytes}`)
      if (!header.equals(await readExactly(handle, path, 0, header.length)))
        throw damaged(path, 'has the header of another run')
      const digest = createHash('sha256').update(header)
      for (const { canonical, part, shape, offset } of pieces) {
        for (const [first, take] of chunksOf(shape)) {
          const bytes = await readExactly(handle, path, offset + first * 4, take * 4)
          digest.update(bytes)
          const values = new Float32Array(take)
          new Uint8Array(values.buffer).set(bytes)
          callNative(() => addon().writeTrainer(trainer, canonical, part, first, values))
        }
      }
      if (!digest.digest().equals(await readExactly(handle, path, dataEnd, digestBytes)))
        throw damaged(path, 'does not have the digest it ends with')
    }),
  )
  callNative(() => addon().trainerStep(trainer, record.step))
}

function damaged(path: string, what: string): WarpError {
  return inputError('TRAIN_STATE_DAMAGED', `${path}: ${what}`, { file: path }, 'start over with --force')
}

/** Whatever is wrong with a state file has one code. */
async function whole<T>(path: string, read: () => Promise<T>): Promise<T> {
  try {
    return await read()
  } catch (error) {
    const { code, message, details } = error as WarpError
    if (code === 'TRAIN_STATE_DAMAGED' || details === undefined) throw error
    throw damaged(path, message.replace(`${path}: `, ''))
  }
}
