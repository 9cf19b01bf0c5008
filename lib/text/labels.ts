import { extname } from 'node:path'
import { usageError, inputError } from '../errors.js'
import { readJsonFile } from './json-file.js'
import { meantName } from './nearest.js'
import { describe, errorAt, list, placeOf } from './place.js'
import { meansUnlabeled, wholeNumber } from './record.js'

const anId = /^(0|[1-9]\d*)$/

/**
 * The label map behind `--label-map`: pairs `1=World,2=Sports`, or the path of a JSON file with an object
 * `{"1": "World"}` whose values are names or ids of the model's labels.
 */
export async function readLabelMap(value: string): Promise<Record<string, string>> {
  return value.includes('=') && extname(value) !== '.json' ? labelPairs(value) : labelFile(value)
}

function labelPairs(value: string): Record<string, string> {
  const map: [string, string][] = []
  for (const pair of value.split(',')) {
    const [raw, label, ...more] = pair.split('=')
    if (raw === '' || label === undefined || label === '' || more.length > 0) {
      throw usageError(
        'LABEL_MAP_INVALID',
        `--label-map: "${pair}" is not RAW=LABEL`,
        { found: pair },
        'names that hold a comma or an equals sign need a JSON file',
      )
    }
    if (map.some(([other]) => other === raw)) {
      throw usageError(
        'LABEL_MAP_INVALID',
        `--label-map: "${raw}" is there twice`,
        { found: raw },
        'map each label once',
      )
    }
    map.push([raw, label])
  }
  return Object.fromEntries(map)
}

async function labelFile(file: string): Promise<Record<string, string>> {
  const hint = '{"1": "World", "2": "Sports"}'
  const value = await readJsonFile(file, 'LABEL_MAP', hint)
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw errorAt('LABEL_MAP_INVALID', { file }, `expected an object, found ${describe(value)}`, hint)
  }
  for (const [raw, label] of Object.entries(value)) {
    if (typeof label !== 'string' && !Number.isSafeInteger(label)) {
      throw errorAt(
        'LABEL_MAP_INVALID',
        { file },
        `"${raw}" must map to a label's name or id, found ${describe(label)}`,
        hint,
      )
    }
  }
  return Object.fromEntries(Object.entries(value).map(([raw, label]) => [raw, String(label)]))
}

/**
 * Raw labels → class ids of a model. A raw label goes through the map where it is in it; else it is the name of a
 * label; else, where there is no map and no name is a number, the id of one.
 */
export class LabelResolver {
  readonly #known = new Map<string, number>()
  readonly #names: Map<string, number>
  /** numbers are names of this model's labels: they may be other ids */
  readonly #numbered: boolean

  constructor(
    readonly labels: string[],
    readonly map: Record<string, string> | undefined,
  ) {
    // a name of its own goes before one that is the same number
    this.#names = new Map([...labels.map(wholeNumber), ...labels].map((label, i) => [label, i % labels.length]))
    this.#numbered = labels.some((label) => anId.test(wholeNumber(label)))
    for (const [raw, label] of Object.entries(map ?? {})) {
      const id = this.#names.get(label) ?? this.#id(label)
      if (id === undefined) {
        throw inputError(
          'LABEL_MAP_UNKNOWN',
          `--label-map maps "${raw}" to "${label}"; the model's labels are ${list(labels)}`,
          { expected: labels.slice(0, 100), found: label },
          meantName(label, labels, 'map to a name or an id of these'),
        )
      }
      this.#known.set(wholeNumber(raw), id)
    }
  }

  #id(text: string): number | undefined {
    return !this.#numbered && anId.test(text) && Number(text) < this.labels.length ? Number(text) : undefined
  }

  /** @param source file and line, for the error */
  resolve(raw: string, source: string): number {
    let id = this.#known.get(raw)
    if (id === undefined) {
      // With a map, a number outside it is more likely forgotten than an id.
      id = this.#names.get(raw) ?? (this.map === undefined ? this.#id(raw) : undefined)
      if (id === undefined) throw this.#unknown(raw, source)
      this.#known.set(raw, id)
    }
    return id
  }

  #unknown(raw: string, source: string): Error {
    const { labels, map } = this
    const details = { expected: labels.slice(0, 100), found: raw }
    if (meansUnlabeled(raw, map, labels)) {
      return errorAt(
        'PROBES_UNLABELED',
        placeOf(source),
        `the label is ${raw}: nobody labelled this text`,
        '--drop-unlabeled leaves such texts out',
        details,
      )
    }
    // which one it is, only who made the data knows: a proposal would be copied
    const otherwise =
      map !== undefined
        ? `--label-map has no entry for "${raw}"`
        : `--label-map "${raw}=NAME,…" says which of them it is`
    return errorAt(
      'PROBES_LABEL_UNKNOWN',
      placeOf(source),
      `the label "${raw}" is none of the model's: ${list(labels)}`,
      meantName(raw, labels, otherwise),
      details,
    )
  }
}
