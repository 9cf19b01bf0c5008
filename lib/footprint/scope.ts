import { inputError, usageError } from '../errors.js'
import { headTensors, requiredTensors } from '../models/facts.js'
import type { Network } from '../models/network.js'
import { matcher } from '../paths/index.js'

/** Tensors to which gradient, direction and norm of a Mimic Score are restricted. */
export interface Scope {
  /** as it was asked for */
  name: string
  /** canonical names of the tensors in it */
  tensors: string[]
  /** what the addon is asked: closed forms of a classifier's head, or tensors by name */
  request: 'head' | 'top' | string[]
}

/** Whether the head has layers before the last one, such as a pooler. */
export function hasTop(network: Network): boolean {
  const { last, all } = headTensors(network)
  return all.length > last.length
}

/**
 * Of language models the upper third of the layers, whose gradients told mixtures best
 * (benchmarks/results/language.md); a tied output layer is most of a table and says little of its domains.
 */
export const defaultScope = (objective: Network['objective']): string => (objective === 'language' ? 'upper' : 'head')

/**
 * `head` (the last linear layer), `top` (the whole head), `all`, `layers`, `upper` (their upper third), `embedding`, or
 * globs of tensor names; a comma-separated list is their union.
 * @throws WarpError (usage) SCOPE_UNSUPPORTED; (input) SCOPE_MATCHES_NOTHING
 */
export function chooseScope(scope: unknown, network: Network): Scope {
  const asked = scope ?? defaultScope(network.objective)
  const unknown = (): Error =>
    usageError(
      'SCOPE_UNSUPPORTED',
      `scope ${JSON.stringify(asked)} is not offered`,
      { found: asked, expected: ['head', 'top', 'all', 'layers', 'upper', 'embedding', 'a glob of tensor names'] },
      'head, top, all, layers, upper, embedding, or globs of tensor names',
    )
  if (typeof asked !== 'string' || asked.split(',').some((part) => part.trim() === '')) throw unknown()
  const required = requiredTensors(network)
  const { last, all } = headTensors(network)
  const parts = asked.split(',').map((part) => part.trim())
  const layersFrom = (first: number): string[] =>
    required.filter(({ group }) => typeof group === 'number' && group >= first).map(({ name }) => name)
  const named = (part: string): string[] => {
    if (part === 'head') return last
    if (part === 'top') {
      if (hasTop(network)) return all
      throw usageError('SCOPE_UNSUPPORTED', 'scope top needs a head of more than one layer', {}, '--scope head')
    }
    if (part === 'all') return required.map(({ name }) => name)
    if (part === 'layers') return layersFrom(0)
    if (part === 'upper') return layersFrom(Math.floor((2 * network.layers.length) / 3))
    if (part === 'embedding') return required.filter(({ group }) => group === 'embedding').map(({ name }) => name)
    const found = required.filter(({ name }) => matcher([part])(name)).map(({ name }) => name)
    if (found.length > 0) return found
    if (!/[*?.]/.test(part)) throw unknown()
    throw inputError(
      'SCOPE_MATCHES_NOTHING',
      `scope ${JSON.stringify(part)} matches no tensor of the network`,
      { found: part, expected: required.slice(0, 5).map(({ name }) => name) },
      'head, top, all, layers, upper, embedding, or a glob of tensor names as `warp inspect` lists them',
    )
  }
  const tensors = [...new Set(parts.flatMap(named))].sort()
  const closed = network.objective === 'classify' && (asked === 'head' || asked === 'top')
  return { name: asked, tensors, request: closed ? asked : tensors }
}
