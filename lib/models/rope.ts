import { brief, isObject, type JsonObject } from '../checkpoint/json.js'
import type { Rope } from './build.js'
import { Fields } from './fields.js'
import type { RopeScaling } from './network.js'

export interface RopeDefaults {
  headSize: number
  theta?: number
  /** what a configuration before `rope_parameters` calls theta */
  thetaField?: string
  /** columns of a head that are turned, as a part of all */
  fraction?: number
  fractionField?: string
  /** of the nested `rope_parameters` */
  layerType?: 'full_attention' | 'sliding_attention'
  /** the old `rope_scaling` counts; default true */
  scaled?: boolean
}

const supported = ['default', 'linear', 'llama3']

/**
 * How positions turn queries and keys: `rope_parameters`, or `rope_theta` and `rope_scaling` as older configurations
 * have them.
 * @throws WarpError CONFIG_ROPE_SCALING for another type, CONFIG_FIELD, CONFIG_HEAD_DIM
 */
export function readRope(f: Fields, defaults: RopeDefaults): Rope {
  const { headSize, theta = 10_000, thetaField = 'rope_theta', fraction = 1, layerType, scaled = true } = defaults
  const { fractionField = 'partial_rotary_factor' } = defaults
  const given = parameters(f, scaled, layerType)
  const part = new Fields(given, f.file)
  const share = part.positive('partial_rotary_factor', f.positive(fractionField, fraction))
  const rotary = Math.floor(headSize * share)
  if (rotary < 2 || rotary % 2 !== 0 || rotary > headSize) {
    throw f.unsupported(
      'CONFIG_HEAD_DIM',
      'head_dim',
      headSize,
      'heads of which an even number of columns turns with the position',
      `${rotary} columns turn`,
    )
  }
  const rope: Rope = { theta: part.positive('rope_theta', f.positive(thetaField, theta)), rotary }
  const scaling = scalingOf(f, part)
  return scaling ? { ...rope, scaling } : rope
}

function parameters(f: Fields, scaled: boolean, layerType?: string): JsonObject {
  const old = scaled ? f.value('rope_scaling') : undefined
  const given = old ?? f.value('rope_parameters') ?? {}
  if (!isObject(given)) throw f.fail(old ? 'rope_scaling' : 'rope_parameters', given, 'an object')
  const nested = layerType === undefined ? undefined : given[layerType]
  if (isObject(nested)) return nested
  return given
}

function scalingOf(f: Fields, part: Fields): RopeScaling | undefined {
  const type = part.config.rope_type ?? part.config.type ?? 'default'
  if (type === 'default') return undefined
  if (type === 'linear') return { type, factor: part.positive('factor') }
  if (type === 'llama3') {
    return {
      type,
      factor: part.positive('factor'),
      lowFrequencyFactor: part.positive('low_freq_factor'),
      highFrequencyFactor: part.positive('high_freq_factor'),
      originalMaxPositions: part.positive('original_max_position_embeddings', f.count(['max_position_embeddings'])),
    }
  }
  throw f.unsupported(
    'CONFIG_ROPE_SCALING',
    'rope_type',
    type,
    supported.join(', '),
    `scaling of positions ${brief(type)}`,
  )
}
