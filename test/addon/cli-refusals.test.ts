// Bad input through the command line, some of each family (the units test every row): exit 3, its own code, where, a
// hint; nothing on stdout but one document, nothing written.
import { copyFileSync, existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type CommandOptions, type ErrorDocument, warp } from '../support/command.js'
import { fixtureModel } from '../support/models.js'
import { makePair, pairProbes, type TestPair } from '../support/pair.js'

/** Spoils a pair; gives more options of the command, or of how it is run. */
// biome-ignore lint/suspicious/noConfusingVoidType: most only spoil, by calls that give nothing
type Spoil = (pair: TestPair) => ({ args?: string[]; probes?: string[] } & CommandOptions) | void
// biome-ignore lint/suspicious/noExplicitAny: a document of any kind, changed in place
type Json = any
type Row = [what: string, code: string, spoil: Spoil, says: RegExp]

async function refuse(code: string, spoil: Spoil, says: RegExp): Promise<void> {
  const pair = makePair()
  const { args = [], probes = [pair.probes], ...options } = spoil(pair) ?? {}
  const out = join(pair.folder, 'out')
  const run = await warp(
    [
      'recover',
      '--base',
      pair.base,
      '--reference',
      pair.reference,
      '--probes',
      ...probes,
      '-o',
      out,
      '--json',
      '-q',
      ...args,
    ],
    options,
  )
  const { error } = JSON.parse(run.stdout) as ErrorDocument
  expect({ exit: run.code, code: error.code }).toEqual({ exit: 3, code })
  expect(`${error.message} ${JSON.stringify(error.details)}`).toMatch(says)
  expect(error.hint).not.toBe('')
  expect(run.stderr).toBe(`warp: ${error.message} [${code}]\n  try: ${error.hint}\n`)
  expect(existsSync(out)).toBe(false)
}

/** Changes a file's JSON. */
function edit(file: string, change: (value: Json) => unknown): void {
  const value = JSON.parse(readFileSync(file, 'utf8'))
  writeFileSync(file, JSON.stringify(change(value) ?? value))
}

const weights = (dir: string) => join(dir, 'model.safetensors')

/** Changes one float32 of a stored tensor. */
function poke(dir: string, tensor: string, index: number, value: number): void {
  const bytes = readFileSync(weights(dir))
  const start = 8 + Number(bytes.readBigUInt64LE(0))
  const entry = JSON.parse(bytes.toString('utf8', 8, start))[tensor]
  bytes.writeFloatLE(value, start + entry.data_offsets[0] + 4 * index)
  writeFileSync(weights(dir), bytes)
}

const safetensors: Row[] = [
  [
    'cut off',
    'SAFETENSORS_DATA_MISSING',
    ({ reference }) => writeFileSync(weights(reference), readFileSync(weights(reference)).subarray(0, -4)),
    /model\.safetensors/,
  ],
  [
    'a pointer of Git LFS',
    'SAFETENSORS_LFS_POINTER',
    ({ base }) => writeFileSync(weights(base), 'version https://git-lfs.github.com/spec/v1\n'),
    /model\.safetensors/,
  ],
  [
    'a header length beyond the file',
    'SAFETENSORS_HEADER_TOO_LARGE',
    ({ base }) => writeFileSync(weights(base), Buffer.from('ffffffffffffff7f7b7d', 'hex')),
    /model\.safetensors/,
  ],
]
const directories: Row[] = [
  ['no such directory', 'MODEL_DIRECTORY_NOT_FOUND', ({ base }) => rmSync(base, { recursive: true }), /base/],
  ['no config.json', 'CONFIG_MISSING', ({ reference }) => rmSync(join(reference, 'config.json')), /config\.json/],
  [
    'only a pickle',
    'WEIGHTS_PICKLE',
    ({ reference }) => {
      rmSync(weights(reference))
      writeFileSync(join(reference, 'pytorch_model.bin'), 'PK')
    },
    /pytorch_model\.bin/,
  ],
  [
    'an architecture without a forward pass',
    'ARCHITECTURE_UNSUPPORTED',
    ({ base, reference }) =>
      [base, reference].forEach((dir) =>
        edit(join(dir, 'config.json'), (config) => ({
          ...config,
          architectures: ['T5ForConditionalGeneration'],
          model_type: 't5',
        })),
      ),
    /T5|t5/,
  ],
  [
    'a not-a-number among the weights',
    'NOT_FINITE',
    ({ reference }) => poke(reference, 'classifier.weight', 5, NaN),
    /classifier\.weight.*element 5/,
  ],
  [
    'an infinity among the weights of the base',
    'NOT_FINITE',
    ({ base }) => poke(base, 'bert.pooler.dense.bias', 3, Infinity),
    /base: tensor pooler\.dense\.bias.*element 3.*bert\.pooler/,
  ],
]
const pairs: Row[] = [
  [
    'identical weights',
    'NO_SIGNAL',
    ({ base, reference }) => copyFileSync(weights(reference), weights(base)),
    /same weights/,
  ],
  [
    'a base without a head',
    'BASE_HEAD_MISSING',
    ({ base }) => {
      for (const name of [
        'config.json',
        'model.safetensors.index.json',
        'model-00001-of-00002.safetensors',
        'model-00002-of-00002.safetensors',
      ]) {
        copyFileSync(join(fixtureModel('bert/base-old'), name), join(base, name))
      }
      rmSync(weights(base))
    },
    /classifier/,
  ],
  [
    'different architectures',
    'PAIR_ARCHITECTURE',
    ({ base }) =>
      ['config.json', 'model.safetensors'].forEach((name) =>
        copyFileSync(join(fixtureModel('gpt2/base'), name), join(base, name)),
      ),
    /gpt2/,
  ],
  [
    'different tokenizers',
    'PAIR_TOKENIZER',
    ({ base }) => edit(join(base, 'tokenizer.json'), (t) => ({ ...t, normalizer: null })),
    /normalizer/,
  ],
  ['a point beyond the path', 'LAMBDA_RANGE', () => ({ args: ['--lambdas', '0.5,2'] }), /not 2/],
  ['a point twice', 'LAMBDA_DUPLICATE', () => ({ args: ['--lambdas', '0.5,0.5'] }), /twice/],
  ['a direction of length zero', 'DIRECTION_ZERO', () => ({ args: ['--lambdas', '0.5,1'] }), /lambda = 1/],
]
const both =
  (change: (tokenizer: Json) => unknown): Spoil =>
  ({ base, reference }) =>
    [base, reference].forEach((dir) => edit(join(dir, 'tokenizer.json'), change))
