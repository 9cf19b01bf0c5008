import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { gunzip } from 'node:zlib'

/** What a text is for: secret training sets are drawn from `training`, `probe` no model has seen. */
export type DemoPart = 'training' | 'probe'

export interface DemoText {
  text: string
  /** one of `demoDomains` */
  domain: string
  part: DemoPart
}

/** The domains, in the order of a fine-tuned model's labels. */
export const demoDomains = ['law', 'psalms', 'gospels', 'letters', 'sonnets']

/** What comes with the package for the demo. */
export const demoAssets = join(__dirname, '..', '..', '..', 'assets', 'demo')

/**
 * Every text of the demo with its part, by domain: verses of the King James Bible and quatrains of Shakespeare's
 * sonnets, as `scripts/make-demo-texts.mjs` packed them.
 */
export async function demoTexts(): Promise<DemoText[]> {
  const lines = (await promisify(gunzip)(await readFile(join(demoAssets, 'texts.jsonl.gz')))).toString('utf8')
  return lines
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as DemoText)
}
