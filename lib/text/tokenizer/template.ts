/** One piece of a post-processor's template: a special token, or one of the two texts. */
export type Piece =
  | { type: 'ids'; ids: readonly number[]; typeId: number }
  | { type: 'text'; which: 0 | 1; typeId: number }

/** What the post-processor adds around one text and around a pair. */
export interface Template {
  single: readonly Piece[]
  pair: readonly Piece[]
}

/** No special tokens: a pair is the two texts one after the other. */
export const plainTemplate: Template = {
  single: [{ type: 'text', which: 0, typeId: 0 }],
  pair: [
    { type: 'text', which: 0, typeId: 0 },
    { type: 'text', which: 1, typeId: 1 },
  ],
}

/** `[CLS] A [SEP]` and `[CLS] A [SEP] B [SEP]`. */
export function bertTemplate(cls: number, sep: number): Template {
  const ids = (id: number, typeId: number): Piece => ({ type: 'ids', ids: [id], typeId })
  const single: Piece[] = [ids(cls, 0), { type: 'text', which: 0, typeId: 0 }, ids(sep, 0)]
  return { single, pair: [...single, { type: 'text', which: 1, typeId: 1 }, ids(sep, 1)] }
}

export const addedIds = (pieces: readonly Piece[]): number =>
  pieces.reduce((sum, piece) => sum + (piece.type === 'ids' ? piece.ids.length : 0), 0)

const texts = (pieces: readonly Piece[]): number => pieces.reduce((sum, { type }) => sum + (type === 'text' ? 1 : 0), 0)

/** Tokens of a text in an encoding of `total` tokens without a second one. */
export const textLength = (pieces: readonly Piece[], total: number): number =>
  (total - addedIds(pieces)) / texts(pieces)

/** The segment of each token, where the pieces' texts were given `kept` tokens each. */
export function typeIdsOf(pieces: readonly Piece[], kept: readonly [number, number], total: number): Uint8Array {
  const typeIds = new Uint8Array(total)
  let at = 0
  for (const piece of pieces) {
    const end = at + (piece.type === 'ids' ? piece.ids.length : kept[piece.which])
    if (piece.typeId !== 0) typeIds.fill(piece.typeId, at, end)
    at = end
  }
  return typeIds
}

/** Every id that the post-processor can add. */
export const templateIds = ({ single, pair }: Template): number[] =>
  [...single, ...pair].flatMap((piece) => (piece.type === 'ids' ? piece.ids : []))

/**
 * How many tokens of each text stay, longest first, as Python's truncation has it: the shorter text keeps its own as
 * long as the longer one can give way; otherwise both get half, and the odd one goes to the longer.
 */
export function longestFirst(lengthA: number, lengthB: number, room: number): [number, number] {
  if (lengthA + lengthB <= room) return [lengthA, lengthB]
  const shorter = Math.min(lengthA, lengthB)
  let keptShorter = shorter
  let keptLonger = Math.max(shorter, room - shorter)
  if (keptShorter + keptLonger > room) {
    keptShorter = Math.floor(room / 2)
    keptLonger = keptShorter + (room % 2)
  }
  return lengthA > lengthB ? [keptLonger, keptShorter] : [keptShorter, keptLonger]
}
