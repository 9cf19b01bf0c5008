import { join } from 'node:path'
import { inputError } from '../errors.js'
import { localFolder } from '../hub/index.js'
import { alignNames } from './align.js'
import { isAdapter, readAdapter, type Adapter, type AdapterDelta } from './adapter.js'
import { interpretConfig, readConfigFile, type ModelConfig } from './config.js'
import type { StoredTensor } from './header.js'
import type { JsonObject } from './json.js'
import { listDirectory } from './locate.js'
import {
  openModel,
  readStored,
  settle,
  tieOf,
  type ModelDirectory,
  type OpenOptions,
  type StoredModel,
  type TensorEntry,
} from './model.js'

/**
 * Opens what was fine-tuned from `base`: a model of its own, or an adapter, which is put on the base. Nothing is
 * merged: a tensor that the adapter changes is the base's with a difference that is formed when it is read.
 * @throws WarpError all of `openModel` and `readAdapter`; (input) ADAPTER_TARGET, ADAPTER_SHAPE
 */
export async function openReference(
  given: string,
  base: ModelDirectory,
  options: OpenOptions,
): Promise<ModelDirectory> {
  const { dir, notes } = await localFolder(given, 'model', options)
  const names = await listDirectory(dir)
  if (!isAdapter(names)) return alignNames(base, await openModel(given, options))
  const adapter = await readAdapter(dir, names)
  const own = names.includes('config.json') ? await readConfigFile(join(dir, 'config.json')) : undefined
  const stored = await readStored(base.dir, options)
  const tie = await tieOf(stored)
  const adapted = await settle(put(adapter, stored, own, options.forward ?? true), options, tie)
  const made = adapter.base ? `made for ${adapter.base}, ` : ''
  const parts = `${adapter.deltas.length} differences of rank ${adapter.ranks.join(', ')}`
  notes.push(`${dir}: an adapter, ${made}${parts} and ${adapter.saved.length} whole tensors, put on ${base.dir}`)
  return { ...adapted, notes: [...notes, ...adapted.notes], adapter }
}

function put(adapter: Adapter, stored: StoredModel, own: JsonObject | undefined, forward: boolean): StoredModel {
  const { dir } = adapter
  const files = [...stored.files, adapter.file]
  const all = new Map([...stored.all].map(([name, entry]) => [name, { ...entry }]))
  const find = finder(all)
  const fresh: TensorEntry[] = []
  for (const tensor of adapter.saved) {
    const target = find(tensor.storedName)
    if (target) replace(target, tensor, files.length - 1, adapter, stored.dir)
    else fresh.push({ ...tensor, name: canonical(tensor.storedName, stored.config), file: files.length - 1 })
  }
  const lost = adapter.deltas.filter(({ name }) => !find(name))
  if (lost.length > 0) {
    throw inputError(
      'ADAPTER_TARGET',
      `${dir}: ${lost.length} of ${adapter.deltas.length} tensors that the adapter changes are not in ${stored.dir} ` +
        `(${lost[0]!.name}${lost.length > 1 ? ', …' : ''})`,
      { file: dir, tensor: lost[0]!.name, found: lost.slice(0, 20).map(({ name }) => name), base: adapter.base },
      baseHint(adapter),
    )
  }
  const added = wrapping(adapter, find)
  for (const delta of adapter.deltas) change(find(delta.name)!, delta, files.length - 1, adapter, stored.dir)
  if (added) for (const entry of all.values()) entry.storedName = added + entry.storedName
  for (const entry of fresh) all.set(entry.name, entry)
  const config = headed(own ?? stored.config.config, stored.config, adapter, fresh)
  const table = all.get(stored.config.family?.embedding ?? '')
  // new tokens came with a larger table of the adapter's own
  if (table?.file === files.length - 1 && typeof config.vocab_size === 'number') config.vocab_size = table.shape[0]!
  const interpreted = interpretConfig(config, stored.config.file, forward)
  return { dir, files, all, config: interpreted, notes: interpreted.notes }
}

const baseHint = ({ base }: Adapter): string =>
  base ? `The adapter says it was made for ${base}; give that as the base.` : 'Give the base the adapter was made for.'

/**
 * Finds a tensor by the name that the trained class has for it: stored or canonical, with beginnings left out on either
 * side.
 */
