import { readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { Cursor } from '../../lib/text/tokenizer/cursor.js'
import type { LocalTokenizer } from '../../lib/text/tokenizer/local.js'
import { readLocalTokenizer } from '../../lib/text/tokenizer/read-local.js'

/** This package's own reader, on this thread. */
export function localTokenizer(path: string): LocalTokenizer {
  const file = statSync(path).isDirectory() ? join(path, 'tokenizer.json') : path
  return readLocalTokenizer(new Cursor(file, '', JSON.parse(readFileSync(file, 'utf8'))))
}
