import { readdir, realpath } from 'node:fs/promises'
import { basename, dirname, join, relative, sep } from 'node:path'
import { inputError } from '../errors.js'
import { trainingState } from './damage.js'
import { fileRecord, readSmallFile, type FileRecord } from './files.js'
import { readSafetensorsHeader, type SafetensorsHeader } from './header.js'
import { brief, isObject, parseStrictJson } from './json.js'
import { stat } from '../stat.js'

/** The weight files of a directory with their headers. */
export interface WeightFiles {
  /** looked at before the headers were read, so that a later change shows */
  files: FileRecord[]
  headers: SafetensorsHeader[]
  notes: string[]
}

const SINGLE = 'model.safetensors'
const INDEX = 'model.safetensors.index.json'

/**
 * Names in a directory.
 * @throws WarpError MODEL_DIRECTORY_NOT_FOUND, MODEL_DIRECTORY_NOT_A_DIRECTORY
 */
export async function listDirectory(dir: string): Promise<string[]> {
  const found = await stat(dir).catch(() => undefined)
  if (!found) {
    throw inputError(
      'MODEL_DIRECTORY_NOT_FOUND',
      `${dir}: no such directory; expected a Hugging Face model directory`,
      { file: dir },
      'Give the directory that holds config.json and model.safetensors.',
    )
  }
  if (!found.isDirectory()) {
    throw inputError(
      'MODEL_DIRECTORY_NOT_A_DIRECTORY',
      `${dir}: is a file; expected a Hugging Face model directory`,
      { file: dir },
      'Give the directory that holds config.json and model.safetensors, not a file in it.',
    )
  }
  return readdir(dir)
}

/**
 * Refuses what only looks like a model directory: an adapter without its base, no configuration.
 * @throws WarpError ADAPTER_ONLY, CONFIG_MISSING
 */
export async function checkDirectory(dir: string, names: readonly string[]): Promise<void> {
  const weights = names.includes(SINGLE) || names.includes(INDEX)
  if (names.includes('adapter_config.json') && !weights) {
    const file = join(dir, 'adapter_config.json')
    const adapter = parseStrictJson(await readSmallFile(file), { file, prefix: 'CONFIG' })
    const base =
      isObject(adapter) && typeof adapter.base_model_name_or_path === 'string'
        ? adapter.base_model_name_or_path
        : 'unknown'
    throw inputError(
      'ADAPTER_ONLY',
      `${dir}: holds an adapter, not a model; it needs its base, ${base}`,
      { file, found: 'adapter_config.json', expected: SINGLE, base },
      'Give it as the reference, beside the base it was made for.',
    )
  }
  if (!names.includes('config.json')) {
    throw inputError(
      'CONFIG_MISSING',
      `${dir}: no config.json; expected a Hugging Face model directory`,
      { file: join(dir, 'config.json'), found: names.slice(0, 20), expected: 'config.json' },
      'Give the directory that holds config.json and model.safetensors.',
    )
  }
}

/**
 * Finds the safetensors files of a model and reads their headers: one `model.safetensors`, or the shards of
 * `model.safetensors.index.json`, every tensor in exactly the shard that the index names.
 * @throws WarpError WEIGHTS_…, INDEX_…, SAFETENSORS_…
 */
export async function locateWeights(
  dir: string,
  names: readonly string[],
  architectureName: string,
): Promise<WeightFiles> {
  const single = names.includes(SINGLE) ? join(dir, SINGLE) : undefined
  if (!names.includes(INDEX)) {
    if (!single) throw noWeights(dir, names, architectureName)
    return readSingle(single, [])
  }
  const sharded = await readShards(dir, names)
  if (!single) return sharded
  const result = await readSingle(single, [`${dir}: ${SINGLE} and shards with the same tensors; ${SINGLE} was read`])
  if (signature(result.headers) !== signature(sharded.headers)) {
    throw inputError(
      'WEIGHTS_BOTH_FORMS',
      `${dir}: ${SINGLE} and the shards of ${INDEX} hold different tensors`,
      { file: single, found: [SINGLE, INDEX], expected: 'one of them' },
      'Remove the form that is out of date.',
    )
  }
  return result
}

async function readSingle(path: string, notes: string[]): Promise<WeightFiles> {
  const file = await fileRecord(path)
  return { files: [file], headers: [await readSafetensorsHeader(path, file)], notes }
}

function signature(headers: SafetensorsHeader[]): string {
  return headers
    .flatMap((h) => h.tensors.map((t) => `${t.storedName}\n${t.dtype} ${t.shape}`))
    .sort()
    .join('\n')
}

function noWeights(dir: string, names: readonly string[], architectureName: string): Error {
  const state = trainingState(dir, names)
  if (state) return state
  const find = (pattern: RegExp): string | undefined => names.find((name) => pattern.test(name))
  const torch = find(/^pytorch_model.*\.bin(\.index\.json)?$/) ?? find(/\.(bin|pt|pth|ckpt)$/)
  if (torch) {
    const cls = /^\w+$/.test(architectureName) ? architectureName : 'AutoModel'
    return inputError(
      'WEIGHTS_PICKLE',
      `${dir}: only PyTorch weights (${torch}); expected ${SINGLE}`,
      { file: join(dir, torch), found: torch, expected: SINGLE },
      `Convert them: python -c "from transformers import ${cls}; m = ${cls}.from_pretrained('${dir}'); ` +
        `m.save_pretrained('${dir}')"`,
    )
  }
  const gguf = find(/\.gguf$/i)
  if (gguf) {
    return inputError(
      'WEIGHTS_GGUF',
      `${dir}: only GGUF weights (${gguf}); expected ${SINGLE}`,
      { file: join(dir, gguf), found: gguf, expected: SINGLE },
      'Use the original Hugging Face directory of the model.',
    )
  }
  const near = names.filter((name) => /safetensors|\.h5$|\.msgpack$|\.onnx$/.test(name))
  return inputError(
    'WEIGHTS_MISSING',
    `${dir}: no ${SINGLE} and no ${INDEX}${near.length ? `; found ${near.slice(0, 5).join(', ')}` : ''}`,
    { file: join(dir, SINGLE), found: near.slice(0, 20), expected: [SINGLE, INDEX] },
    near.some((name) => name.endsWith('.safetensors'))
      ? `If it is the whole model, rename it to ${SINGLE}.`
      : 'Give the directory that holds config.json and model.safetensors.',
  )
}

