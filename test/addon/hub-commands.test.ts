// hf:owner/name where the command line takes a model folder, and no network where it does not.
import { execFile } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { commit, startHub, type TestHub } from '../support/hub-server.js'
import { fixtureModel, temporaryDirectory } from '../support/models.js'
import { makePair, pairProbes } from '../support/pair.js'
import { repositoryRoot } from '../support/shared.js'

const warp = join(repositoryRoot, 'dist/bin/warp.js')
const fileOf = (name: string, file: string): Buffer => readFileSync(join(fixtureModel(name), file))
let hub: TestHub
let environment: Record<string, string | undefined>

beforeAll(async () => {
  hub = await startHub({
    'config.json': fileOf('bert/reference', 'config.json'),
    'model.safetensors': fileOf('bert/reference', 'model.safetensors'),
    'data/probes.jsonl': Buffer.from(pairProbes(8)),
  })
  environment = { PATH: process.env.PATH, HF_ENDPOINT: hub.endpoint, HF_HOME: temporaryDirectory() }
})
afterAll(() => hub.close())

async function run(args: string[], env = environment) {
  const { stdout } = await promisify(execFile)(process.execPath, [warp, ...args, '--json', '-q'], {
    env,
    maxBuffer: 1 << 26,
  })
  return JSON.parse(stdout)
}

test('inspect, merge and recover take the name of a repository', async () => {
  const found = await run(['inspect', 'hf:owner/name'])
  expect(found).toMatchObject({ usable: 'forward', dir: expect.stringContaining(commit) })
  const output = join(temporaryDirectory(), 'out')
  const pair = ['--base', fixtureModel('bert/base'), '--reference', 'hf:owner/name@main']
  const merged = await run(['merge', ...pair, '--lambda', '1', '-o', output])
  expect(merged.inputs.some(({ path }: { path: string }) => path.includes(`snapshots/${commit}`))).toBe(true)
  expect(readFileSync(join(output, 'model.safetensors')).length).toBe(
    fileOf('bert/reference', 'model.safetensors').length,
  )
  const { base } = makePair()
  const probes = 'hf:owner/name/data/probes.jsonl'
  const recovered = await run([
    'recover',
    '--base',
    base,
    '--reference',
    'hf:owner/name',
    '--probes',
    probes,
    '--points',
    '2',
  ])
  expect(Object.keys(recovered.recommended.mixture).sort()).toEqual(['animals', 'plants', 'stones'])
}, 120_000)

test('without such a name no socket is opened', async () => {
  const { base, reference, probes } = makePair()
  const guard = join(temporaryDirectory(), 'guard.cjs')
  writeFileSync(
    guard,
    `for (const name of ['lookup', 'resolve']) require('node:dns')[name] = () => { throw new Error('network') }
     require('node:net').Socket.prototype.connect = () => { throw new Error('network') }`,
  )
  const env = { ...environment, NODE_OPTIONS: `--require ${guard}` }
  await run(['inspect', base], env)
  await run(['recover', '--base', base, '--reference', reference, '--probes', probes, '--points', '2'], env)
  await expect(run(['inspect', 'hf:owner/other'], env)).rejects.toThrow(/HUB_UNREACHABLE/)
}, 120_000)
