import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { demoDomains, splitTexts } from './texts.js'

/** Probes per domain; the smallest domain, the sonnets, has a few more. */
const probesPerDomain = 200

/** Real texts of public-domain books that neither demo model was trained on: at most 200 per domain. */
export async function demoTexts(): Promise<{ domains: string[]; probes: { text: string; domain: string }[] }> {
  const texts = await splitTexts()
  const probes = demoDomains.flatMap((domain) =>
    texts
      .filter((text) => text.domain === domain && text.part === 'probe')
      .slice(0, probesPerDomain)
      .map(({ text }) => ({ text, domain })),
  )
  return { domains: [...demoDomains], probes }
}

/** How the fine-tuned demo model was made (`truth.json`). */
export interface DemoTruth {
  domains: string[]
  /** training texts per domain over all training texts */
  mixture: number[]
  counts: number[]
  seed: number
}

/** The model directories inside the package, and the secret: read it after recovering. */
export function demoModels(): { base: string; reference: string; truth: DemoTruth } {
  const root = join(__dirname, '..', '..', '..', 'assets', 'demo')
  return {
    base: join(root, 'base'),
    reference: join(root, 'reference'),
    truth: JSON.parse(readFileSync(join(root, 'truth.json'), 'utf8')),
  }
}
