// Families against what mergekit computes (test/fixtures/paths, see test/fixtures/paths/make.py).
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { openPath, type PathOptions } from '../../lib/paths/index.js'
import { readTensors, safetensors, temporaryDirectory } from '../support/models.js'
import { repositoryRoot } from '../support/shared.js'

const golden = readTensors(join(repositoryRoot, 'test/fixtures/paths/mergekit.safetensors'))
const of = (group: string) => [...golden].filter(([name]) => name.startsWith(`${group}/`))

function write(side: string): string {
  const dir = join(temporaryDirectory(), side)
  mkdirSync(dir)
  writeFileSync(join(dir, 'config.json'), JSON.stringify({ architectures: ['ThingModel'], model_type: 'thing' }))
  const tensors = of(side).map(([name, { shape, data }]) => ({
    name: name.slice(side.length + 1),
    shape,
    data: new Uint8Array(data.buffer),
  }))
  writeFileSync(join(dir, 'model.safetensors'), safetensors(tensors))
  return dir
}

const families: [string, PathOptions][] = [
  ['linear', {}],
  ['slerp', { compat: 'mergekit' }],
  ['ties', { density: 0.6 }],
  ['breadcrumbs', { density: 0.6, gamma: 0.05 }],
  ['nearswap', {}],
]

test.each(families)("%s is mergekit's", async (family, options) => {
  const path = await openPath(write('base'), write('reference'), { path: family, ...options })
  expect(of(family)).toHaveLength(5)
  for (const [name, { data }] of of(family)) {
    const tensor = name.slice(family.length + 1)
    const [l, r] = ['base', 'reference'].map((side) => golden.get(`${side}/${tensor}`)!.data)
    const got = await path.tensor(tensor, 0.4)
    expect(got).toHaveLength(data.length)
    // mergekit computes in float32: at most six roundings of terms of size |l| + |r|. For slerp the cosine is a
    // float32 sum of n terms, each off by 2^-24, and the factors change by at most 1/sin² ≤ 1001 times its error;
    // the tensors here have sin² ≥ 1/200.
    const slack = family === 'slerp' ? 200 * Math.sqrt(data.length) * 2 ** -24 + 2 ** -20 : 6 * 2 ** -24
    const size = family === 'slerp' ? Math.max(...l.map(Math.abs), ...r.map(Math.abs)) : 0
    let worst = 0
    got.forEach((value, i) => {
      const room = slack * (Math.abs(l[i]) + Math.abs(r[i]) + size)
      worst = Math.max(worst, room === 0 ? Math.abs(value - data[i]) * 1e30 : Math.abs(value - data[i]) / room)
    })
    expect(worst).toBeLessThanOrEqual(1)
    expect(got.some((value, i) => value !== l[i])).toBe(tensor !== 'same')
  }
  path.close()
})
