import type { Blueprint, Family } from './architecture.js'
import { linear } from './build.js'
import type { Block, Network, Operand, Part, Slot, Step } from './network.js'

/** A network before it has a head of its own: the closing normalisation stands in its place. */
export type Outline = Omit<Network, 'objective' | 'select'>

/** A tensor that the network reads; `codes` are the errors for each dimension that is not as expected. */
export interface RequiredTensor {
  name: string
  shape: readonly number[]
  codes: readonly string[]
  /** where in the network it is read first */
  group: Group
}

export type Group = 'embedding' | 'head' | number

/** What every head is put on; `layers` fewer than all for a first look at a checkpoint. */
export function outlineOf(blueprint: Blueprint, layers: number = blueprint.sizes.layers): Outline {
  const { sizes, embeddingSize, tables, embed, layer, closing, padTokenId, paddingRow } = blueprint
  return {
    hiddenSize: sizes.hiddenSize,
    vocabularySize: sizes.vocabularySize,
    maxPositions: sizes.maxPositions,
    typeVocabularySize: sizes.typeVocabularySize,
    embeddingSize,
    tables,
    embed,
    layers: Array.from({ length: layers }, (_, index) => layer(index)),
    padTokenId,
    head: closing,
    paddingRow,
  }
}

/** The network that chooses one of `labels` classes. */
export function classifierOf(blueprint: Blueprint, labels: number, layers?: number): Network {
  const outline = outlineOf(blueprint, layers)
  const { select, closing } = blueprint
  return {
    ...outline,
    select,
    head: after(closing, blueprint.classifier(closing.output, labels)),
    objective: 'classify',
  }
}

/** The network that predicts the next token; `output` is the table of its last linear step. */
export function languageModelOf(blueprint: Blueprint, output: string, layers?: number): Network {
  const outline = outlineOf(blueprint, layers)
  const { closing, logitSoftcap: cap, sizes } = blueprint
  const parts = [{ weight: output, rows: sizes.vocabularySize }]
  const steps: Step[] = [linear(closing.output, 'logits', sizes.hiddenSize, { parts })]
  if (cap !== undefined) steps.push({ op: 'softcap', from: 'logits', to: 'capped', cap })
  const head = after(closing, { steps, output: cap === undefined ? 'logits' : 'capped' })
  return { ...outline, select: 'all', head, objective: 'language' }
}

/**
 * The network of any model, read through its table of tokens, as if that were the output layer: behind the closing
 * normalisation and, where the table is narrower than the layers, its projection turned round.
 */
export function readByTable(blueprint: Blueprint): Network {
  const { closing, tables, embed, embeddingSize, sizes } = blueprint
  const { hiddenSize, vocabularySize } = sizes
  const { tensor } = tables.find(({ by }) => by === 'token')!
  const steps: Step[] = []
  const widen = embed.steps.find((step) => step.op === 'linear')
  if (widen) {
    const parts = widen.parts.map(({ weight }) => ({ weight, rows: embeddingSize }))
    steps.push(linear(closing.output, 'narrow', hiddenSize, { parts, turned: true, storedOutputs: embeddingSize }))
  }
  const parts = [{ weight: tensor, rows: vocabularySize }]
  steps.push(linear(widen ? 'narrow' : closing.output, 'logits', embeddingSize, { parts }))
  return {
    ...outlineOf(blueprint),
    select: 'all',
    head: after(closing, { steps, output: 'logits' }),
    objective: 'language',
  }
}

const after = (first: Block, second: Block): Block => ({
  steps: [...first.steps, ...second.steps],
  output: second.output,
})

const SHAPE = 'TENSOR_SHAPE'
const INNER = 'CONFIG_INTERMEDIATE_SIZE'

// The word table settles the hidden size, so that any other tensor of another width is itself wrong. Of the slots of
// build.ts, these have a width that a field of its own decides.
const slotCodes: Record<Slot, string> = { up: INNER, gate: INNER, inner: INNER, inner_dropped: INNER }
const grouped: Record<Slot, string> = {
  q: 'CONFIG_HEAD_DIM',
  context: 'CONFIG_HEAD_DIM',
  kv: 'CONFIG_KV_HEADS',
  k: 'CONFIG_KV_HEADS',
  v: 'CONFIG_KV_HEADS',
}
const tableCodes = { token: 'CONFIG_VOCABULARY', position: 'CONFIG_POSITIONS', type: 'CONFIG_TYPE_VOCABULARY' }

