import { spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Random } from '../../lib/random.js'
import { makePair } from '../support/pair.js'
import { domainFile, trainableModel } from '../support/training.js'
import { one, type Attack } from './attack.js'
import { place, runCommand } from './commands.js'

const things: Record<string, (path: string) => void> = {
  'a named pipe': (path) => void spawnSync('mkfifo', [path]),
  'an endless device': (path) => symlinkSync('/dev/zero', path),
  'an empty device': (path) => symlinkSync('/dev/null', path),
  'a full device': (path) => symlinkSync('/dev/full', path),
  'a link to itself': (path) => symlinkSync(path, path),
  'a link to nothing': (path) => symlinkSync('/nowhere/at/all', path),
  'a link out of the folder': (path) => symlinkSync('/etc/hostname', path),
  'a folder': (path) => mkdirSync(path),
  'an empty file': (path) => writeFileSync(path, ''),
  'a file of holes': (path) => {
    writeFileSync(path, '')
    truncateSync(path, 2 ** 34)
  },
  'one byte': (path) => writeFileSync(path, '{'),
  'a terminal': (path) => symlinkSync('/dev/tty', path),
}

/** In the place of any file that is read or written: a refusal with its own code, in time, and nothing internal. */
export class Odd implements Attack {
  readonly name = 'odd files'
  readonly share = 0.1
  readonly #pair = makePair('bert', { perDomain: 4 })
  readonly #base = trainableModel()
  readonly #data = domainFile(['animals', 'plants', 'stones'], 6)

  async step(random: Random): Promise<string | undefined> {
    const folder = place()
    try {
      cpSync(this.#pair.folder, join(folder, 'pair'), { recursive: true })
      cpSync(this.#base, join(folder, 'model'), { recursive: true })
      cpSync(this.#data, join(folder, 'texts.jsonl'))
      mkdirSync(join(folder, 'out'))
      const at = (name: string): string => join(folder, name)
      const [command, args, files] = one(random, commandsOn(at))
      const file = one(random, files)
      const thing = one(random, Object.keys(things))
      // texts may come through a pipe, and then whoever writes them is waited for
      if (thing === 'a named pipe' && /(probes|texts)\.jsonl$/.test(file)) return
      rmSync(at(file), { recursive: true, force: true })
      things[thing](at(file))
      const end = await runCommand([...args, '--json'], { seconds: 40 })
      const what = `${command} with ${thing} as ${file}`
      if (end.late) return `${what}: it never ended`
      if (![0, 2, 3, 4].includes(end.code ?? -1))
        return `${what}: ${end.signal ?? `exit ${end.code}`} ${end.stderr.slice(-800)}`
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
  }
}

type Command = [name: string, args: string[], files: string[]]

/** Commands on a pair, a model and texts in a folder, and the files they may meet there. */
function commandsOn(at: (name: string) => string): Command[] {
  const models = ['--base', at('pair/base'), '--reference', at('pair/reference')]
  const probes = ['--probes', at('pair/probes.jsonl'), '--points', '2']
  const inputs = [
    'pair/base/config.json',
    'pair/reference/model.safetensors',
    'pair/reference/tokenizer.json',
    'pair/probes.jsonl',
  ]
  const carried = ['pair/reference/vocab.txt', 'pair/reference/merges.txt', 'pair/reference/chat_template.jinja']
  const out = ['-o', at('out'), '--force']
  return [
    [
      'recover',
      ['recover', ...models, ...probes, '--bootstrap', '20', ...out],
      [...inputs, 'out/result.json', 'out/.warp.lock'],
    ],
    ['footprint', ['footprint', ...models, ...probes, ...out], [...inputs, 'out/alignment.npy']],
    ['trace', ['trace', ...models, ...probes.slice(0, 2), ...out], [...inputs, 'out/documents.jsonl', 'out']],
    [
      'merge',
      ['merge', ...models, '--points', '2', ...out],
      [...inputs.slice(0, 3), ...carried, 'out/warp.merge.part', 'out/point-01', 'out/warp.merge.json'],
    ],
    [
      'train',
      ['train', '--base', at('model'), '--data', at('texts.jsonl'), '--epochs', '1', ...out],
      [
        'model/config.json',
        'model/tokenizer.json',
        'model/vocab.json',
        'texts.jsonl',
        'out/warp.train.json',
        'out/warp.train.state.safetensors',
        'out/model.safetensors',
        'out/.warp.lock',
      ],
    ],
    [
      'train, resumed',
      ['train', '--base', at('model'), '--data', at('texts.jsonl'), '--epochs', '1', '-o', at('out')],
      ['out/warp.train.state.safetensors', 'out/warp.train.json'],
    ],
    [
      'lab plan',
      [
        'lab',
        'plan',
        '--base',
        at('model'),
        '--data',
        at('texts.jsonl'),
        '--texts',
        '3',
        '--trials',
        '2',
        '--probes-per-domain',
        '2',
        ...out,
      ],
      ['texts.jsonl', 'out/plan.json', 'out/probes.jsonl', 'out/trials'],
    ],
    ['lab run', ['lab', 'run', at('out')], ['out/plan.json']],
    ['inspect', ['inspect', at('model')], ['model/config.json', 'model/model.safetensors', 'model/tokenizer.json']],
    ['recover with a label map', ['recover', ...models, ...probes, '--label-map', at('map.json')], ['map.json']],
    [
      'recover with a projector',
      ['recover', ...models, ...probes, '--projector', at('projector.json')],
      ['projector.json'],
    ],
  ]
}
