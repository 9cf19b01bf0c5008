import { lstatSync, mkdirSync, readFileSync, readlinkSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { createServer, request as httpRequest } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { localFolder } from '../../lib/hub/index.js'
import { proxyOf } from '../../lib/hub/proxy.js'
import type { Progress } from '../../lib/native/task.js'
import { commit, hashOf, sendRange, startHub, type TestHub } from '../support/hub-server.js'
import { bertConfig, bertTensors, refused, safetensors, temporaryDirectory } from '../support/models.js'

const weights = safetensors(bertTensors())
const files = {
  'config.json': Buffer.from(JSON.stringify(bertConfig)),
  'tokenizer.json': Buffer.from('{"a": 1}'),
  'model.safetensors': weights,
  'pytorch_model.bin': Buffer.alloc(5000, 1),
  'onnx/model.onnx': Buffer.alloc(2000, 2),
  'data/train.jsonl': Buffer.from('{"text": "a"}\n'),
  'README.md': Buffer.from('# x'),
}
const variables = [
  'HF_ENDPOINT',
  'HF_HOME',
  'HF_HUB_CACHE',
  'HUGGINGFACE_HUB_CACHE',
  'HF_HUB_OFFLINE',
  'TRANSFORMERS_OFFLINE',
  'HF_TOKEN',
  'HUGGING_FACE_HUB_TOKEN',
  'HF_TOKEN_PATH',
  'HF_HUB_DISABLE_IMPLICIT_TOKEN',
  'HTTP_PROXY',
  'http_proxy',
  'HTTPS_PROXY',
  'https_proxy',
  'NO_PROXY',
  'no_proxy',
  'XDG_CACHE_HOME',
]
const before = Object.fromEntries(variables.map((name) => [name, process.env[name]]))
let hub: TestHub
let home: string
let repository: string

beforeEach(async () => {
  for (const name of variables) delete process.env[name]
  hub = await startHub(files)
  home = temporaryDirectory()
  repository = join(home, 'hub', 'models--owner--name')
  Object.assign(process.env, { HF_ENDPOINT: hub.endpoint, HF_HOME: home })
})
afterEach(() => hub.close())
afterAll(() => {
  for (const name of variables) {
    delete process.env[name]
    if (before[name] !== undefined) process.env[name] = before[name]
  }
})

const lines = (): string[] => hub.requests.map(({ line }) => line)
const open = (given = 'hf:owner/name') => localFolder(given, 'model')

test('a name becomes a snapshot in the shared layout, with the needed files only', async () => {
  const seen: Progress[] = []
  const { dir, notes } = await localFolder('hf:owner/name', 'model', { onProgress: (p) => seen.push(p) })
  expect(notes).toEqual([])
  expect(dir).toBe(join(repository, 'snapshots', commit))
  expect(readFileSync(join(repository, 'refs/main'), 'utf8')).toBe(commit)
  const hash = hashOf(weights)
  expect(hash).toHaveLength(64)
  expect(readlinkSync(join(dir, 'model.safetensors'))).toBe(`../../blobs/${hash}`)
  expect(readFileSync(join(repository, 'blobs', hash))).toEqual(weights)
  expect(readFileSync(join(repository, 'blobs', hashOf(files['config.json'])))).toEqual(files['config.json'])
  expect(lines().some((line) => /pytorch|onnx|README|jsonl/.test(line))).toBe(false)
  const total = files['config.json'].length + files['tokenizer.json'].length + weights.length
  expect(seen.at(-1)).toEqual({ phase: 'download', done: total, total, unit: 'bytes' })
  expect(seen.every(({ done }, i) => i === 0 || done >= seen[i - 1]!.done)).toBe(true)
})

test('again: one question for a branch, none for a commit, none offline', async () => {
  const { dir } = await open()
  hub.requests.length = 0
  expect((await open()).dir).toBe(dir)
  expect(lines()).toEqual(['GET /api/models/owner/name/revision/main?blobs=true'])
  hub.requests.length = 0
  expect((await open(`hf:owner/name@${commit}`)).dir).toBe(dir)
  process.env.HF_HUB_OFFLINE = '1'
  expect((await open()).dir).toBe(dir)
  expect(lines()).toEqual([])
  await refused(() => open('hf:owner/other'), 'HUB_OFFLINE')
})

test('the hub cannot be reached: the cached copy is used, and said', async () => {
  const { dir } = await open()
  process.env.HF_ENDPOINT = 'http://127.0.0.1:1'
  const found = await open()
  expect(found.dir).toBe(dir)
  expect(found.notes.join()).toMatch(/could not be reached.*copy in the cache/)
  await refused(() => open('hf:owner/other'), 'HUB_UNREACHABLE')
})

test('a cached repository is understood as the folder it is', async () => {
  await open()
  const { dir, notes } = await open(repository)
  expect(dir).toBe(join(repository, 'snapshots', commit))
  expect(notes).toEqual([`${repository}: snapshot ${dir} was read`])
  rmSync(join(repository, 'refs'), { recursive: true })
  expect((await open(repository)).dir).toBe(dir)
  mkdirSync(join(repository, 'snapshots', 'f'.repeat(40)))
  await refused(() => open(repository), 'HUB_SNAPSHOT')
})

test('a file that breaks off is gone on with, from where it broke off', async () => {
  let cuts = 0
  hub.intercept = (request, response) => {
    if (!request.url!.startsWith('/storage/model') || cuts === 2) return false
    const from = Number(/(\d+)-/.exec(request.headers.range ?? '')?.[1] ?? 0)
    cuts++
    response.writeHead(from ? 206 : 200, {
      'content-length': weights.length - from,
      ...(from && { 'content-range': `bytes ${from}-${weights.length - 1}/${weights.length}` }),
    })
    response.write(weights.subarray(from, from + 100), () => setTimeout(() => response.destroy(), 50))
    return true
  }
  const { dir } = await open()
  expect(readFileSync(join(dir, 'model.safetensors'))).toEqual(weights)
  const ranges = hub.requests.filter(({ line }) => /storage\/model/.test(line)).map(({ headers }) => headers.range)
  expect(ranges).toEqual([undefined, 'bytes=100-', 'bytes=200-'])
})

test('what an interrupted call left behind is gone on with; a damaged rest is fetched anew', async () => {
  const part = join(repository, 'blobs', `${hashOf(weights)}.incomplete`)
  mkdirSync(join(repository, 'blobs'), { recursive: true })
  writeFileSync(part, weights.subarray(0, 300))
  let { dir } = await open()
  expect(hub.requests.find(({ line }) => /storage\/model/.test(line))?.headers.range).toBe('bytes=300-')
  expect(readFileSync(join(dir, 'model.safetensors'))).toEqual(weights)
  rmSync(repository, { recursive: true })
  mkdirSync(join(repository, 'blobs'), { recursive: true })
  writeFileSync(part, Buffer.alloc(300, 7))
  dir = (await open()).dir
  expect(readFileSync(join(dir, 'model.safetensors'))).toEqual(weights)
})

test('a server without ranges: from the start', async () => {
  mkdirSync(join(repository, 'blobs'), { recursive: true })
  writeFileSync(join(repository, 'blobs', `${hashOf(weights)}.incomplete`), weights.subarray(0, 300))
  hub.intercept = (request, response) => {
    delete request.headers.range
    if (request.url!.startsWith('/storage/')) sendRange(request, response, weights)
    return request.url!.startsWith('/storage/')
  }
  expect(readFileSync(join((await open()).dir, 'model.safetensors'))).toEqual(weights)
})

const answers: [code: string, status: number, headers: Record<string, string>][] = [
  ['HUB_NOT_ALLOWED', 401, {}],
  ['HUB_NOT_ALLOWED', 403, {}],
  ['HUB_GATED', 403, { 'x-error-code': 'GatedRepo' }],
  ['HUB_NOT_FOUND', 404, {}],
  ['HUB_BUSY', 429, { 'retry-after': '0' }],
  ['HUB_BUSY', 429, { 'retry-after': '100000' }],
  ['HUB_FAILED', 500, { 'retry-after': '0' }],
  ['HUB_HTML', 200, { 'content-type': 'text/html; charset=utf-8' }],
  ['HUB_ANSWER', 200, {}],
]
test.each(answers)('%s for HTTP %i', async (code, status, headers) => {
  hub.intercept = (_, response) => {
    response.writeHead(status, headers).end('<html>')
    return true
  }
  const { message } = await refused(open, code)
  expect(message).toContain('hf:owner/name')
  expect(hub.requests).toHaveLength(headers['retry-after'] === '0' ? 4 : 1)
})

test('asked to wait, it waits and goes on', async () => {
  hub.intercept = (_, response) => {
    if (hub.requests.length > 1) return false
    response.writeHead(429, { 'retry-after': '0' }).end()
    return true
  }
  await open()
  expect(lines().filter((line) => line.includes('/api/'))).toHaveLength(2)
})

test('contents that are not what the hub lists are refused, and nothing gets the name', async () => {
  const send = (data: Buffer): void => {
    hub.intercept = (request, response) => {
      if (request.url!.startsWith('/storage/')) sendRange(request, response, data)
      return request.url!.startsWith('/storage/')
    }
  }
  send(Buffer.alloc(weights.length, 3))
  await refused(open, 'HUB_HASH')
  send(Buffer.concat([weights, weights]))
  await refused(open, 'HUB_SIZE')
  send(weights.subarray(0, 500))
  rmSync(join(repository, 'blobs', `${hashOf(weights)}.incomplete`), { force: true })
  await refused(open, 'HUB_TRUNCATED')
  expect(() => lstatSync(join(repository, 'blobs', hashOf(weights)))).toThrow()
  expect(() => lstatSync(join(repository, 'refs'))).toThrow()
})

test.each([
  ['{"sha": "x", "siblings": []}'],
  [`{"sha": "${commit}"}`],
  [`{"sha": "${commit}", "siblings": [{"rfilename": "config.json"}]}`],
  [`{"sha": "${commit}", "siblings": [{"rfilename": "../../x", "size": 1, "blobId": "${commit}"}]}`],
  [`{"sha": "${commit}", "siblings": [{"rfilename": "a", "size": 1, "blobId": "../../etc"}]}`],
  ['null'],
])('a listing that cannot be: %s', async (text) => {
  hub.intercept = (_, response) => {
    response.writeHead(200, { 'content-type': 'application/json' }).end(text)
    return true
  }
  await refused(open, 'HUB_ANSWER')
})

test('only pickles: said, with what is there', async () => {
  await hub.close()
  hub = await startHub({ 'config.json': files['config.json'], 'pytorch_model.bin': files['pytorch_model.bin'] })
  process.env.HF_ENDPOINT = hub.endpoint
  const { message } = await refused(open, 'HUB_NO_WEIGHTS')
  expect(message).toContain('pytorch_model.bin')
  expect(hub.requests).toHaveLength(1)
})

test('an index brings its shards, and a data set its records', async () => {
  await hub.close()
  const index = { weight_map: { a: 'part-a.safetensors', b: 'part-b.safetensors' } }
  hub = await startHub({
    'config.json': files['config.json'],
    'model.safetensors.index.json': Buffer.from(JSON.stringify(index)),
    'part-a.safetensors': Buffer.alloc(1500, 1),
    'part-b.safetensors': Buffer.alloc(1600, 2),
    'other.safetensors': Buffer.alloc(1700, 3),
    'sub/train.csv': Buffer.from('text\na\n'),
  })
  process.env.HF_ENDPOINT = hub.endpoint
  const { dir } = await open()
  expect(readFileSync(join(dir, 'part-b.safetensors'))).toEqual(Buffer.alloc(1600, 2))
  expect(lines().some((line) => line.includes('other'))).toBe(false)
  const data = await localFolder('hf:owner/name', 'dataset')
  expect(data.dir).toBe(join(home, 'hub', 'datasets--owner--name', 'snapshots', commit))
  expect(readFileSync(join(data.dir, 'sub/train.csv'), 'utf8')).toBe('text\na\n')
  expect((await open('hf:datasets/owner/name')).dir).toBe(data.dir)
  expect((await open('hf:datasets/owner/name/sub@main')).dir).toBe(join(data.dir, 'sub'))
  expect((await localFolder('hf:owner/name/sub/train.csv', 'dataset')).dir).toBe(join(data.dir, 'sub/train.csv'))
  await refused(() => localFolder('hf:owner/name/other', 'dataset'), 'HUB_NO_RECORDS')
  await expect(localFolder('hf:owner/name/../x', 'dataset')).rejects.toMatchObject({ code: 'HUB_NAME' })
})

test('a cache without its blobs: fetched again, or said', async () => {
  const { dir } = await open()
  rmSync(join(repository, 'blobs'), { recursive: true })
  process.env.HF_HUB_OFFLINE = '1'
  await refused(open, 'HUB_CACHE_BROKEN')
  delete process.env.HF_HUB_OFFLINE
  expect((await open(`hf:owner/name@${commit}`)).dir).toBe(dir)
  expect(readFileSync(join(dir, 'model.safetensors'))).toEqual(weights)
})

test('links in a circle in the cache are replaced', async () => {
  const dir = join(repository, 'snapshots', commit)
  mkdirSync(dir, { recursive: true })
  symlinkSync('config.json', join(dir, 'config.json'))
  await open()
  expect(readFileSync(join(dir, 'config.json'))).toEqual(files['config.json'])
})

test('revisions: a branch, a tag, a pull request, a commit; another is refused', async () => {
  for (const revision of ['v1.0', 'refs/pr/1', commit]) await open(`hf:owner/name@${revision}`)
  expect(readFileSync(join(repository, 'refs/refs/pr/1'), 'utf8')).toBe(commit)
  expect(() => lstatSync(join(repository, 'refs', commit))).toThrow()
  await refused(() => open('hf:owner/name@v2'), 'HUB_REVISION')
})

test.each(['hf:', 'hf:a/b/c', 'hf:../x', 'hf:a/..', 'hf:a/b@', 'hf:a/b@../../x', 'hf:a/b@/x', 'hf:a b', 'hf:a--b/c'])(
  '%s is no name',
  async (given) => {
    await expect(open(given)).rejects.toMatchObject({ code: 'HUB_NAME', exitCode: 2 })
    expect(hub.requests).toEqual([])
  },
)

test('the token: from the variable, else from the file; not taken along to another origin', async () => {
  const other = createServer((request, response) => {
    seen = request.headers.authorization
    sendRange(request, response, weights)
  })
  let seen: string | undefined = 'nothing asked'
  await new Promise<void>((done) => other.listen(0, '127.0.0.1', done))
  hub.intercept = (request, response) => {
    if (!request.url!.startsWith('/storage/')) return false
    response.writeHead(307, { location: `http://127.0.0.1:${(other.address() as AddressInfo).port}/x` }).end()
    return true
  }
  writeFileSync(join(home, 'token'), 'from-file\n')
  await open()
  expect(hub.requests[0]!.headers.authorization).toBe('Bearer from-file')
  expect(seen).toBeUndefined()
  process.env.HF_TOKEN = 'from-variable'
  await open()
  expect(hub.requests.at(-1)!.headers.authorization).toBe('Bearer from-variable')
  await new Promise((done) => other.close(done))
})

test('a proxy of the environment is used', async () => {
  const through: string[] = []
  const proxy = createServer((request, response) => {
    through.push(request.url!)
    const { host, ...headers } = request.headers
    httpRequest(request.url!, { method: request.method, headers: { ...headers, host: host! } }, (answer) => {
      response.writeHead(answer.statusCode!, answer.headers)
      answer.pipe(response)
    }).end()
  })
  proxy.on('connect', (request, socket) => {
    through.push(request.url!)
    const { hostname, port } = new URL(`http://${request.url}`)
    const line = (require('node:net') as typeof import('node:net')).connect(Number(port), hostname, () => {
      socket.write('HTTP/1.1 200 ok\r\n\r\n')
      socket.pipe(line).pipe(socket)
    })
    line.on('error', () => socket.destroy())
    socket.on('error', () => line.destroy())
  })
  await new Promise<void>((done) => proxy.listen(0, '127.0.0.1', done))
  process.env.http_proxy = `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`
  await open()
  expect(through.length).toBeGreaterThan(0)
  proxy.closeAllConnections()
  await new Promise((done) => proxy.close(done))
})

test.each<[string, Record<string, string>, string | undefined]>([
  ['https://hub.example/x', {}, undefined],
  ['https://hub.example/x', { HTTPS_PROXY: 'http://p:1' }, 'http://p:1'],
  ['http://hub.example/x', { HTTPS_PROXY: 'http://p:1' }, undefined],
  ['http://hub.example/x', { http_proxy: 'http://q:2', HTTP_PROXY: 'http://p:1' }, 'http://q:2'],
  ['https://hub.example/x', { HTTPS_PROXY: 'http://p:1', NO_PROXY: 'other.example, hub.example' }, undefined],
  ['https://cdn.hub.example/x', { HTTPS_PROXY: 'http://p:1', NO_PROXY: '.hub.example' }, undefined],
  ['https://myhub.example/x', { HTTPS_PROXY: 'http://p:1', NO_PROXY: 'hub.example' }, 'http://p:1'],
  ['https://hub.example:8443/x', { HTTPS_PROXY: 'http://p:1', NO_PROXY: 'hub.example:443' }, 'http://p:1'],
  ['https://hub.example/x', { HTTPS_PROXY: 'http://p:1', no_proxy: '*' }, undefined],
])('the way to %s with %j', (address, environment, expected) => {
  expect(proxyOf(new URL(address), environment)).toBe(expected)
})

test('an abort ends it, and the next call goes on', async () => {
  const stop = new AbortController()
  hub.intercept = (request, response) => {
    if (!request.url!.startsWith('/storage/') || request.headers.range) return false
    response.writeHead(200, { 'content-length': weights.length })
    response.write(weights.subarray(0, 200), () => setTimeout(() => stop.abort(new Error('enough')), 50))
    return true
  }
  await expect(localFolder('hf:owner/name', 'model', { signal: stop.signal })).rejects.toThrow('enough')
  expect(lstatSync(join(repository, 'blobs', `${hashOf(weights)}.incomplete`)).size).toBe(200)
  expect(readFileSync(join((await open()).dir, 'model.safetensors'))).toEqual(weights)
})

test('several calls at once bring one copy', async () => {
  const found = await Promise.all([open(), open(), open()])
  expect(new Set(found.map(({ dir }) => dir)).size).toBe(1)
  expect(lines().filter((line) => line.includes('/storage/model'))).toHaveLength(1)
})
