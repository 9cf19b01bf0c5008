// Files of numbers that work leaves to go on from: one sealed line of JSON, then arrays, all under a checksum.
import { createHash } from 'node:crypto'
import { type FileHandle, readFile } from 'node:fs/promises'
import { writeAtomic } from './checkpoint/atomic.js'
import { sealed } from './document.js'

export type Section = Float32Array | Float64Array | Int32Array | Uint32Array | Uint16Array | Uint8Array

interface Header {
  schema: string
  /** of everything behind the header */
  sha256: string
  sections: { name: string; type: string; length: number }[]
}

const types = { Float32Array, Float64Array, Int32Array, Uint32Array, Uint16Array, Uint8Array }

/**
 * Writes a file whole or not at all; the same bytes for the same values.
 * @param facts what the header says besides, `schema` among it
 * @throws WarpError (resource) DISK_FULL, OUTPUT_NOT_WRITABLE
 */
export async function writeSections(
  file: string,
  facts: { schema: string },
  sections: Record<string, Section>,
): Promise<void> {
  const all = Object.entries(sections)
  const parts = all.map(([, values]) => Buffer.from(values.buffer, values.byteOffset, values.byteLength))
  const hash = createHash('sha256')
  for (const part of parts) hash.update(part)
  const header: Header = {
    ...facts,
    sha256: hash.digest('hex'),
    sections: all.map(([name, values]) => ({ name, type: values.constructor.name, length: values.length })),
  }
  const pieces = [Buffer.from(sealed(header)), ...parts]
  const bytes = pieces.reduce((sum, { length }) => sum + length, 0)
  const write = async (handle: FileHandle): Promise<void> => {
    for (const piece of pieces) await handle.writeFile(piece) // behind the one before
  }
  await writeAtomic(file, bytes, write, { force: true })
}

/**
 * What such a file holds, and the byte of the file at which each section begins; a byte that was changed is noticed:
 * `damaged` makes the error from what is wrong.
 */
export async function readSections<Facts extends { schema: string }>(
  file: string,
  schema: Facts['schema'],
  damaged: (what: string) => Error,
): Promise<{ facts: Facts; sections: Record<string, Section>; offsets: Record<string, number> }> {
  const bytes = await readFile(file)
  const end = bytes.indexOf(10)
  const found = parse(end < 0 ? '' : bytes.toString('utf8', 0, end))
  if (found?.schema !== schema) throw damaged('is of another kind')
  const { digest: _, ...facts } = found
  const payload = bytes.subarray(end + 1)
  const hash = createHash('sha256').update(payload).digest('hex')
  // the line as it was written, byte for byte: JSON allows spaces, and keys twice, that its values do not tell
  const unchanged = bytes.subarray(0, end + 1).equals(Buffer.from(sealed(facts)))
  if (!unchanged || hash !== facts.sha256) throw damaged('was changed or cut off')
  const sections: Record<string, Section> = {}
  const offsets: Record<string, number> = {}
  let at = 0
  for (const { name, type, length } of facts.sections) {
    const Type = types[type as keyof typeof types]
    const size = length * Type.BYTES_PER_ELEMENT
    sections[name] = new Type(new Uint8Array(payload.subarray(at, at + size)).buffer)
    offsets[name] = end + 1 + at
    at += size
  }
  return { facts: facts as unknown as Facts, sections, offsets }
}

function parse(line: string): (Header & { digest: string }) | undefined {
  try {
    return JSON.parse(line) as Header & { digest: string }
  } catch {
    return undefined
  }
}
