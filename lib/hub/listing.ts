import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { inputError } from '../errors.js'
import { badAnswer, readJson, type HubClient } from './client.js'
import { isCommit, type HubKind, type HubName } from './name.js'

/** One file of a repository as the hub lists it. */
export interface HubFile {
  /** with `/` */
  path: string
  /** bytes */
  size: number
  /** of the contents: SHA-256 of a large file, git's own hash (SHA-1) of a small one */
  hash: string
}

export interface Listing {
  commit: string
  files: HubFile[]
}

const single = 'model.safetensors'
export const weightIndex = 'model.safetensors.index.json'
const adapter = 'adapter_model.safetensors'
/**
 * Files of a model directory besides its weights: what says how the model is built, and how texts become ids. The
 * configuration is the first.
 */
export const companionFiles = [
  'config.json',
  'generation_config.json',
  'tokenizer.json',
  'tokenizer_config.json',
  'special_tokens_map.json',
  'added_tokens.json',
  'vocab.txt',
  'vocab.json',
  'merges.txt',
  'spiece.model',
  'tokenizer.model',
  'sentencepiece.bpe.model',
  'chat_template.jinja',
  'chat_template.json',
]
const described = new Set([...companionFiles, 'adapter_config.json', 'quantize_config.json', 'quant_config.json'])
const records = /^(?!.*(^|\/)(\.|dataset_infos\.json$)).*\.(jsonl|ndjson|json|csv|tsv|txt|parquet|arrow)(\.gz|\.zst)?$/i

/** Asks the hub what a revision stands for and which files it has. @throws WarpError (input) HUB_… */
export async function askListing(client: HubClient, signal?: AbortSignal): Promise<Listing> {
  const { name, settings } = client
  const revision = encodeURIComponent(name.revision)
  const place = `${settings.endpoint}/api/${name.kind}s/${name.repository}/revision/${revision}`
  const found = await readJson(client, await client.get(`${place}?blobs=true`, {}, signal))
  const { sha, siblings } = (found ?? {}) as { sha?: unknown; siblings?: unknown }
  if (typeof sha !== 'string' || !isCommit(sha)) throw badAnswer(name, 'a listing that names no commit')
  if (!Array.isArray(siblings)) throw badAnswer(name, 'a listing without files')
  return { commit: sha, files: siblings.map((file) => fileOf(file, name)) }
}

function fileOf(value: unknown, name: HubName): HubFile {
  const { rfilename, size, blobId, lfs } = (value ?? {}) as Record<string, unknown>
  const large = (lfs ?? undefined) as { sha256?: unknown; size?: unknown } | undefined
  const file = { path: rfilename, size: large?.size ?? size, hash: large?.sha256 ?? blobId }
  const good =
    typeof file.path === 'string' &&
    Number.isSafeInteger(file.size) &&
    (file.size as number) >= 0 &&
    typeof file.hash === 'string' &&
    /^([0-9a-f]{40}|[0-9a-f]{64})$/.test(file.hash)
  if (!good) throw badAnswer(name, `a file without path, size or hash (${JSON.stringify(value)?.slice(0, 120)})`)
  const inside = (file.path as string).split('/').every((part) => part !== '' && part !== '.' && part !== '..')
  if (!inside || /[\\\u0000-\u001f]/.test(file.path as string))
    throw badAnswer(name, `a file outside its repository (${JSON.stringify(file.path)})`)
  return file as HubFile
}

/** Which files a use of the repository needs, less the shards of an index; those come from `shardsOf`. */
export function needed({ kind, path: inside }: HubName, paths: readonly string[]): string[] {
  if (kind === 'dataset') {
    const under = paths.filter((path) => inside === '' || path === inside || path.startsWith(`${inside}/`))
    return under.filter((path) => path === inside || records.test(path))
  }
  const weights = paths.includes(single) ? single : paths.includes(weightIndex) ? weightIndex : undefined
  return paths.filter((path) => described.has(path) || path === weights || path === adapter)
}

/** Names of the shards that the index in a folder lists; [] without an index. */
export async function shardsOf(folder: string): Promise<string[]> {
  const text = await readFile(join(folder, weightIndex), 'utf8').catch(() => undefined)
  if (text === undefined) return []
  try {
    const { weight_map: map } = JSON.parse(text) as { weight_map?: Record<string, unknown> }
    return [...new Set(Object.values(map ?? {}).filter((file): file is string => typeof file === 'string'))]
  } catch {
    return [] // what is wrong with it is said when the model is opened
  }
}

/** Whether everything a model needs is among `paths`: configuration, tokenizer and all weights of a folder. */
export async function isWhole(kind: HubKind, folder: string, paths: readonly string[]): Promise<boolean> {
  if (kind === 'dataset') return false // which files belong to it only the hub knows
  const has = (path: string): boolean => paths.includes(path)
  if (has('adapter_config.json')) return has(adapter)
  const tokenizer = paths.some((path) => /^(tokenizer\.|vocab\.|spiece\.|sentencepiece\.)/.test(path))
  if (!has('config.json') || !tokenizer) return false
  if (has(single)) return true
  const shards = await shardsOf(folder)
  return shards.length > 0 && shards.every(has)
}

/** @throws WarpError (input) HUB_NO_WEIGHTS, HUB_NO_RECORDS where a repository has nothing that can be used */
export function refuseUseless({ given, kind }: HubName, paths: readonly string[], wanted: readonly string[]): void {
  const weights = wanted.some((path) => path === single || path === weightIndex || path === adapter)
  if (kind === 'dataset' ? wanted.length > 0 : weights) return
  throw inputError(
    kind === 'dataset' ? 'HUB_NO_RECORDS' : 'HUB_NO_WEIGHTS',
    `${given}: holds ${kind === 'dataset' ? 'no file of records' : `no ${single}`}; found ` +
      (paths.slice(0, 8).join(', ') || 'nothing'),
    {
      file: given,
      found: paths.slice(0, 40),
      expected: kind === 'dataset' ? 'jsonl, csv, tsv, json, parquet' : single,
    },
    kind === 'dataset'
      ? 'Give a data set that keeps its texts in such files.'
      : 'Ask for a revision in safetensors (often refs/pr/N), or convert the weights once.',
  )
}