/** Every tensor a network reads, in order of reading: its name, its shape, what is wrong where it has another. */
export function requiredTensors(network: Outline, groupedHeads = false): RequiredTensor[] {
  const found = new Map<string, { shape: number[]; codes: string[]; group: Group }>()
  const need = (group: Group, name: string, shape: number[], codes: string[] = shape.map(() => SHAPE)): void => {
    const known = found.get(name)
    if (known) known.shape = known.shape.map((size, i) => Math.max(size, shape[i]!))
    else found.set(name, { shape, codes, group })
  }
  for (const { tensor, by, rows } of network.tables) {
    need(
      'embedding',
      tensor,
      [rows, network.embeddingSize],
      [tableCodes[by], by === 'token' ? 'CONFIG_HIDDEN_SIZE' : SHAPE],
    )
  }
  const codeOf = (slot: Slot): string => slotCodes[slot] ?? (groupedHeads ? grouped[slot] : undefined) ?? SHAPE
  const walk = (group: Group, { steps }: Block, width: number): void => {
    const widths = new Map<Slot, number>([['x', width]])
    for (const step of steps) {
      if (step.op === 'linear') {
        for (const part of step.parts) needPart(group, step, part)
      } else if (step.op === 'norm') {
        const size = widthOf(step.from, widths) / (step.groups ?? 1)
        for (const name of [step.gain, step.bias]) if (name) need(group, name, [size])
      }
      widths.set(step.to, outputWidth(step, widths))
    }
  }
  const needPart = (group: Group, step: Step & { op: 'linear' }, { weight, bias, first = 0, rows }: Part): void => {
    const out = step.storedOutputs ?? first + rows
    const [outCode, inCode] = [codeOf(step.to), codeOf(slotOf(step.from))]
    need(
      group,
      weight,
      step.turned ? [step.inputs, out] : [out, step.inputs],
      step.turned ? [inCode, outCode] : [outCode, inCode],
    )
    if (bias) need(group, bias, [out], [outCode])
  }
  walk('embedding', network.embed, network.embeddingSize)
  network.layers.forEach((layer, index) => walk(index, layer, network.hiddenSize))
  walk('head', network.head, network.hiddenSize)
  return [...found].map(([name, rest]) => ({ name, ...rest }))
}

const slotOf = (operand: Operand): Slot => (typeof operand === 'string' ? operand : operand.slot)

function widthOf(operand: Operand, widths: ReadonlyMap<Slot, number>): number {
  return typeof operand === 'string' ? widths.get(operand)! : operand.width
}

/** Columns of the slot a step writes. */
function outputWidth(step: Step, widths: ReadonlyMap<Slot, number>): number {
  if (step.op === 'linear') return step.parts.reduce((sum, { rows }) => sum + rows, 0)
  if (step.op === 'attention') return step.heads * step.headSize
  return widthOf(step.op === 'add' || step.op === 'multiply' ? step.a : step.from, widths)
}

/** The tensors of the last linear step of the head, and of all its linear steps. */
export function headTensors({ head }: Network): { last: string[]; all: string[] } {
  const linears = head.steps.flatMap((step) => (step.op === 'linear' ? [step.parts] : []))
  const names = (parts: readonly Part[][]): string[] =>
    parts.flat().flatMap(({ weight, bias }) => (bias ? [weight, bias] : [weight]))
  return { last: names(linears.slice(-1)), all: names(linears) }
}

/**
 * Multiplications and additions of a forward pass over texts of these lengths through one layer; of a `last` layer only
 * one row per text goes on.
 */
export function layerWork({ steps }: Block, lengths: Iterable<number>, last: boolean): number {
  let byToken = 0
  let byRow = 0
  let byPair = 0
  for (const step of steps) {
    if (step.op === 'attention') byPair += 4 * step.heads * step.headSize
    if (step.op !== 'linear') continue
    const flops = 2 * step.inputs * outputWidth(step, new Map())
    if (step.to === 'kv' || step.to === 'k' || step.to === 'v') byToken += flops
    else byRow += flops
  }
  let flops = 0
  for (const length of lengths) {
    const rows = last ? 1 : length
    flops += length * byToken + rows * byRow + length * rows * byPair
  }
  return flops
}

/** The name a tensor has in a checkpoint of a class with a head. */
export function storedName({ prefix, outside }: Family, name: string): string {
  return outside.some((start) => name.startsWith(start)) ? name : prefix + name
}
