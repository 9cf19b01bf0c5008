import type { Fields } from './fields.js'
import type { Block, Network, Slot, Table } from './network.js'

/** Sizes as `config.json` has them, for people and for comparing two models. */
export interface Sizes {
  hiddenSize: number
  layers: number
  heads: number
  /** heads of keys and values */
  kvHeads: number
  /** columns of a head */
  headSize: number
  intermediateSize: number
  vocabularySize: number
  /** longest text in tokens */
  maxPositions: number
  /** 0: none */
  typeVocabularySize: number
  /** of its normalisations */
  layerNormEpsilon: number
  activation: string
}

/** Rates of dropout in training, as the configuration or its class has them. */
export interface DropoutRates {
  embedding: number
  attention: number
  hidden: number
  head: number
}

/** What a family makes of a `config.json`: the sizes, and each block of the network as data. */
export interface Blueprint {
  family: Family
  sizes: Sizes
  dropout: DropoutRates
  embeddingSize: number
  tables: Table[]
  embed: Block
  layer: (index: number) => Block
  /** the last normalisation of the bare model, its output taken by every head; no steps where there is none */
  closing: Block
  select: 'first' | 'last' | 'mean'
  /** −1: none */
  padTokenId: number
  paddingRow: number
  /** from the closing's output to `logits` */
  classifier: (from: Slot, labels: number) => Block
  /** of the language model's logits */
  logitSoftcap?: number
  /** `config.json` has numbers of its own for heads of keys and values and for a head's size */
  grouped?: boolean
}

/** One architecture under the names `transformers` has for it. */
export interface Family {
  /** `model_type`; unique in the list */
  name: string
  classes: {
    /** heads that are no part of the network: bases of a fine-tuned model */
    base: readonly string[]
    classify: string
    language?: string
  }
  /** before the names of the bare model's tensors, where a class puts a head beside it */
  prefix: string
  /** beginnings of the names that stand without the prefix */
  outside: readonly string[]
  /** names of the tensors that a new classifier draws at random */
  fresh: RegExp
  /** the table that turns token ids into vectors */
  embedding: string
  /** names of a layer's tensors are this, its number, a dot and the rest */
  layerPrefix: string
  /** the output layer of the language model; further names are what checkpoints call it too */
  output: readonly [string, ...string[]]
  /** whether output layer and embedding are one table unless `config.json` says otherwise */
  tied: boolean
  /** positions are looked up in a table, whose length therefore counts */
  positionTable: boolean
  /** what today's name of a stored tensor is, for checkpoints with old ones */
  rename?: (name: string) => string
  /** what is and is not covered, for docs/architectures.md */
  notes: readonly string[]
  /** @throws WarpError CONFIG_… where a field is missing or asks for what cannot be computed */
  read: (fields: Fields) => Blueprint
}

export type Objective = Network['objective']

/** All class names of a family. */
export function classesOf({ classes: { base, classify, language } }: Family): string[] {
  return [...base, classify, ...(language ? [language] : [])]
}
