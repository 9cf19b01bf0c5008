// A process that parses what it is told to: a line on stdin is {target, path}, the answer a line on stdout.
import { createInterface } from 'node:readline'
import { openModel, openPair, readSafetensorsHeader } from '../../lib/checkpoint/index.js'
import type { WarpError } from '../../lib/errors.js'
import { loadProjector, readPlan, readTrial } from '../../lib/lab/index.js'
import { readClaimed } from '../../lib/readouts/index.js'
import { readAnyShard } from '../../lib/select/shards.js'
import { readCorpus } from '../../lib/select/texts.js'
import { readLabelMap, readProbes } from '../../lib/text/index.js'
import { loadTokenizer } from '../../lib/text/tokenizer/index.js'
import { readState } from '../../lib/train/state.js'
import { trace } from '../../lib/trace/index.js'

const labels = ['animals', 'plants', 'stones']

/** What is done with a file, or the folder it is in. */
export const targets: Record<string, (path: string) => Promise<unknown>> = {
  safetensors: (path) => readSafetensorsHeader(path),
  model: async (dir) => openModel(dir).catch(() => openModel(dir, { forward: false })),
  pair: (dir) => openPair(`${dir}/base`, `${dir}/reference`, { baseHead: 'zeros' }),
  trace: (dir) => trace({ base: `${dir}/base`, reference: `${dir}/reference`, threads: 1 }),
  tokenizer: async (dir) => {
    const tokenizer = await loadTokenizer(dir)
    for (const text of ['a cat', '', 'é漢\u0000😀', 'x'.repeat(5000)]) await tokenizer.encode(text)
  },
  probes: (path) => readProbes([path], { labels, dropUnlabeled: true }),
  labelMap: (path) => readLabelMap(path),
  plan: (dir) => readPlan(dir),
  trial: (path) => readTrial(path),
  projector: (path) => loadProjector(path),
  state: (path) => readState(path),
  claimed: (path) => readClaimed(path, labels),
  shard: (dir) => readAnyShard(dir, 0),
  corpus: (dir) => readCorpus(dir),
}

export interface Answer {
  ok: boolean
  code?: string
  kind?: string
  message?: string
}

async function answer(line: string): Promise<Answer> {
  const { target, path } = JSON.parse(line) as { target: string; path: string }
  try {
    await targets[target](path)
    return { ok: true }
  } catch (error) {
    const { code, kind, message, stack } = error as WarpError
    return { ok: false, code, kind, message: kind ? message : stack }
  }
}

async function main(): Promise<void> {
  for await (const line of createInterface({ input: process.stdin })) {
    process.stdout.write(`${JSON.stringify(await answer(line))}\n`)
  }
}

if (require.main === module) void main()
