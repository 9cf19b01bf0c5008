// The features of one part of a corpus in a process of its own: node part-worker.js OUTPUT INDEX THREADS MEMORY.
import { serveTask } from '../lab/task-worker.js'
import { selectPart } from './parts.js'
import { readPartsPlan } from './run-parts.js'

const [output, index, threads, memory] = process.argv.slice(2)

void serveTask(async ({ signal }) => {
  const { options, parts } = await readPartsPlan(output)
  const run = { output, threads: Number(threads), memory: Number(memory), signal, wait: true }
  await selectPart({ ...options, ...run }, { index: Number(index), of: parts })
})