async function readShards(dir: string, names: readonly string[]): Promise<WeightFiles> {
  const file = join(dir, INDEX)
  const map = await readWeightMap(file)
  const shards = [...new Set(map.values())].sort()
  for (const shard of shards) await checkShard(dir, names, shard, file)
  const files = await Promise.all(shards.map((shard) => fileRecord(join(dir, shard))))
  const headers: SafetensorsHeader[] = []
  const seen = new Map<string, string>()
  for (const [i, shard] of shards.entries()) {
    const { path } = files[i]!
    const header = await readSafetensorsHeader(path, files[i])
    headers.push(header)
    for (const { storedName: name } of header.tensors) {
      const twice = seen.get(name)
      if (twice !== undefined) {
        throw inputError(
          'INDEX_TENSOR_TWICE',
          `${file}: tensor ${JSON.stringify(name)} is in ${twice} and in ${shard}`,
          { file: path, tensor: name, found: [twice, shard], expected: 'one shard' },
          'The directory mixes two exports; download it again.',
        )
      }
      seen.set(name, shard)
      if (!map.has(name)) {
        throw inputError(
          'INDEX_TENSOR_UNLISTED',
          `${path}: tensor ${JSON.stringify(name)} is not in the index`,
          { file: path, tensor: name, expected: 'every tensor of a shard in weight_map' },
          'The directory mixes two exports; download it again.',
        )
      }
    }
  }
  for (const [name, shard] of map) {
    if (seen.get(name) === shard) continue
    throw inputError(
      'INDEX_TENSOR_MISSING',
      `${file}: tensor ${JSON.stringify(name)} should be in ${shard}, but it is ` +
        (seen.has(name) ? `in ${seen.get(name)}` : 'not there'),
      { file, tensor: name, found: seen.get(name) ?? null, expected: shard },
      'The directory mixes two exports; download it again.',
    )
  }
  return { files, headers, notes: [] }
}

async function readWeightMap(file: string): Promise<Map<string, string>> {
  const index = parseStrictJson(await readSmallFile(file), { file, prefix: 'INDEX' })
  const map = isObject(index) ? index.weight_map : undefined
  const bad = isObject(map) ? Object.entries(map).find(([, shard]) => typeof shard !== 'string') : ['', map]
  if (bad || Object.keys(map as object).length === 0) {
    throw inputError(
      'INDEX_WEIGHT_MAP',
      `${file}: weight_map${bad?.[0] ? `[${JSON.stringify(bad[0])}]` : ''} is ` +
        `${brief(bad ? bad[1] : map)}; expected an object from tensor names to file names`,
      {
        file,
        tensor: (bad?.[0] as string | undefined) || undefined,
        found: bad ? bad[1] : map,
        expected: 'string to string',
      },
      'Download or export the index again.',
    )
  }
  return new Map(Object.entries(map as Record<string, string>))
}

async function checkShard(dir: string, names: readonly string[], shard: string, index: string): Promise<void> {
  if (/[\\/\0]|\.\.|:\/\//.test(shard) || !/^[^.].*\.safetensors$/.test(shard)) {
    throw inputError(
      'INDEX_SHARD_NAME',
      `${index}: ${JSON.stringify(shard.slice(0, 200))} is not the name of a safetensors file beside the index`,
      { file: index, found: shard.slice(0, 200), expected: 'a file name without path, ending in .safetensors' },
      'Do not use this directory unless you trust who made it.',
    )
  }
  const path = join(dir, shard)
  if (!names.includes(shard)) {
    throw inputError(
      'INDEX_SHARD_MISSING',
      `${path}: the index names this shard, but it is not there`,
      { file: path, found: names.filter((name) => name.endsWith('.safetensors')).slice(0, 20), expected: shard },
      'Download the missing file.',
    )
  }
  await assertInside(dir, path, 'SHARD_LINK_ESCAPES')
}

/** @throws WarpError (input) `code` for a link that leads out of the model directory (or its cached repository) */
export async function assertInside(dir: string, path: string, code: string): Promise<void> {
  const target = await realpath(path).catch(() => path)
  if ((await allowedRoots(dir)).some((root) => isWithin(root, target))) return
  throw inputError(
    code,
    `${path}: is a link to ${target}, outside the model directory`,
    { file: path, found: target, expected: 'a file in the directory' },
    'Copy the file into the directory if you trust it.',
  )
}

/**
 * Where links may lead: the directory itself and, in a Hugging Face cache
 * (`models--owner--name/snapshots/<commit>/file -> ../../blobs/<hash>`), the folder of that cached repository.
 */
async function allowedRoots(dir: string): Promise<string[]> {
  const real = await realpath(dir)
  const snapshots = dirname(real)
  const repository = dirname(snapshots)
  const cached = basename(snapshots) === 'snapshots' && basename(repository).startsWith('models--')
  return cached ? [real, repository] : [real]
}

function isWithin(root: string, path: string): boolean {
  const way = relative(root, path)
  return way !== '' && way !== '..' && !way.startsWith(`..${sep}`) && !way.startsWith(sep)
}
