import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { JsonObject } from '../checkpoint/json.js'
import type { ModelDirectory } from '../checkpoint/index.js'
import { inputError, usageError } from '../errors.js'
import type { Network } from '../models/network.js'
import type { RunOptions } from '../native/task.js'
import { readRecords } from '../text/index.js'
import { readJsonFile } from '../text/json-file.js'
import type { Tokenizer } from '../text/tokenizer/index.js'

/** How texts begin: with the begin token alone, with what opens a chat, or with vague words. */
export const startKinds = ['begin', 'chat', 'words'] as const
export type StartKind = (typeof startKinds)[number]

/** What texts of any kind may begin with, none of which says what follows. */
export const vagueWords = [
  ...['The', 'A', 'In', 'I', 'It', 'This', 'We', 'There', 'What', 'How', 'When', 'For', 'My', 'You', 'On', 'As', 'If'],
  ...['He', 'She', 'They', 'One', 'After', 'Please', 'Is', 'Can', 'To', 'At', 'With', 'By', 'New', 'First', 'Some'],
]

export interface Start {
  ids: number[]
  /** its words, '' for a token alone */
  prompt: string
  /** whether they are part of the text */
  shown: boolean
}

export interface SpecialTokens {
  /** of the begin token; where there is none, of the end token */
  begin?: number
  /** tokens that end a text */
  ends: number[]
}

/** The begin and end tokens that config.json, generation_config.json and tokenizer_config.json name. */
export async function specialTokens(model: ModelDirectory, tokenizer: Tokenizer): Promise<SpecialTokens> {
  const configs = [model.config, await optionalJson(join(model.dir, 'generation_config.json'))]
  const names = await optionalJson(join(model.dir, 'tokenizer_config.json'))
  const ids = (field: string): number[] =>
    configs.flatMap((config) => config[field]).filter((id): id is number => Number.isInteger(id) && (id as number) >= 0)
  const named = (field: string): number[] => {
    const id = tokenizer.id(spelling(names[field]) ?? '')
    return id === undefined ? [] : [id]
  }
  const ends = [...new Set([...ids('eos_token_id'), ...named('eos_token')])]
  return { begin: [...named('bos_token'), ...ids('bos_token_id'), ...ends][0], ends }
}

/** A token of tokenizer_config.json: a string, or an object with its `content`. */
function spelling(value: unknown): string | undefined {
  if (typeof value === 'string') return value
  const content = (value as { content?: unknown } | null | undefined)?.content
  return typeof content === 'string' ? content : undefined
}

async function optionalJson(file: string): Promise<JsonObject> {
  if (!existsSync(file)) return {}
  const value = await readJsonFile(file, 'CONFIG', 'an object')
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as JsonObject) : {}
}

/**
 * The starts of texts: `prompts` (a file of texts, or the texts themselves), or one of `startKinds`; by default the
 * begin token.
 * @throws WarpError (usage) START_UNKNOWN, START_CONFLICT; (input) START_NO_TOKEN, CHAT_TEMPLATE_MISSING,
 *   CHAT_TEMPLATE_UNSUPPORTED, PROMPT_EMPTY, PROMPT_TOO_LONG, and all of `readRecords`
 */
export async function findStarts(
  options: { start?: string; prompts?: string | readonly string[] } & RunOptions,
  model: ModelDirectory,
  tokenizer: Tokenizer,
  special: SpecialTokens,
  { maxPositions }: Network,
): Promise<Start[]> {
  const { start, prompts } = options
  if (start !== undefined && prompts !== undefined) throw startConflict()
  if (start !== undefined && !(startKinds as readonly string[]).includes(start)) throw startUnknown(start)
  if (prompts !== undefined || start === 'words') {
    const texts = prompts === undefined ? vagueWords : await promptTexts(prompts, options)
    const starts: Start[] = []
    for (const [i, prompt] of texts.entries()) {
      const ids = await encode(prompt, tokenizer, true)
      while (ids.length > 0 && special.ends.includes(ids.at(-1)!)) ids.pop() // a text is not over before it begins
      checkLength(prompt, ids.length, maxPositions, i)
      starts.push({ ids, prompt, shown: true })
    }
    return starts
  }
  if (start === 'chat') return [await chatStart(model, tokenizer)]
  if (special.begin === undefined) {
    throw inputError(
      'START_NO_TOKEN',
      `${model.dir}: neither a begin token nor an end token is named`,
      { file: model.dir },
      'Say how texts begin: --start words, or --prompts FILE.',
    )
  }
  return [{ ids: [special.begin], prompt: '', shown: false }]
}

