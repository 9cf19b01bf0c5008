const block = 4096

/** Builds a string from code points in flat memory: joining one by one would cost a heap object for each. */
export class UnitBuffer {
  private units = new Uint16Array(256)
  private length = 0

  push(codePoint: number): void {
    if (this.length + 2 > this.units.length) {
      const units = new Uint16Array(2 * this.units.length)
      units.set(this.units)
      this.units = units
    }
    if (codePoint <= 0xffff) {
      this.units[this.length++] = codePoint
    } else {
      this.units[this.length++] = 0xd7c0 + (codePoint >> 10)
      this.units[this.length++] = 0xdc00 + (codePoint & 0x3ff)
    }
  }

  /** What was pushed; empties the buffer. */
  take(): string {
    let text = ''
    for (let i = 0; i < this.length; i += block) {
      const units = this.units.subarray(i, Math.min(i + block, this.length))
      text += String.fromCharCode.apply(null, units as unknown as number[]) // spreading a typed array is far slower
    }
    this.length = 0
    if (this.units.length > 1 << 20) this.units = new Uint16Array(256)
    return text
  }
}
