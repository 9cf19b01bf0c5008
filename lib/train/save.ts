import { open, readFile, readdir, type FileHandle } from 'node:fs/promises'
import { join } from 'node:path'
import {
  dtypeBits,
  readSafetensorsHeader,
  tokenizerFiles,
  writeAtomic,
  writeFileAtomic,
  writeSafetensorsHeader,
  type ModelDirectory,
  type TensorPlan,
  type WeightDtype,
} from '../checkpoint/index.js'
import { inputError } from '../errors.js'
import { makeFolders } from '../folders.js'
import { storedName } from '../models/facts.js'
import { addon } from '../native/load.js'
import { callNative } from '../native/task.js'
import type { Handle, TrainerPart } from '../native/types.js'

const chunkElements = 2 ** 20

/** A tensor of a trainer, its place in a file. */
interface Piece extends TensorPlan {
  dtype: WeightDtype
  canonical: string
  part: TrainerPart
}

/** Every parameter of a model in training, by canonical name. */
export type Shapes = ReadonlyMap<string, readonly number[]>

const elements = (shape: readonly number[]): number => shape.reduce((product, size) => product * size, 1)

async function writePieces(
  path: string,
  trainer: Handle,
  pieces: Piece[],
  metadata: Record<string, string>,
  force: boolean,
): Promise<void> {
  const { header, offsets, fileSize } = writeSafetensorsHeader(pieces, metadata)
  await writeAtomic(
    path,
    fileSize,
    async (handle) => {
      await writeAll(handle, header, 0)
      for (const [i, { canonical, part, dtype, shape }] of pieces.entries()) {
        const count = elements(shape)
        for (let first = 0; first < count; first += chunkElements) {
          const take = Math.min(chunkElements, count - first)
          const bytes = new Uint8Array(
            callNative(() => addon().readTrainer(trainer, canonical, part, dtype, first, take)),
          )
          await writeAll(handle, bytes, offsets[i] + (first * dtypeBits(dtype)) / 8)
        }
      }
    },
    { force },
  )
}

/** One write may take fewer bytes than it is given, as on a disk that is nearly full. */
async function writeAll(handle: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  for (let done = 0; done < bytes.length; )
    done += (await handle.write(bytes, done, bytes.length - done, position + done)).bytesWritten
}

/**
 * Writes a directory that `transformers` loads: weights, configuration, tokenizer; model.safetensors last.
 * @throws WarpError DISK_FULL, OUTPUT_NOT_WRITABLE, OUTPUT_EXISTS without `force`
 */
export async function saveModel(
  folder: string,
  trainer: Handle,
  base: ModelDirectory,
  shapes: Shapes,
  labels: string[],
  dtype: WeightDtype,
  force: boolean,
): Promise<void> {
  await makeFolders(folder)
  await writeFileAtomic(join(folder, 'config.json'), `${JSON.stringify(configOf(base, labels, dtype), null, 2)}\n`, {
    force,
  })
  const there = await readdir(base.dir)
  for (const name of tokenizerFiles.filter((file) => there.includes(file))) {
    await writeFileAtomic(join(folder, name), await readFile(join(base.dir, name)), { force })
  }
  const pieces = [...shapes].map(
    ([canonical, shape]): Piece => ({
      name: storedName(base.family!, canonical),
      dtype,
      shape,
      canonical,
      part: 'value',
    }),
  )
  await writePieces(join(folder, 'model.safetensors'), trainer, pieces, { format: 'pt' }, force)
}

function configOf(base: ModelDirectory, labels: string[], dtype: WeightDtype): Record<string, unknown> {
  const { num_labels: _count, problem_type: _problem, dtype: _dtype, ...config } = base.config
  const names: Record<string, string> = { F64: 'float64', F32: 'float32', F16: 'float16', BF16: 'bfloat16' }
  const pad = padToken(base)
  return {
    ...config,
    architectures: [base.family!.classes.classify],
    id2label: Object.fromEntries(labels.map((name, id) => [id, name])),
    label2id: Object.fromEntries(labels.map((name, id) => [name, id])),
    torch_dtype: names[dtype],
    ...(pad === undefined ? {} : { pad_token_id: pad }),
  }
}

/** Of a model whose head reads the last token: `transformers` needs one to find it in a batch of texts. */
export function padToken({ architecture, blueprint, config }: ModelDirectory): number | undefined {
  if (architecture.padTokenId !== undefined || blueprint?.select !== 'last') return architecture.padTokenId
  const { eos_token_id: end } = config
  return typeof end === 'number' ? end : undefined
}

/** What a state file says beside its tensors. */
export interface StateRecord {
  schema: 'warp.train.state/1'
  /** hash of everything that decides the run */
  key: string
  step: number
  loss: number[]
  norm: number[]
}

/** Parameters and moments after a step, from which training goes on with the same bits. */
export async function saveState(
  path: string,
  trainer: Handle,
  shapes: Shapes,
  trainable: string[],
  record: StateRecord,
): Promise<void> {
  const pieces = trainable.flatMap((canonical) =>
    (['value', 'first', 'second'] as const).map(
      (part): Piece => ({ name: `${part}.${canonical}`, dtype: 'F32', shape: shapes.get(canonical)!, canonical, part }),
    ),
  )
  await writePieces(path, trainer, pieces, { state: JSON.stringify(record) }, true)
}

/** What a state file says, undefined when there is none. @throws WarpError SAFETENSORS_…, TRAIN_STATE_DAMAGED */
export async function readState(path: string): Promise<StateRecord | undefined> {
  const header = await readSafetensorsHeader(path).catch((error: { code?: string }) => {
    if (error.code === 'FILE_NOT_FOUND') return undefined
    throw error
  })
  if (!header) return undefined
  const record = JSON.parse(header.metadata.state ?? 'null') as StateRecord | null
  if (record?.schema !== 'warp.train.state/1') {
    throw inputError(
      'TRAIN_STATE_DAMAGED',
      `${path}: is not a state of a training run`,
      { file: path },
      'remove it, or start over with --force',
    )
  }
  return record
}

/** Puts a trainer where the state file was written. */
export async function loadState(path: string, trainer: Handle, { step }: StateRecord): Promise<void> {
  const { tensors } = await readSafetensorsHeader(path)
  const handle = await open(path, 'r')
  try {
    for (const { storedName: name, offset, length } of tensors) {
      const dot = name.indexOf('.')
      for (let done = 0; done < length; done += chunkElements * 4) {
        const values = new Float32Array(Math.min(chunkElements * 4, length - done) / 4)
        const { bytesRead } = await handle.read(new Uint8Array(values.buffer), 0, values.byteLength, offset + done)
        if (bytesRead !== values.byteLength)
          throw inputError('TRAIN_STATE_DAMAGED', `${path}: ends too early`, { file: path }, 'start over with --force')
        callNative(() =>
          addon().writeTrainer(trainer, name.slice(dot + 1), name.slice(0, dot) as TrainerPart, done / 4, values),
        )
      }
    }
  } finally {
    await handle.close()
  }
  callNative(() => addon().trainerStep(trainer, step))
}
