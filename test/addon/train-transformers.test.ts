// What `train` saves is what Python's transformers loads, with the same logits and the same tokens. Needs a Python with
// torch and transformers: WARP_PYTHON, default python3.
import { spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { nativeWeights, networkOf, openModel } from '../../lib/checkpoint/index.js'
import { addon } from '../../lib/native/load.js'
import { runTask } from '../../lib/native/task.js'
import { train } from '../../lib/train/index.js'
import { loadTokenizer } from '../../lib/text/tokenizer/index.js'
import { temporaryDirectory } from '../support/models.js'
import { domainFile, domainTexts, trainableModel } from '../support/training.js'

const python = process.env.WARP_PYTHON ?? 'python3'
const found = spawnSync(python, ['-c', 'import torch, transformers']).status === 0
if (!found)
  process.stderr.write(`skipped: saved models in transformers: ${python} (WARP_PYTHON) has no torch and transformers\n`)

const script = `
import json, sys
import torch
from transformers import AutoModelForSequenceClassification, PreTrainedTokenizerFast
folder, texts = sys.argv[1:]
model, info = AutoModelForSequenceClassification.from_pretrained(folder, output_loading_info=True)
tokenizer = PreTrainedTokenizerFast(tokenizer_file=folder + '/tokenizer.json')
model.eval()
ids = [tokenizer(text)['input_ids'] for text in json.load(open(texts, encoding='utf-8'))]
with torch.no_grad():
    logits = [model(torch.tensor([row])).logits[0].tolist() for row in ids]
labels = [model.config.id2label[i] for i in range(model.config.num_labels)]
print(json.dumps({'ids': ids, 'logits': logits, 'labels': labels,
                  'missing': sorted(info['missing_keys']), 'unexpected': sorted(info['unexpected_keys'])}))
`

/** Our own logits of texts that are tokenized already. */
async function logitsOf(dir: string, ids: number[][]): Promise<Float32Array> {
  const model = await openModel(dir)
  const weights = nativeWeights(model)
  const dropout = { embedding: 0, attention: 0, hidden: 0, head: 0 }
  const trainer = await runTask(
    (report) =>
      addon().openTrainer(
        { weights, network: networkOf(model, 'classify'), trainable: [...model.tensors.keys()], dropout, seed: 0 },
        report,
      ),
    'open',
    'bytes',
  )
  const offsets = Uint32Array.from([0, ...ids].map(() => 0))
  ids.forEach((row, i) => {
    offsets[i + 1] = offsets[i] + row.length
  })
  const texts = {
    ids: Uint32Array.from(ids.flat()),
    typeIds: new Uint8Array(0),
    offsets,
    label: new Int32Array(ids.length),
  }
  const { logits } = await runTask(
    (report) => addon().trainingGradients(trainer, { ...texts, threads: 1 }, report),
    'train',
    'texts',
  )
  trainer.close()
  weights.close()
  return logits
}

;(found ? test : test.skip).each(['bert', 'gpt2'] as const)(
  '%s: transformers gives the same labels, tokens and logits',
  async (kind) => {
    const domains = ['animals', 'plants', 'stones']
    const { output } = await train({
      base: trainableModel(kind),
      data: [domainFile(domains, 16)],
      output: join(temporaryDirectory(), 'out'),
      epochs: 3,
      batch: 8,
      learningRate: 2e-3,
      seed: 2,
    })
    const texts = domainTexts(domains, 4).map(({ text }) => text)
    const file = join(temporaryDirectory(), 'texts.json')
    writeFileSync(file, JSON.stringify(texts))
    const { status, stdout, stderr } = spawnSync(python, ['-c', script, output, file], { encoding: 'utf8' })
    if (status !== 0) throw new Error(stderr)
    const theirs = JSON.parse(stdout) as {
      ids: number[][]
      logits: number[][]
      labels: string[]
      missing: string[]
      unexpected: string[]
    }
    expect([theirs.missing, theirs.unexpected]).toEqual([[], []])
    expect(theirs.labels).toEqual(domains)
    const tokenizer = await loadTokenizer(output)
    const encoded = await Promise.all(texts.map((text) => tokenizer.encode(text)))
    expect(theirs.ids).toEqual(encoded.map(({ ids }) => [...ids]))
    const ours = await logitsOf(output, theirs.ids)
    const want = theirs.logits.flat()
    // two layers in float32 on either side: as for the fixtures, 2e-5 of the largest
    const largest = Math.max(...want.map(Math.abs))
    want.forEach((value, i) => expect(Math.abs(ours[i] - value)).toBeLessThan(2e-5 * largest))
  },
  120_000,
)
