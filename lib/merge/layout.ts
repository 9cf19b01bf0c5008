import {
  isWeightDtype,
  listed,
  tensorBytes,
  writeSafetensorsHeader,
  type Dtype,
  type ModelPair,
  type TensorEntry,
  type TensorPlan,
  type WeightDtype,
} from '../checkpoint/index.js'
import type { MergeShard } from '../native/types.js'

/** `same`: a tensor keeps its dtype; where base and reference differ, the one that holds both. */
export const mergeDtypes = ['same', 'f32', 'f16', 'bf16'] as const
export type MergeDtype = (typeof mergeDtypes)[number]

/** One file of the output, the same for every point. */
export type Shard = Omit<MergeShard, 'targets'> & { file: string }

export interface Layout {
  shards: Shard[]
  /** contents of `model.safetensors.index.json`; none for a single file */
  index?: { metadata: { total_size: number }; weight_map: Record<string, string> }
  /** of the tensors that the path forms, in order of appearance */
  dtypes: WeightDtype[]
  notes: string[]
}

interface Item {
  plan: TensorPlan
  /** of the path; without it a copy */
  name?: string
  entry: TensorEntry
}

/** What a tensor is read as: eight bits as sixteen. */
const readAs = ({ dtype }: TensorEntry): WeightDtype => (dtype.startsWith('F8') ? 'F16' : (dtype as WeightDtype))

function outputDtype(pair: ModelPair, entry: TensorEntry, asked: MergeDtype): WeightDtype {
  if (asked !== 'same') return asked.toUpperCase() as WeightDtype
  const own = readAs(entry)
  if (pair.generated.some(({ name }) => name === entry.name)) return own
  const other = readAs(pair.base.tensors.get(entry.name)!)
  if (own === other) return own
  return own === 'F64' || other === 'F64' ? 'F64' : 'F32'
}

/** The reference's tensors in its own order and under its own names; what no path changes comes as it is. */
function itemsOf(pair: ModelPair, asked: MergeDtype, notes: string[]): Item[] {
  const { tensors, extra, tie, dir } = pair.reference
  const copied: string[] = []
  const formed = new Set(pair.tensorNames)
  const items = [...tensors.values(), ...extra.values()]
    .sort((a, b) => a.file - b.file || a.offset - b.offset)
    .flatMap((entry): Item[] => {
      const { name, storedName, shape } = entry
      if (formed.has(name))
        return [{ plan: { name: storedName, dtype: outputDtype(pair, entry, asked), shape }, name, entry }]
      if (name === tie?.name) {
        notes.push(`${dir}: ${storedName} is tied to ${tie.to} and written once`)
        return []
      }
      copied.push(storedName)
      return [{ plan: { name: storedName, dtype: entry.dtype, shape }, entry }]
    })
  const eight = items.filter(({ name, entry }) => name !== undefined && entry.dtype.startsWith('F8'))
  if (eight.length > 0 && asked === 'same')
    notes.push(`${dir}: ${listed(eight.map(({ plan }) => plan.name))} of eight bits are written as F16 or wider`)
  if (copied.length > 0) notes.push(`${dir}: ${listed(copied)} copied as they are`)
  return items
}

/** Cuts the output into files of at most `maxShard` bytes of data; a larger tensor has a file of its own. */
export function layOut(pair: ModelPair, dtype: MergeDtype, maxShard: number): Layout {
  const notes: string[] = []
  const items = itemsOf(pair, dtype, notes)
  const groups: Item[][] = [[]]
  let held = 0
  let total = 0
  for (const item of items) {
    const bytes = tensorBytes(item.plan.dtype, item.plan.shape)
    if (held + bytes > maxShard && groups.at(-1)!.length > 0) {
      groups.push([])
      held = 0
    }
    groups.at(-1)!.push(item)
    held += bytes
    total += bytes
  }
  const number = (i: number): string => String(i).padStart(5, '0')
  const shards = groups.map((group, i): Shard => {
    const { header, offsets, fileSize } = writeSafetensorsHeader(
      group.map(({ plan }) => plan),
      { format: 'pt' },
    )
    const shard: Shard = {
      file:
        groups.length === 1 ? 'model.safetensors' : `model-${number(i + 1)}-of-${number(groups.length)}.safetensors`,
      header,
      size: fileSize,
      tensors: [],
      copies: [],
    }
    group.forEach(({ name, plan, entry }, at) => {
      if (name !== undefined) shard.tensors.push({ name, dtype: plan.dtype, offset: offsets[at] })
      else
        shard.copies.push({
          file: pair.reference.files[entry.file].path,
          from: entry.offset,
          length: entry.length,
          offset: offsets[at],
        })
    })
    return shard
  })
  const dtypes = [...new Set(items.filter(({ name }) => name !== undefined).map(({ plan }) => plan.dtype))].filter(
    isWeightDtype,
  )
  if (groups.length === 1) return { shards, dtypes, notes }
  const weight_map = Object.fromEntries(
    groups.flatMap((group, i) => group.map(({ plan }) => [plan.name, shards[i].file] as const)),
  )
  return { shards, index: { metadata: { total_size: total }, weight_map }, dtypes, notes }
}

const torchNames: Partial<Record<Dtype, string>> = { F64: 'float64', F32: 'float32', F16: 'float16', BF16: 'bfloat16' }

/** `config.json` of the output: the reference's, naming the widest dtype that was written where that is another. */
export function outputConfig(text: string, pair: ModelPair, { dtypes }: Layout): string {
  const widest = dtypes.length > 1 && !dtypes.includes('F64') ? 'F32' : dtypes.length > 1 ? 'F64' : dtypes[0]
  const name = torchNames[widest]
  if (!name) return text
  const { config } = pair.reference
  const key = 'dtype' in config ? 'dtype' : 'torch_dtype'
  if (config[key] === name || (config[key] === undefined && name === 'float32')) return text
  return `${JSON.stringify({ ...config, [key]: name }, null, 2)}\n`
}
