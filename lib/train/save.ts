import type { FileHandle } from 'node:fs/promises'
import { join } from 'node:path'
import {
  dtypeBits,
  writeAtomic,
  writeFileAtomic,
  writeSafetensorsHeader,
  type ModelDirectory,
  type TensorPlan,
  type WeightDtype,
} from '../checkpoint/index.js'
import { makeFolders } from '../folders.js'
import { storedName } from '../models/facts.js'
import { addon } from '../native/load.js'
import { callNative } from '../native/task.js'
import type { Handle, TrainerPart } from '../native/types.js'
import type { Network } from '../models/network.js'
import type { Prepared } from './prepare.js'

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
        for (const [first, take] of chunksOf(shape)) {
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

/** First elements and sizes of the pieces in which a tensor crosses the border to native code. */
export function* chunksOf(shape: readonly number[]): Generator<[first: number, take: number]> {
  const count = elements(shape)
  for (let first = 0; first < count; first += chunkElements) yield [first, Math.min(chunkElements, count - first)]
}

/** One write may take fewer bytes than it is given, as on a disk that is nearly full. */
export async function writeAll(handle: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
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
  { base, carried, shapes, labels, network }: Pick<Prepared, 'base' | 'carried' | 'shapes' | 'labels' | 'network'>,
  dtype: WeightDtype,
  force: boolean,
): Promise<void> {
  await makeFolders(folder)
  await writeFileAtomic(
    join(folder, 'config.json'),
    `${JSON.stringify(configOf(base, network, labels, dtype), null, 2)}\n`,
    {
      force,
    },
  )
  for (const { name, bytes } of carried) await writeFileAtomic(join(folder, name), bytes, { force })
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

function configOf(
  base: ModelDirectory,
  { objective }: Network,
  labels: string[],
  dtype: WeightDtype,
): Record<string, unknown> {
  const { num_labels: _count, problem_type: _problem, dtype: _dtype, ...config } = base.config
  const names: Record<string, string> = { F64: 'float64', F32: 'float32', F16: 'float16', BF16: 'bfloat16' }
  const pad = padToken(base)
  if (objective === 'language')
    return { ...base.config, architectures: [base.family!.classes.language], torch_dtype: names[dtype] }
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
