/** GPT-2's printable stand-ins: `byteChars[b]` is the character that spells byte b in a byte-level vocabulary. */
export const byteChars: readonly string[] = (() => {
  const printable = (b: number): boolean => (b > 0x20 && b < 0x7f) || (b > 0xa0 && b !== 0xad)
  let next = 0x100
  return Array.from({ length: 256 }, (_, b) => String.fromCharCode(printable(b) ? b : next++))
})()
