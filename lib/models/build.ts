import type { Activation, Operand, Part, RopeScaling, Slot, Step } from './network.js'

/** The stored weights of a linear step. */
export interface Weights {
  parts: Part[]
  turned?: boolean
  storedOutputs?: number
}

/** A normalisation of a family: its kind, epsilon and offset are settled, the tensor's name is not. */
export type Norm = (from: Operand, to: Slot, name: string, groups?: number) => Step

export interface Rope {
  theta: number
  /** columns of each head that are turned */
  rotary: number
  scaling?: RopeScaling
}

/** Some rows of a stored weight `name`.weight, with `name`.bias or without. */
export function part(name: string, rows: number, bias = true, first?: number): Part {
  return {
    weight: `${name}.weight`,
    ...(bias && { bias: `${name}.bias` }),
    ...(first !== undefined && { first }),
    rows,
  }
}

/** All rows of one stored weight. */
export const weights = (name: string, rows: number, bias = true): Weights => ({ parts: [part(name, rows, bias)] })

export function linear(from: Operand, to: Slot, inputs: number, { parts, ...how }: Weights): Step {
  return { op: 'linear', from, to, inputs, parts, ...how }
}

export const layerNorm =
  (epsilon: number, bias = true): Norm =>
  (from, to, name, groups) => ({
    op: 'norm',
    kind: 'layer',
    from,
    to,
    gain: `${name}.weight`,
    ...(bias && { bias: `${name}.bias` }),
    epsilon,
    ...(groups && { groups }),
  })

export const rmsNorm =
  (epsilon: number, offset = 0): Norm =>
  (from, to, name, groups) => ({
    op: 'norm',
    kind: 'rms',
    from,
    to,
    gain: `${name}.weight`,
    epsilon,
    ...(offset && { offset }),
    ...(groups && { groups }),
  })

export const add = (a: Operand, b: Operand, to: Slot): Step => ({ op: 'add', a, b, to })

export const activate = (from: Operand, to: Slot, fn: Activation): Step => ({ op: 'activate', function: fn, from, to })

export const drop = (from: Operand, to: Slot, site: string, rate: 'embedding' | 'hidden' | 'head'): Step => ({
  op: 'drop',
  from,
  to,
  site,
  rate,
})

export interface AttentionPlan {
  /** of the layer; keys its dropout */
  index: number
  from: Slot
  /** columns of `from` */
  width: number
  heads: number
  kvHeads?: number
  headSize: number
  query: Weights
  /** keys, then values */
  keyValue: Weights
  output: Weights
  causal: boolean
  /** default 1/√headSize */
  scale?: number
  window?: number
  softcap?: number
  rope?: Rope
  /** of queries and keys, per head or over all of them */
  norms?: { norm: Norm; query: string; key: string; perHead: boolean }
}

/**
 * Self-attention: queries in a linear of their own, keys and values in one where nothing comes between. The result is
 * in `projected`.
 */
export function attention(plan: AttentionPlan): Step[] {
  const { index, from, width, heads, kvHeads = heads, headSize, rope, norms } = plan
  const queries = heads * headSize
  const keys = kvHeads * headSize
  const steps = [linear(from, 'q', width, plan.query)]
  let q: Operand = 'q'
  let k: Operand = { slot: 'kv', at: 0, width: keys }
  let v: Operand = { slot: 'kv', at: keys, width: keys }
  if (norms || rope) {
    // keys go on alone, and attention reads keys and values at one stride
    const half = plan.keyValue.parts.length / 2
    steps.push(linear(from, 'k', width, { ...plan.keyValue, parts: plan.keyValue.parts.slice(0, half) }))
    steps.push(linear(from, 'v', width, { ...plan.keyValue, parts: plan.keyValue.parts.slice(half) }))
    k = 'k'
    v = 'v'
  } else {
    steps.push(linear(from, 'kv', width, plan.keyValue))
  }
  if (norms) {
    steps.push(norms.norm(q, 'q_normed', norms.query, norms.perHead ? heads : undefined))
    steps.push(norms.norm(k, 'k_normed', norms.key, norms.perHead ? kvHeads : undefined))
    q = 'q_normed'
    k = 'k_normed'
  }
  if (rope) {
    steps.push(
      { op: 'rope', from: q, to: 'q_turned', headSize, ...rope },
      { op: 'rope', from: k, to: 'k_turned', headSize, ...rope },
    )
    q = 'q_turned'
    k = 'k_turned'
  }
  const { causal, scale = 1 / Math.sqrt(headSize), window, softcap } = plan
  steps.push({
    op: 'attention',
    q,
    k,
    v,
    to: 'context',
    heads,
    kvHeads,
    headSize,
    causal,
    scale,
    ...(window !== undefined && { window }),
    ...(softcap !== undefined && { softcap }),
    site: `attention ${index}`,
  })
  return [...steps, linear('context', 'projected', queries, plan.output)]
}

