import { pipeline, Readable, type Transform } from 'node:stream'
import zlib from 'node:zlib'
import { errorAt } from './place.js'

export type Compression = 'gzip' | 'zstd'

/** Endings that say so. */
export const compressionExtensions: Record<string, Compression> = { '.gz': 'gzip', '.zst': 'zstd' }

/** A file that grows more than so many times, beyond so many bytes, is made to fill memory or disk: text does not. */
const largestRatio = 200
const freeBytes = 64 * 2 ** 20

type WithZstd = typeof zlib & { createZstdDecompress?: () => Transform }

/** Whether this Node reads a kind of compression. */
export const reads = (kind: Compression): boolean =>
  kind === 'gzip' || (zlib as WithZstd).createZstdDecompress !== undefined

/**
 * What was compressed, in pieces.
 * @throws WarpError PROBES_ZSTD_UNSUPPORTED, PROBES_COMPRESSION_DAMAGED, PROBES_COMPRESSION_RATIO
 */
export async function* decompress(
  chunks: AsyncIterable<Buffer>,
  kind: Compression,
  file: string,
): AsyncGenerator<Buffer> {
  if (!reads(kind)) {
    const found = process.versions.node
    throw errorAt(
      'PROBES_ZSTD_UNSUPPORTED',
      { file },
      `Zstandard needs Node 22.15 or newer, this is ${found}`,
      'unpack it first (unzstd)',
      { found },
    )
  }
  const transform: Transform = kind === 'gzip' ? zlib.createGunzip() : (zlib as WithZstd).createZstdDecompress!()
  let taken = 0
  let given = 0
  let failure: unknown
  async function* counted(): AsyncGenerator<Buffer> {
    for await (const chunk of chunks) {
      taken += chunk.length
      yield chunk
    }
  }
  const source = Readable.from(counted(), { objectMode: false })
  source.on('error', (error) => (failure = error))
  pipeline(source, transform, () => {})
  try {
    for await (const piece of transform as AsyncIterable<Buffer>) {
      given += piece.length
      if (given > freeBytes && given > largestRatio * taken) throw bomb(file, taken, given)
      yield piece
    }
  } catch (error) {
    if (failure !== undefined) throw failure // of the file itself
    const { code, message } = error as NodeJS.ErrnoException
    if (!/^(Z_|ZSTD_|ERR_ZSTD|ERR_STREAM_PREMATURE)/.test(code ?? '')) throw error
    throw errorAt('PROBES_COMPRESSION_DAMAGED', { file }, `not whole as ${kind}: ${message}`, 'is the file complete?', {
      found: code,
    })
  }
}

function bomb(file: string, taken: number, given: number): Error {
  return errorAt(
    'PROBES_COMPRESSION_RATIO',
    { file },
    `${taken} bytes grow to more than ${given}, which is no text`,
    'unpack it first, if it is what you want',
    { expected: `at most ${largestRatio} times as many bytes`, found: Math.round(given / taken) },
  )
}