const tokenizers: Row[] = [
  [
    'none',
    'TOKENIZER_MISSING',
    ({ base, reference }) => [base, reference].forEach((dir) => rmSync(join(dir, 'tokenizer.json'))),
    /tokenizer\.json/,
  ],
  ['another version', 'TOKENIZER_VERSION', both((t) => ({ ...t, version: '2.0' })), /2\.0/],
  [
    'an unknown component',
    'TOKENIZER_UNKNOWN_COMPONENT',
    both((t) => ({ ...t, pre_tokenizer: { type: 'Oracle' } })),
    /Oracle/,
  ],
  [
    'ids beyond the embedding table',
    'TOKENIZER_ID_RANGE',
    both((t) => {
      t.model.vocab.the = 500
    }),
    /500/,
  ],
  [
    'text longer than may be',
    'PROBES_TEXT_TOO_LONG',
    () => ({ args: ['--max-length', '6', '--no-truncate'] }),
    /probes\.jsonl/,
  ],
]
const line = (value: unknown) => `${JSON.stringify(value)}\n`
const append =
  (text: string | Buffer): Spoil =>
  ({ probes }) =>
    writeFileSync(probes, Buffer.concat([Buffer.from(pairProbes(3)), Buffer.from(text)]))
const probes: Row[] = [
  ['no such file', 'PROBES_NOT_FOUND', ({ folder }) => ({ probes: [join(folder, 'absent.jsonl')] }), /absent/],
  ['an empty file', 'PROBES_EMPTY', ({ probes: file }) => writeFileSync(file, ''), /probes\.jsonl/],
  ['a line that is not JSON', 'PROBES_JSON_INVALID', append('{"text": nope}\n'), /probes\.jsonl:10/],
  [
    'the same beside a tokenizer and weights that are refused too',
    'PROBES_JSON_INVALID',
    (pair) => {
      append('{"text": nope}\n')(pair)
      both((t) => ({ ...t, version: '2.0' }))(pair)
      poke(pair.reference, 'classifier.weight', 5, NaN)
    },
    /probes\.jsonl:10/,
  ],
  ['bytes that are not UTF-8', 'PROBES_UTF8', append(Buffer.from([0x22, 0xff, 0x0a])), /offset/],
  ['an empty text', 'PROBES_TEXT_EMPTY', append(line({ text: '', label: 'stones' })), /probes\.jsonl:10/],
  ['an unknown label', 'PROBES_LABEL_UNKNOWN', append(line({ text: 'the cow', label: 'animal' })), /animal/],
  [
    'one domain only',
    'PROBES_ONE_DOMAIN',
    ({ probes: file }) => writeFileSync(file, line({ text: 'the cow', label: 'animals' })),
    /animals/,
  ],
  [
    'a domain without probes',
    'PROBES_DOMAIN_EMPTY',
    ({ probes: file }) => writeFileSync(file, pairProbes(3).replace(/.*stones.*\n/g, '')),
    /stones/,
  ],
  [
    'an unknown column',
    'PROBES_COLUMN_UNKNOWN',
    ({ folder }) => {
      const file = join(folder, 'probes.csv')
      writeFileSync(file, 'txt,label\nthe cow,animals\n')
      return { probes: [file] }
    },
    /txt/,
  ],
  [
    'an unclosed quote',
    'PROBES_QUOTE_UNCLOSED',
    ({ folder }) => {
      const file = join(folder, 'probes.csv')
      writeFileSync(file, 'text,label\n"the cow,animals\nthe oak,plants\n')
      return { probes: [file] }
    },
    /probes\.csv:2/,
  ],
  ['bad lines on stdin', 'PROBES_JSON_INVALID', () => ({ probes: ['-'], input: 'the cow\n' }), /stdin/],
]

describe.each([
  ['safetensors', safetensors],
  ['model directory', directories],
  ['pair', pairs],
  ['tokenizer', tokenizers],
  ['probes', probes],
])('%s', (_, rows) => {
  test.each(rows)('%s: %s', (_what, code, spoil, says) => refuse(code, spoil, says))
})

test('a spoiled pair is whole before it is spoiled', async () => {
  const { base, reference, probes: file } = makePair()
  expect(
    (
      await warp([
        'recover',
        '--base',
        base,
        '--reference',
        reference,
        '--probes',
        file,
        '--points',
        '1',
        '--bootstrap',
        '20',
        '-q',
      ])
    ).code,
  ).toBe(0)
})
