// A page never has the hash of texts that its run did not read.
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { appendFileSync, readFileSync, writeFileSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { warp } from '../support/command.js'
import { temporaryDirectory } from '../support/models.js'
import { domainTexts, trainableModel } from '../support/training.js'

const [base, reference] = [trainableModel(), join(temporaryDirectory(), 'reference')]
const rows = domainTexts(['animals', 'plants', 'stones'], 6).map((row) => `${JSON.stringify(row)}\n`)

const commands: Record<string, [page: string, args: string[]]> = {
  train: ['warp.train.html', ['train', '--base', base, '--epochs', '1', '--data']],
  trace: ['report.html', ['trace', '--base', base, '--reference', reference, '--calibrate', '20', '--probes']],
}

beforeAll(async () => {
  const data = join(temporaryDirectory(), 'training.jsonl')
  writeFileSync(data, rows.slice(0, 3).join(''))
  const recipe = ['--epochs', '2', '--weight-decay', '0', '--learning-rate', '1e-3']
  expect(await warp(['train', '--base', base, '--data', data, ...recipe, '-o', reference, '-q'])).toMatchObject({
    code: 0,
  })
})

test.each(Object.keys(commands))('%s: texts that were written to since they were read have no hash', async (name) => {
  const [page, args] = commands[name]
  const folder = temporaryDirectory()
  const [read, second, out] = [join(folder, 'first.jsonl'), join(folder, 'second.jsonl'), join(folder, 'out')]
  writeFileSync(read, rows.slice(0, 9).join(''))
  spawnSync('mkfifo', [second])
  const running = warp([...args, read, second, '-o', out, '-q'])
  const pipe = await open(second, 'w') // opens when the first file has been read
  appendFileSync(read, rows[0])
  await pipe.writeFile(rows.slice(9).join(''))
  await pipe.close()
  expect(await running).toMatchObject({ code: 0, stderr: '' })
  const html = readFileSync(join(out, page), 'utf8')
  expect(html).toContain('changed since it was read')
  expect(html).not.toContain(createHash('sha256').update(readFileSync(read)).digest('hex'))
})
