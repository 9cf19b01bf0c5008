// Windows that come in, as the shards that they make.
import type { WindowBatch, WindowRun } from './corpus.js'
import { WindowPacker } from './packed.js'
import type { Window } from './types.js'

/** What is known of a shard before its features are made. */
export interface ShardBatch {
  count: number
  /** by `WindowPacker` */
  packed: Buffer
  /** count + 1: where the tokens of each window begin in `ids` */
  offsets: Uint32Array
  /** in 16 bits where all of the tokenizer's fit */
  ids: Uint16Array | Uint32Array
  /** the same for a pass of the models, where one is asked for */
  batch: WindowBatch | undefined
}

export interface DraftOptions {
  /** windows of a shard */
  size: number
  /** 2^16 and more need 32 bits */
  maxId: number
  /** for a pass of the models too */
  pass: boolean
  /** texts are kept with the windows */
  texts: boolean
}

/** Shards of exactly `size` windows, the last one of what is left. */
export async function* shardsOf(runs: AsyncIterable<WindowRun>, options: DraftOptions): AsyncGenerator<ShardBatch> {
  const draft = new Draft(options)
  for await (const run of runs) {
    for (let begin = 0; begin < run.windows.length; ) {
      const end = Math.min(run.windows.length, begin + options.size - draft.count)
      draft.add(run, begin, end)
      begin = end
      if (draft.count === options.size) yield draft.finish()
    }
  }
  if (draft.count > 0) yield draft.finish()
}

/** A shard that fills, and the next ones in the same memory: arrays that come and go make the heap be searched. */
class Draft {
  readonly #packer: WindowPacker
  #windows: Window[] = []
  readonly #offsets: Uint32Array
  #ids = new Uint32Array(1 << 14)
  #typeIds = new Uint8Array(1 << 14)

  constructor(readonly options: DraftOptions) {
    this.#packer = new WindowPacker(options.texts)
    this.#offsets = new Uint32Array(options.size + 1)
  }

  get count(): number {
    return this.#packer.count
  }

  add({ windows, tokens: { ids, typeIds, offsets }, row }: WindowRun, begin: number, end: number): void {
    const at = this.#offsets[this.count]
    const [from, to] = [offsets[row + begin], offsets[row + end]]
    if (at + to - from > this.#ids.length) {
      this.#ids = grown(this.#ids, new Uint32Array(2 * (at + to - from)))
      if (this.options.pass) this.#typeIds = grown(this.#typeIds, new Uint8Array(this.#ids.length))
    }
    this.#ids.set(ids.subarray(from, to), at)
    if (this.options.pass) this.#typeIds.set(typeIds.subarray(from, to), at)
    for (let i = begin; i < end; i++) {
      this.#packer.add(windows[i])
      if (this.options.pass) this.#windows.push(windows[i])
      this.#offsets[this.count] = at + offsets[row + i + 1] - from
    }
  }

  finish(): ShardBatch {
    const { count } = this
    const { pass, maxId } = this.options
    const offsets = this.#offsets.slice(0, count + 1)
    const used = this.#ids.subarray(0, offsets[count])
    const ids = maxId < 2 ** 16 ? Uint16Array.from(used) : used.slice()
    const typeIds = this.#typeIds.slice(0, pass ? used.length : 0)
    const batch = pass ? { windows: this.#windows, ids: used.slice(), typeIds, offsets } : undefined
    this.#windows = []
    return { count, packed: this.#packer.finish(), offsets, ids, batch }
  }
}

function grown<T extends Uint32Array | Uint8Array>(from: T, to: T): T {
  to.set(from)
  return to
}

/** The first windows of a batch. */
export function headOf({ windows, ids, typeIds, offsets, prompts }: WindowBatch, count: number): WindowBatch {
  const to = offsets[count]
  return {
    windows: windows.slice(0, count),
    ids: ids.slice(0, to),
    typeIds: typeIds.slice(0, to),
    offsets: offsets.slice(0, count + 1),
    prompts: prompts?.slice(0, count),
  }
}
