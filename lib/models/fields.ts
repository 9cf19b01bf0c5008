import { brief, type Json, type JsonObject } from '../checkpoint/json.js'
import { inputError, type WarpError } from '../errors.js'
import type { Activation } from './network.js'

/** The least normal float32, and the largest one. */
const smallest = 2 ** -126,
  largest = (2 - 2 ** -23) * 2 ** 127

const functions: Record<string, Activation> = {
  gelu: 'gelu',
  gelu_new: 'gelu_tanh',
  gelu_pytorch_tanh: 'gelu_tanh',
  relu: 'relu',
  silu: 'silu',
  swish: 'silu',
}

/** The function that goes by this name in `config.json`; undefined for one that cannot be computed. */
export const activationOf = (name: string): Activation | undefined => functions[name]

/** Typed reading of a `config.json`; the first of several names that is present counts, `null` is not. */
export class Fields {
  constructor(
    readonly config: JsonObject,
    readonly file: string,
  ) {}

  value(...names: string[]): Json | undefined {
    return names.map((n) => this.config[n]).find((v) => v !== undefined && v !== null)
  }

  fail(name: string, found: Json | undefined, expected: string): WarpError {
    const missing = found === undefined
    return inputError(
      missing ? 'CONFIG_FIELD_MISSING' : 'CONFIG_FIELD',
      `${this.file}: "${name}" ${missing ? 'is missing' : `is ${brief(found)}`}; expected ${expected}`,
      { file: this.file, field: name, found: found ?? null, expected },
      'Copy config.json from the original model again.',
    )
  }

  /** A size: it must be written down unless there is a fallback. */
  count(names: string[], fallback?: number): number {
    const found = this.value(...names)
    if (found === undefined && fallback !== undefined) return fallback
    if (typeof found === 'number' && Number.isInteger(found) && found >= 1 && found < 2 ** 31) return found
    throw this.fail(names[0]!, found, 'an integer from 1 to 2^31 - 1')
  }

  /** A number above 0 that float32 holds: networks are computed in it. */
  positive(name: string, fallback?: number): number {
    const found = this.value(name) ?? fallback
    if (typeof found === 'number' && found >= smallest && found <= largest) return found
    throw this.fail(name, found, `a number above 0, from ${smallest.toPrecision(2)} to ${largest.toPrecision(2)}`)
  }

  /** What a normalisation adds to a variance. */
  epsilon(name: string, fallback: number): number {
    const found = this.positive(name, fallback)
    if (found <= 1) return found
    throw this.fail(name, found, 'a number above 0, at most 1')
  }

  /** A number above 0, or undefined where the field is missing or null and there is no fallback. */
  optional(name: string, fallback?: number): number | undefined {
    if (this.config[name] === null) return undefined
    return this.value(name) === undefined && fallback === undefined ? undefined : this.positive(name, fallback)
  }

  flag(name: string, fallback: boolean): boolean {
    const found = this.value(name) ?? fallback
    if (typeof found === 'boolean') return found
    throw this.fail(name, found, 'true or false')
  }

  text(name: string, fallback: string): string {
    const found = this.value(name) ?? fallback
    if (typeof found === 'string') return found
    throw this.fail(name, found, 'a string')
  }

  /** A dropout rate. */
  rate(names: string[], fallback: number): number {
    const found = this.value(...names) ?? fallback
    if (typeof found === 'number' && found >= 0 && found < 1) return found
    const name = names.find((n) => this.config[n] === found) ?? names[0]!
    throw this.fail(name, found, 'a number from 0 to 1, without 1')
  }

  /** A token id inside the vocabulary, −1 where there is none. */
  token(name: string, vocabularySize: number, fallback = -1): number {
    const found = name in this.config ? this.config[name] : fallback
    return typeof found === 'number' && Number.isInteger(found) && found >= 0 && found < vocabularySize ? found : -1
  }

  /** The function that a name in `config.json` means. @throws WarpError CONFIG_ACTIVATION */
  activation(name: string, fallback: string): Activation {
    const found = this.text(name, fallback)
    const known = activationOf(found)
    if (known) return known
    throw inputError(
      'CONFIG_ACTIVATION',
      `${this.file}: activation ${brief(found)}; expected one of ${Object.keys(functions).join(', ')}`,
      { file: this.file, field: name, found, expected: Object.keys(functions) },
      '`warp trace` and `warp merge` work with any activation.',
    )
  }

  /** Refuses a switch that would change the computation. @throws WarpError CONFIG_UNSUPPORTED */
  only(name: string, allowed: Json, meaning: string): void {
    const found = this.value(name)
    if (found === undefined || found === allowed) return
    throw this.unsupported('CONFIG_UNSUPPORTED', name, found, brief(allowed), meaning)
  }

  unsupported(code: string, name: string, found: Json, expected: string, meaning: string): WarpError {
    return inputError(
      code,
      `${this.file}: "${name}" is ${brief(found)} (${meaning}); expected ${expected}`,
      { file: this.file, field: name, found, expected },
      'This variant of the architecture cannot be computed here; `warp trace` and `warp merge` still work.',
    )
  }

  /** Heads that divide the hidden size. @throws WarpError CONFIG_HEADS */
  heads(names: string[], hiddenSize: number): number {
    const heads = this.count(names)
    if (hiddenSize % heads === 0) return heads
    throw inputError(
      'CONFIG_HEADS',
      `${this.file}: hidden size ${hiddenSize} is not a multiple of ${heads} attention heads`,
      { file: this.file, found: heads, expected: `a divisor of ${hiddenSize}` },
      'Copy config.json from the original model again.',
    )
  }
}
