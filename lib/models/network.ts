// A network as plain data: what crosses N-API. Native code knows operations, never architectures.

/** A matrix with a row per token (or per selected row). Written exactly once (SSA); `x` is a block's input. */
export type Slot = string
/** All of a slot, or some of its columns. */
export type Operand = Slot | { slot: Slot; at: number; width: number }

/** Some rows (outputs) of a stored weight; canonical tensor names. */
export interface Part {
  weight: string
  bias?: string
  /** first output of the stored weight that is used; default 0. The bias is read at the same place. */
  first?: number
  /** outputs */
  rows: number
}

export type Activation = 'gelu' | 'gelu_tanh' | 'relu' | 'tanh' | 'silu'
/** as config.json has it; anything else is refused in lib */
export type RopeScaling =
  | { type: 'linear'; factor: number }
  | {
      type: 'llama3'
      factor: number
      lowFrequencyFactor: number
      highFrequencyFactor: number
      originalMaxPositions: number
    }

export type Step =
  /**
   * to = from · Wᵀ + b; outputs are those of the parts, one after the other. `turned`: stored inputs × storedOutputs
   * (GPT-2's Conv1D)
   */
  | { op: 'linear'; from: Operand; to: Slot; inputs: number; parts: Part[]; turned?: boolean; storedOutputs?: number }
  /**
   * per row and group: (x − mean)/√(var + ε) (layer) or x/√(mean x² + ε) (rms), ⊙ (offset + gain) (+ bias); gain and
   * bias have width/groups elements
   */
  | {
      op: 'norm'
      kind: 'layer' | 'rms'
      from: Operand
      to: Slot
      gain: string
      bias?: string
      epsilon: number
      offset?: number
      groups?: number
    }
  /** rotate_half on the first `rotary` of each head's `headSize` columns; heads = width / headSize */
  | { op: 'rope'; from: Operand; to: Slot; headSize: number; rotary: number; theta: number; scaling?: RopeScaling }
  /**
   * softmax(scale · q kᵀ) v by head; query head h uses key head ⌊h · kvHeads / heads⌋. causal: i sees j ≤ i.
   * window w: also only i − j < w (causal) or |i − j| < w. softcap c: scores become c·tanh(s/c) before the softmax.
   */
  | {
      op: 'attention'
      q: Operand
      k: Operand
      v: Operand
      to: Slot
      heads: number
      kvHeads: number
      headSize: number
      causal: boolean
      scale: number
      window?: number
      softcap?: number
      site: string
    }
  | { op: 'activate'; function: Activation; from: Operand; to: Slot }
  | { op: 'multiply'; a: Operand; b: Operand; to: Slot }
  | { op: 'add'; a: Operand; b: Operand; to: Slot }
  /** dropout in training (identity otherwise): `site` keys the random numbers, `rate` is one of the recipe's */
  | { op: 'drop'; from: Operand; to: Slot; site: string; rate: 'embedding' | 'hidden' | 'head' }
  | { op: 'softcap'; from: Operand; to: Slot; cap: number }

export interface Block {
  steps: Step[]
  /** the slot that is the block's result */
  output: Slot
}

/** x = Σ over tables of table[index] · factor */
export interface Table {
  tensor: string
  by: 'token' | 'position' | 'type'
  rows: number
  /**
   * positions as RoBERTa counts them: the padding token's own id for it, else padding + 1 + how many non-padding tokens
   * are before. The row `padding` of such a table never gets a gradient (torch's padding_idx).
   */
  padding?: number
  factor?: number
}

export interface Network {
  /** width of `x` of every layer */
  hiddenSize: number
  vocabularySize: number
  /** longest text in tokens */
  maxPositions: number
  /** 0: none */
  typeVocabularySize: number
  /** width of the table rows; the embed block turns it into hiddenSize */
  embeddingSize: number
  tables: Table[]
  /** row-local steps after the sum: norm, drop, linear. May be empty with output 'x' */
  embed: Block
  layers: Block[]
  /** what of the last layer the head reads: the first token's row, the last but padTokenId, the mean row, every row */
  select: 'first' | 'last' | 'mean' | 'all'
  /** −1: none */
  padTokenId: number
  /** from the selected rows to `logits` (labels or vocabulary wide); its last steps are linear (+ softcap) */
  head: Block
  objective: 'classify' | 'language'
  /**
   * row of the token table that gets no gradient from being looked up (torch's padding_idx; a tied output layer's
   * gradient does reach it); −1: none
   */
  paddingRow: number
}
