import { setTimeout as sleep } from 'node:timers/promises'
import { inputError, type WarpError } from '../errors.js'
import type { HubName } from './name.js'
import { proxiedDispatcher } from './proxy.js'
import type { HubSettings } from './settings.js'

type Undici = typeof import('undici')
export type Answer = Awaited<ReturnType<Undici['fetch']>>

/** Nothing came back: no name, no route, no certificate, a line that went dead. The cached copy may do instead. */
export const unreachable = 'HUB_UNREACHABLE'

/** How often a request that the hub put off, or that failed on the way, is made again. */
export const attempts = 4
/** Seconds of waiting that a hub may ask for. */
const longestWait = 60
const largestListing = 64 * 2 ** 20

/** Requests to one hub about one repository. */
export interface HubClient {
  name: HubName
  settings: HubSettings
  /** @throws WarpError (input) HUB_…; the signal's reason */
  get(url: string, headers: Record<string, string>, signal?: AbortSignal): Promise<Answer>
  close(): Promise<void>
}

/** Proxies come from the environment: HTTP_PROXY, HTTPS_PROXY, NO_PROXY. */
export async function hubClient(name: HubName, settings: HubSettings): Promise<HubClient> {
  const { fetch } = await import('undici')
  const dispatcher = await proxiedDispatcher({
    headersTimeout: 60_000,
    bodyTimeout: 60_000,
    connect: { timeout: 20_000 },
  })
  const authorization: Record<string, string> = settings.token ? { authorization: `Bearer ${settings.token}` } : {}
  return {
    name,
    settings,
    async get(url, headers, signal) {
      for (let attempt = 1; ; attempt++) {
        signal?.throwIfAborted()
        // fetch follows redirects, and takes the token along only within one origin
        const answer = await fetch(url, {
          dispatcher,
          signal,
          headers: { 'user-agent': 'warp-recover', ...headers, ...authorization },
        }).catch((cause: unknown) => {
          signal?.throwIfAborted()
          throw notReached(name, url, cause)
        })
        if (answer.ok || answer.status === 416) return answer
        const again = answer.status === 429 || answer.status >= 500
        const asked = waitOf(answer)
        await answer.body?.cancel()
        if (!again || attempt === attempts || asked > longestWait) throw refusal(name, settings, answer)
        await sleep(1000 * (asked >= 0 ? asked : 2 ** (attempt - 2)), undefined, { signal })
      }
    },
    close: () => dispatcher.destroy(),
  }
}

/** Seconds that `Retry-After` asks for, in either of its forms; -1: it says nothing. */
function waitOf(answer: Answer): number {
  const value = answer.headers.get('retry-after')
  if (value === null) return -1
  const seconds = /^\d+$/.test(value) ? Number(value) : (Date.parse(value) - Date.now()) / 1000
  return Number.isFinite(seconds) ? Math.max(0, seconds) : -1
}

/** An answer that has to be JSON. @throws WarpError (input) HUB_ANSWER */
export async function readJson(client: HubClient, answer: Answer): Promise<unknown> {
  refuseHtml(client.name, answer)
  const pieces: Uint8Array[] = []
  let length = 0
  try {
    for await (const piece of answer.body ?? []) {
      length += piece.byteLength
      if (length > largestListing)
        throw badAnswer(client.name, `more than ${largestListing} bytes where a list of files was expected`)
      pieces.push(piece)
    }
    return JSON.parse(Buffer.concat(pieces).toString('utf8'))
  } catch (cause) {
    if (cause instanceof SyntaxError) throw badAnswer(client.name, 'no JSON where a list of files was expected')
    if (brokeOff(cause)) throw notReached(client.name, answer.url, cause)
    throw cause
  }
}

/** Whether reading an answer ended because the line did: what `fetch` throws then. */
export const brokeOff = (cause: unknown): boolean => (cause as Error | undefined)?.name === 'TypeError'

/** A log-in page or a proxy's own words instead of the hub's. @throws WarpError (input) HUB_HTML */
export function refuseHtml({ given }: HubName, answer: Answer): void {
  if (!/^text\/html/i.test(answer.headers.get('content-type') ?? '')) return
  throw inputError(
    'HUB_HTML',
    `${given}: ${answer.url} answered with a web page`,
    { file: given, found: 'text/html' },
    'Something stands between you and the hub (a log-in page, a proxy); open the address in a browser.',
  )
}

export function badAnswer({ given }: HubName, what: string): WarpError {
  return inputError(
    'HUB_ANSWER',
    `${given}: the hub answered with ${what}`,
    { file: given },
    'Check HF_ENDPOINT, or try later.',
  )
}

export function notReached({ given }: HubName, url: string, cause: unknown): WarpError {
  const inner = (cause as { cause?: { message?: string; code?: string } }).cause
  const why = inner?.code ?? inner?.message ?? (cause as Error).message
  return inputError(
    unreachable,
    `${given}: ${new URL(url).origin} could not be reached (${why})`,
    { file: given, found: why },
    'Check the network and HTTPS_PROXY; what is in the cache is used with HF_HUB_OFFLINE=1.',
  )
}

function refusal({ given, repository, revision }: HubName, { token }: HubSettings, answer: Answer): WarpError {
  const { status } = answer
  const reason = answer.headers.get('x-error-code') ?? ''
  const make = (code: string, what: string, hint: string): WarpError =>
    inputError(code, `${given}: ${what} (HTTP ${status})`, { file: given, found: status }, hint)
  if (reason === 'GatedRepo')
    return make(
      'HUB_GATED',
      `${repository} asks for consent before it is read`,
      'Accept its terms on its page, then set HF_TOKEN.',
    )
  if (reason === 'RevisionNotFound')
    return make('HUB_REVISION', `${repository} has no revision ${revision}`, 'Look up its branches and tags.')
  if (status === 401 || status === 403) {
    const sent = token ? 'the token that was sent does not open it' : 'no token was sent'
    return make(
      'HUB_NOT_ALLOWED',
      `${repository} does not exist or is private; ${sent}`,
      'Check the name, then HF_TOKEN.',
    )
  }
  if (status === 404)
    return make(
      'HUB_NOT_FOUND',
      `${repository} is not there at revision ${revision}`,
      'Check owner, name and revision.',
    )
  if (status === 429)
    return make(
      'HUB_BUSY',
      'the hub asks to wait',
      'Try again in some minutes; with HF_TOKEN set more requests are allowed.',
    )
  return make('HUB_FAILED', 'the hub failed', 'Try again later.')
}