export const startConflict = (): Error =>
  usageError('START_CONFLICT', 'start and prompts are both given', {}, 'Give one of them.')

export const startUnknown = (start: string): Error =>
  usageError(
    'START_UNKNOWN',
    `there is no start ${JSON.stringify(start)}`,
    { found: start, expected: [...startKinds] },
    `One of ${startKinds.join(', ')}, or --prompts FILE.`,
  )

async function promptTexts(prompts: string | readonly string[], run: RunOptions): Promise<readonly string[]> {
  if (typeof prompts !== 'string') return prompts
  const texts: string[] = []
  for await (const { text } of readRecords([prompts], {}, { signal: run.signal })) texts.push(text)
  return texts
}

const encode = async (text: string, tokenizer: Tokenizer, addSpecialTokens: boolean): Promise<number[]> => [
  ...(await tokenizer.encode(text, { addSpecialTokens })).ids,
]

function checkLength(prompt: string, length: number, positions: number, i: number): void {
  if (length === 0) {
    throw inputError('PROMPT_EMPTY', `prompt ${i + 1} has no tokens`, { index: i }, 'Leave it out, or --start begin.')
  }
  if (length < positions) return
  throw inputError(
    'PROMPT_TOO_LONG',
    `prompt ${i + 1} (${JSON.stringify(prompt.slice(0, 40))}) has ${length} tokens; the model reads ${positions}`,
    { index: i, found: length, expected: `< ${positions}` },
    'Shorten it.',
  )
}

/**
 * What opens the first message in the best-known templates: the pieces that a template must have, and the opening.
 * `{bos}` stands for the begin token where the template writes it.
 */
const openings: { pieces: string[]; opening: string }[] = [
  { pieces: ['<|start_header_id|>', '<|end_header_id|>'], opening: '<|start_header_id|>user<|end_header_id|>\n\n' },
  { pieces: ['<|im_start|>', '<|im_end|>'], opening: '<|im_start|>user\n' },
  { pieces: ['<start_of_turn>', '<end_of_turn>'], opening: '<start_of_turn>user\n' },
  { pieces: ['[INST]', '[/INST]'], opening: '[INST] ' },
  { pieces: ['<|user|>', '<|assistant|>'], opening: '<|user|>\n' },
]

async function chatStart(model: ModelDirectory, tokenizer: Tokenizer): Promise<Start> {
  const file = join(model.dir, 'tokenizer_config.json')
  const config = await optionalJson(file)
  const template = config.chat_template ?? (await readTemplate(join(model.dir, 'chat_template.jinja')))
  if (typeof template !== 'string' || template === '') {
    throw inputError(
      'CHAT_TEMPLATE_MISSING',
      `${file}: there is no chat template`,
      { file, field: 'chat_template' },
      'Say how texts begin: --start begin, --start words, or --prompts FILE.',
    )
  }
  const found = openings.find(({ pieces }) => pieces.every((piece) => template.includes(piece)))
  if (!found) {
    throw inputError(
      'CHAT_TEMPLATE_UNSUPPORTED',
      `${file}: its chat template is of no known kind`,
      { file, field: 'chat_template', expected: openings.map(({ pieces }) => pieces[0]) },
      'Write the opening as it stands into a file of one text, and give it with --prompts FILE.',
    )
  }
  const bos = spelling(config.bos_token)
  const before = template.includes('bos_token') && bos !== undefined ? bos : ''
  return { ids: await encode(before + found.opening, tokenizer, false), prompt: found.opening, shown: false }
}

const readTemplate = async (file: string): Promise<string | undefined> =>
  existsSync(file) ? readFile(file, 'utf8') : undefined