export interface FeedForwardPlan {
  from: Slot
  width: number
  inner: number
  up: Weights
  /** its activation is multiplied with `up`; without it `up` is activated */
  gate?: Weights
  down: Weights
  activation: Activation
  /** dropout before `down` */
  site?: string
}

/** Feed-forward, gated or not. The result is in `down`. */
export function feedForward({ from, width, inner, up, gate, down, activation, site }: FeedForwardPlan): Step[] {
  const steps = gate
    ? [
        linear(from, 'gate', width, gate),
        linear(from, 'up', width, up),
        activate('gate', 'active', activation),
        { op: 'multiply', a: 'active', b: 'up', to: 'inner' } as Step,
      ]
    : [linear(from, 'up', width, up), activate('up', 'inner', activation)]
  if (site) steps.push(drop('inner', 'inner_dropped', site, 'hidden'))
  return [...steps, linear(site ? 'inner_dropped' : 'inner', 'down', inner, down)]
}

/** What stands around attention and feed-forward of a layer. */
export interface Surroundings {
  norm: Norm
  /** names of the normalisations, undefined where there is none */
  norms: { before?: string; after?: string; beforeInner?: string; afterInner?: string }
  /** dropout of the attention's result, of the feed-forward's */
  drops?: { projection?: string; output?: string }
  attention: (from: Slot) => Step[]
  feedForward: (from: Slot) => Step[]
}

/**
 * x + [norm](drop(attention([norm] x))), then the same with the feed-forward: normalised before (most), after (OLMo 2),
 * or both (Gemma 2). The result is in `y`.
 */
export function residualLayer({ norm, norms, drops, ...inside }: Surroundings): Step[] {
  const steps: Step[] = []
  const half = (
    [x, own, y]: [Slot, Slot, Slot],
    run: (from: Slot) => Step[],
    before?: string,
    after?: string,
    site?: string,
  ): void => {
    if (before) steps.push(norm(x, `${own}_input`, before))
    steps.push(...run(before ? `${own}_input` : x))
    let last = own
    if (site) steps.push(drop(last, `${own}_dropped`, site, 'hidden'))
    if (site) last = `${own}_dropped`
    if (after) steps.push(norm(last, `${own}_normed`, after))
    if (after) last = `${own}_normed`
    steps.push(add(last, x, y))
  }
  half(['x', 'projected', 'middle'], inside.attention, norms.before, norms.after, drops?.projection)
  half(['middle', 'down', 'y'], inside.feedForward, norms.beforeInner, norms.afterInner, drops?.output)
  return steps
}

/** Attention, add, norm, feed-forward, add, norm (BERT). The result is in `y`. */
export function postNormLayer({ norm, norms, drops, ...inside }: Surroundings): Step[] {
  const steps: Step[] = []
  const half = ([x, own, y]: [Slot, Slot, Slot], run: (from: Slot) => Step[], name: string, site?: string): void => {
    steps.push(...run(x))
    if (site) steps.push(drop(own, `${own}_dropped`, site, 'hidden'))
    steps.push(add(site ? `${own}_dropped` : own, x, `${y}_sum`), norm(`${y}_sum`, y, name))
  }
  half(['x', 'projected', 'middle'], inside.attention, norms.after!, drops?.projection)
  half(['middle', 'down', 'y'], inside.feedForward, norms.afterInner!, drops?.output)
  return steps
}