function finder(all: ReadonlyMap<string, TensorEntry>): (name: string) => TensorEntry | undefined {
  const byStored = new Map([...all.values()].map((entry) => [entry.storedName, entry]))
  const byEnd = new Map<string, TensorEntry | null>()
  for (const entry of all.values()) {
    for (let at = entry.storedName.indexOf('.'); at !== -1; at = entry.storedName.indexOf('.', at + 1)) {
      const end = entry.storedName.slice(at + 1)
      byEnd.set(end, byEnd.has(end) ? null : entry)
    }
  }
  return (name) => {
    for (let rest = name; rest.includes('.'); rest = rest.slice(rest.indexOf('.') + 1)) {
      const found = byStored.get(rest) ?? all.get(rest)
      if (found) return found
    }
    return byEnd.get(name) ?? undefined
  }
}

/** What the trained class puts before all names of a base that was stored without it; '' where they agree. */
function wrapping({ deltas, saved }: Adapter, find: (name: string) => TensorEntry | undefined): string {
  const names = [...deltas.map(({ name }) => name), ...saved.map(({ storedName }) => storedName)]
  const starts = new Set(
    names.flatMap((name) => {
      const stored = find(name)?.storedName
      return stored === undefined ? [] : [name.endsWith(stored) ? name.slice(0, name.length - stored.length) : '']
    }),
  )
  return starts.size === 1 ? [...starts][0]! : ''
}

function canonical(name: string, { family }: ModelConfig): string {
  return family && name.startsWith(family.prefix) ? name.slice(family.prefix.length) : name
}

function wrongShape(
  adapter: Adapter,
  name: string,
  found: readonly number[],
  expected: readonly number[],
  base: string,
) {
  return inputError(
    'ADAPTER_SHAPE',
    `${adapter.dir}: ${name} is [${found}] in the adapter and [${expected}] in ${base}; it was made for another base`,
    { file: adapter.dir, tensor: name, found, expected, base: adapter.base },
    baseHint(adapter),
  )
}

/** A tensor that was trained whole takes the place of the base's; a table may have grown. */
function replace(target: TensorEntry, tensor: StoredTensor, file: number, adapter: Adapter, base: string): void {
  const same =
    target.shape.length === tensor.shape.length && target.shape.every((size, i) => i === 0 || size === tensor.shape[i])
  if (!same) throw wrongShape(adapter, tensor.storedName, tensor.shape, target.shape, base)
  Object.assign(target, {
    file,
    dtype: tensor.dtype,
    shape: tensor.shape,
    offset: tensor.offset,
    length: tensor.length,
  })
}

function change(target: TensorEntry, delta: AdapterDelta, file: number, adapter: Adapter, base: string): void {
  const [rows, columns] = delta.shape
  const fits = (a: number, b: number): boolean =>
    target.shape.length === 2 && target.shape[0] === a && target.shape[1] === b
  if (!fits(rows, columns) && !fits(columns, rows))
    throw wrongShape(adapter, delta.name, delta.shape, target.shape, base)
  const { left, right, rank, scale } = delta
  const turned = !fits(rows, columns) // a layer of the other kind than the adapter's switch says
  const factor = ({ dtype, offset, transposed }: typeof left) => ({
    dtype,
    file,
    offset,
    transposed: transposed !== turned,
  })
  target.delta = {
    left: factor(turned ? right : left),
    right: factor(turned ? left : right),
    rank,
    scale,
  }
}

/** The configuration of what the adapter makes of the base: a classifier where it brings a head. */
function headed(
  config: JsonObject,
  { family, architectureName }: ModelConfig,
  adapter: Adapter,
  fresh: TensorEntry[],
): JsonObject {
  if (adapter.task !== 'SEQ_CLS') return config
  const name =
    family?.classes.classify ?? architectureName.replace(/(Model|LMHeadModel|For\w+)$/, 'ForSequenceClassification')
  const last = fresh.filter(({ shape }) => shape.length === 2).at(-1)
  const labels = config.id2label
  const known = typeof labels === 'object' && labels !== null && Object.keys(labels).length === last?.shape[0]
  const { id2label: _, label2id: __, num_labels: ___, ...rest } = config
  if (!last || known) return { ...config, architectures: [name] }
  const names = Array.from({ length: last.shape[0]! }, (_, id) => `LABEL_${id}`)
  return {
    ...rest,
    architectures: [name],
    id2label: Object.fromEntries(names.map((label, id) => [String(id), label])),
    label2id: Object.fromEntries(names.map((label, id) => [label, id])),
  }
}
