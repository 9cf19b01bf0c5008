import { createHash } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

export const commit = 'c0ffee00'.repeat(5)

/** The few routes of a hub, on the loopback. */
export interface TestHub {
  /** `http://127.0.0.1:PORT` */
  endpoint: string
  /** `METHOD path` of every request, with its headers */
  requests: { line: string; headers: IncomingMessage['headers'] }[]
  /** takes a request in the server's place when it returns true */
  intercept?: (request: IncomingMessage, response: ServerResponse) => boolean
  close(): Promise<void>
}

/** Files above this size are kept as LFS, by SHA-256. */
const large = 1000

export function hashOf(data: Buffer): string {
  return data.length > large
    ? createHash('sha256').update(data).digest('hex')
    : createHash('sha1').update(`blob ${data.length}\0`).update(data).digest('hex')
}

function siblings(files: Record<string, Buffer>): object[] {
  return Object.entries(files).map(([rfilename, data]) => {
    const hash = hashOf(data)
    return data.length > large
      ? {
          rfilename,
          size: data.length,
          blobId: '0'.repeat(40),
          lfs: { sha256: hash, size: data.length, pointerSize: 130 },
        }
      : { rfilename, size: data.length, blobId: hash }
  })
}

/** Serves `files` as the repositories `owner/name` and `datasets/owner/name`; large files redirect to another path. */
export async function startHub(files: Record<string, Buffer>): Promise<TestHub> {
  const server = createServer((request, response) => {
    const { pathname } = new URL(request.url!, 'http://hub')
    hub.requests.push({ line: `${request.method} ${request.url}`, headers: request.headers })
    if (hub.intercept?.(request, response)) return
    const listing = /^\/api\/(models|datasets)\/owner\/name\/revision\/([^/]+)$/.exec(pathname)
    const resolve = /^(?:\/datasets)?\/owner\/name\/resolve\/[0-9a-f]{40}\/(.+)$/.exec(pathname)
    if (listing) {
      if (!['main', 'v1.0', 'refs%2Fpr%2F1', commit].includes(listing[2]!))
        return void response.writeHead(404, { 'x-error-code': 'RevisionNotFound' }).end('{}')
      return void response
        .writeHead(200, { 'content-type': 'application/json' })
        .end(JSON.stringify({ sha: commit, siblings: siblings(files) }))
    }
    const name = decodeURIComponent(resolve?.[1] ?? /^\/storage\/(.+)$/.exec(pathname)?.[1] ?? '')
    const data = files[name]
    if (!data) return void response.writeHead(404).end('not here')
    if (resolve && data.length > large) return void response.writeHead(302, { location: `/storage/${name}` }).end()
    sendRange(request, response, data)
  })
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  const hub: TestHub = {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests: [],
    close: () =>
      new Promise((done) => {
        server.closeAllConnections()
        server.close(() => done())
      }),
  }
  return hub
}

/** The bytes that `Range` asks for, or all. */
export function sendRange(request: IncomingMessage, response: ServerResponse, data: Buffer): void {
  const from = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1] ?? NaN)
  if (from >= data.length) return void response.writeHead(416).end()
  const part = Number.isNaN(from) ? data : data.subarray(from)
  response.writeHead(Number.isNaN(from) ? 200 : 206, {
    'content-length': part.length,
    ...(!Number.isNaN(from) && { 'content-range': `bytes ${from}-${data.length - 1}/${data.length}` }),
  })
  response.end(part)
}
