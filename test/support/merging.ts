// What the tests of `merge` share: generated models, listings, defaults.
import { createHash } from 'node:crypto'
import { mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { openModel } from '../../lib/checkpoint/index.js'
import { merge, type MergeOptions, type MergeResult } from '../../lib/merge/index.js'
import { fixtureModel, safetensors, temporaryDirectory, type TestTensor } from './models.js'

export const [base, reference] = [fixtureModel('bert/base'), fixtureModel('bert/reference')]
export const fresh = (): string => join(temporaryDirectory(), 'out')
export const sha = (file: string): string => createHash('sha256').update(readFileSync(file)).digest('hex')

/** Every file below a directory with its digest. */
export function listing(dir: string, prefix = ''): Record<string, string> {
  const below = readdirSync(dir, { withFileTypes: true }).map((entry) => {
    const path = join(dir, entry.name)
    return entry.isDirectory() ? listing(path, `${prefix}${entry.name}/`) : { [prefix + entry.name]: sha(path) }
  })
  return Object.assign({}, ...below)
}

/** Stored bytes by canonical name. */
export async function weights(dir: string): Promise<Map<string, { dtype: string; bytes: Buffer }>> {
  const { tensors, extra, files } = await openModel(dir, { forward: false })
  return new Map(
    [...tensors, ...extra].map(([name, { file, offset, length, dtype }]) => [
      name,
      { dtype, bytes: readFileSync(files[file].path).subarray(offset, offset + length) },
    ]),
  )
}

/** A model of no known architecture: only its tensors matter. */
export function model(tensors: TestTensor[], config: object = {}): string {
  const dir = join(temporaryDirectory(), 'model')
  mkdirSync(dir)
  writeFileSync(
    join(dir, 'config.json'),
    JSON.stringify({ architectures: ['ThingModel'], model_type: 'thing', ...config }),
  )
  writeFileSync(join(dir, 'model.safetensors'), safetensors(tensors))
  return dir
}

export const floats = (name: string, values: number[] | Float32Array): TestTensor => ({
  name,
  shape: [values.length],
  data: new Uint8Array(Float32Array.from(values).buffer),
})
export const ramp = (count: number, factor: number): Float32Array =>
  Float32Array.from({ length: count }, (_, i) => Math.fround(Math.sin(i * factor)))

/** One point, λ = 0.3, of the committed BERT pair into a fresh directory, unless told otherwise. */
export const run = (options: Partial<MergeOptions>): Promise<MergeResult> =>
  merge({ base, reference, baseHead: 'zeros', output: fresh(), lambda: 0.3, ...options })
