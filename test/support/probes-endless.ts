// Reads a stream that never ends its line and prints how that was refused and how much was read:
// node probes-endless.js OPTIONS FIRST BYTE. A process of its own: csv-parse looks up globals for every byte, which
// takes ten times as long inside jest.
import { Readable } from 'node:stream'
import type { WarpError } from '../../lib/errors.js'
import { type ProbeOptions, readRecords } from '../../lib/text/index.js'

export interface Endless {
  code: string
  details: object
  hint: string
  read: number
}

export async function readEndless(options: ProbeOptions, first: string, byte: string): Promise<Endless> {
  let read = 0
  const stdin = new Readable({
    read() {
      const chunk = Buffer.from(read === 0 ? first : byte.repeat(1 << 16))
      read += chunk.length
      this.push(chunk)
    },
  })
  try {
    for await (const record of readRecords(['-'], options, { stdin })) void record
  } catch (error) {
    return { ...(error as WarpError).toJSON(), read }
  }
  throw new Error('the stream ended')
}

if (require.main === module) {
  const [options, first, byte] = process.argv.slice(2)
  void readEndless(JSON.parse(options), first, byte).then((result) => console.log(JSON.stringify(result)))
}
