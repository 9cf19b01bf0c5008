import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import { parseStrictJson, readCarried, type CarriedFile, type ModelPair } from '../checkpoint/index.js'
import { inputError } from '../errors.js'
import { companionFiles } from '../hub/index.js'

/** What goes along with the weights, whose configuration is the one they were opened with. @throws FILE_CHANGED, … */
export async function readAlong({ base, reference: { dir, config, adapter } }: ModelPair): Promise<CarriedFile[]> {
  if (adapter) return readAlongAdapter(dir, base.dir, config)
  const carried = await readCarried(dir, companionFiles)
  const { name, path: file, bytes } = carried[0]
  if (name !== 'config.json' || !isDeepStrictEqual(parseStrictJson(bytes, { file, prefix: 'CONFIG' }), config)) {
    throw inputError(
      'FILE_CHANGED',
      `${join(dir, 'config.json')}: changed while it was being used`,
      { file: join(dir, 'config.json') },
      'Something is writing to the file; wait until it is complete.',
    )
  }
  return carried
}

/** An adapter's folder need not hold what its base's does, and its configuration is made from the base's. */
async function readAlongAdapter(
  dir: string,
  base: string,
  config: ModelPair['base']['config'],
): Promise<CarriedFile[]> {
  const bytes = Buffer.from(`${JSON.stringify(config, null, 2)}\n`)
  const sha256 = createHash('sha256').update(bytes).digest('hex')
  const names = companionFiles.slice(1)
  const there = new Map(
    [...(await readCarried(base, names)), ...(await readCarried(dir, names))].map((f) => [f.name, f]),
  )
  return [{ name: 'config.json', path: join(base, 'config.json'), bytes, sha256 }, ...there.values()]
}
