const small = 256
const keep = 1 << 20

/** A growing list of token ids with a ceiling: `full` says that one more id than the ceiling has been offered. */
export class IdBuffer {
  /** the ids are its first `length` numbers; another array after it grew */
  data = new Uint32Array(small)
  length = 0
  limit = Infinity

  clear(): void {
    this.length = 0
    if (this.data.length > keep) this.data = new Uint32Array(small)
  }

  /** True once more than `limit` ids were pushed; the rest of the text then needs no work. */
  get full(): boolean {
    return this.length > this.limit
  }

  push(id: number): void {
    if (this.length === this.data.length) this.grow(1)
    this.data[this.length++] = id
  }

  pushAll(ids: readonly number[]): void {
    if (this.length + ids.length > this.data.length) this.grow(ids.length)
    for (let i = 0; i < ids.length; i++) this.data[this.length + i] = ids[i]
    this.length += ids.length
  }

  pushRange(from: Uint32Array, begin: number, count: number): void {
    if (this.length + count > this.data.length) this.grow(count)
    for (let i = 0; i < count; i++) this.data[this.length + i] = from[begin + i]
    this.length += count
  }

  /** A copy of the ids. */
  ids(): Uint32Array {
    return this.data.slice(0, this.length)
  }

  private grow(by: number): void {
    const data = new Uint32Array(Math.max(2 * this.data.length, this.length + by))
    data.set(this.data)
    this.data = data
  }
}
