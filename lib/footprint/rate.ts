import { addon } from '../native/load.js'

/** Multiply-adds ×2 per second that `threads` threads reach just now on a product of BERT-like shape. */
export function measureRate(threads: number): number {
  return addon().measureProduct(288, 768, 768, 8, threads)
}
