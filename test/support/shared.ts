import { existsSync } from 'node:fs'
import { homedir } from 'node:os'
import { join, resolve } from 'node:path'

/** The repository's root, seen from the compiled tests (dist/test/support). */
export const repositoryRoot = resolve(__dirname, '..', '..', '..')

const shared = process.env.WARP_SHARED ?? resolve(repositoryRoot, '..', 'shared')
const models = process.env.WARP_MODELS ?? join(homedir(), '.cache', 'warp-models')

/** Path of a file of real texts in the shared data folder; it may be absent, see `whenPresent`. */
export function dataFile(name: string): string {
  return join(shared, 'data', name)
}

/** Path of a model directory with real weights; it may be absent, see `whenPresent`. */
export function modelDir(name: string): string {
  return join(models, name)
}

/** Path of anything else in the shared folder (`peers/warp_torch.py`); it may be absent, see `whenPresent`. */
export function sharedFile(name: string): string {
  return join(shared, name)
}

type Test = (name: string, body: () => unknown, timeout?: number) => void

/**
 * `test` when every path is there; else a `test` that is skipped and says so on stderr:
 * `whenPresent(dataFile('ag_news_test.csv'))('reads AG News', () => …)`.
 */
export function whenPresent(...paths: string[]): Test {
  const missing = paths.filter((path) => !existsSync(path))
  return (name, body, timeout) => {
    if (missing.length === 0) return test(name, async () => void (await body()), timeout)
    process.stderr.write(`skipped: ${name}: not there: ${missing.join(', ')}\n`)
    test.skip(name, () => {})
  }
}
