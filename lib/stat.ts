// `stat` and `lstat` by way of their callbacks: those of node:fs/promises end the process (an assertion in Node's own
// native half) where a worker thread is being terminated.
import { lstat as lstatThen, stat as statThen } from 'node:fs'
import { promisify } from 'node:util'

export const stat = promisify(statThen)
export const lstat = promisify(lstatThen)
