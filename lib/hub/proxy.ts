import type { Dispatcher } from 'undici'

type Environment = Readonly<Record<string, string | undefined>>

/** What NO_PROXY and the variables for a scheme say of an origin; undefined: straight there. */
export function proxyOf(origin: URL, environment: Environment = process.env): string | undefined {
  const value = (name: string): string | undefined => environment[name.toLowerCase()] || environment[name] || undefined
  const port = origin.port || (origin.protocol === 'https:' ? '443' : '80')
  for (const entry of (value('NO_PROXY') ?? '').toLowerCase().split(/[\s,]+/)) {
    if (entry === '') continue
    if (entry === '*') return undefined
    const [, host, only] = /^\*?\.?(.+?)(?::(\d+))?$/.exec(entry) ?? []
    const same = origin.hostname === host || origin.hostname.endsWith(`.${host}`)
    if (same && (only === undefined || only === port)) return undefined
  }
  return origin.protocol === 'https:' ? value('HTTPS_PROXY') : value('HTTP_PROXY')
}

/** Sends each request the way the environment says, as redirects may lead from one host to another. */
export async function proxiedDispatcher(options: object): Promise<Dispatcher> {
  const { Agent, Dispatcher: Base, ProxyAgent } = await import('undici')
  const straight = new Agent(options)
  const through = new Map<string, Dispatcher>()
  class Routed extends Base {
    override dispatch(request: Dispatcher.DispatchOptions, handler: Dispatcher.DispatchHandlers): boolean {
      const uri = proxyOf(new URL(String(request.origin)))
      if (uri === undefined) return straight.dispatch(request, handler)
      const agent = through.get(uri) ?? new ProxyAgent({ ...options, uri })
      through.set(uri, agent)
      return agent.dispatch(request, handler)
    }
    override async destroy(): Promise<void> {
      await Promise.all([straight, ...through.values()].map((agent) => agent.destroy()))
    }
  }
  return new Routed()
}
