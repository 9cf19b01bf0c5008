import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { hashFiles, openModel } from '../checkpoint/index.js'
import type { RunOptions } from '../native/task.js'
import type { InputFile } from '../report/page.js'

/** The files that a trace went by, with their hashes: weights, tokenizer, texts; folders of texts are left out. */
export async function traceInputs(
  { base, reference, probes = [] }: { base: string; reference: string; probes?: string[] },
  options: RunOptions = {},
): Promise<InputFile[]> {
  const models = await Promise.all([base, reference].map((dir) => openModel(dir, { forward: false })))
  const files = [
    ...models.flatMap((model, i) => model.files.map(({ path }) => ({ role: i === 0 ? 'base' : 'reference', path }))),
    { role: 'tokenizer', path: join(reference, 'tokenizer.json') },
    ...probes.map((path) => ({ role: 'probes', path })),
  ]
  const found = await Promise.all(
    files.map(async ({ role, path }) => {
      const is = await stat(path).catch(() => undefined)
      return is?.isFile() ? [{ role, path, size: is.size, mtimeMs: is.mtimeMs }] : []
    }),
  )
  const hashed = await hashFiles(found.flat(), options)
  return hashed.map(({ role, path, size, sha256 }) => ({ role, path, size, sha256 }))
}
