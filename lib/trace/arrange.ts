import { addon } from '../native/load.js'
import { runTask, type RunOptions } from '../native/task.js'
import type { TextPool } from './texts.js'

/**
 * Puts a pool in an order that depends on its texts and the names of its domains alone, so that what is drawn from it
 * does not depend on the order of the files: domains by name, their texts by content.
 */
export async function arrange(pool: TextPool, run: RunOptions): Promise<void> {
  const { domains, handle, open, possible, possibleAt } = pool
  const sorted = [...domains.keys()].sort((a, b) => (domains[a] < domains[b] ? -1 : 1))
  const rank = new Uint32Array(domains.length)
  sorted.forEach((d, at) => {
    rank[d] = at
  })
  const order = await runTask(() => addon().arrangePool(handle, rank), 'arrange', 'texts', { signal: run.signal })
  const numbers = new Int32Array(order.length).fill(-1)
  possibleAt.forEach((text, i) => {
    numbers[text] = i
  })
  const places = [...order.keys()].filter((place) => numbers[order[place]] >= 0)
  pool.possible = places.map((place) => possible[numbers[order[place]]])
  if (open.length > 0) pool.open = places.map((place) => open[numbers[order[place]]])
  pool.possibleAt = places
  pool.domains = sorted.map((d) => domains[d])
  pool.sizes = Uint32Array.from(sorted, (d) => pool.sizes[d])
  pool.excluded = Uint32Array.from(sorted, (d) => pool.excluded[d])
}
