import { readFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'

/** Where the hub is, where its files are kept, and who asks. */
export interface HubSettings {
  /** without a slash at the end */
  endpoint: string
  /** folder that holds `models--owner--name` */
  cache: string
  /** the network is not to be used */
  offline: boolean
  token?: string
}

type Environment = Readonly<Record<string, string | undefined>>

/**
 * The settings that the Python library has, from the same variables and files: HF_ENDPOINT, HF_HOME, HF_HUB_CACHE,
 * HF_HUB_OFFLINE, HF_TOKEN, HF_TOKEN_PATH and the token file.
 */
export async function hubSettings(environment: Environment = process.env): Promise<HubSettings> {
  const value = (...names: string[]): string | undefined =>
    names.map((name) => environment[name]?.trim()).find((found) => found !== undefined && found !== '')
  const folder = (...names: string[]): string | undefined => value(...names)?.replace(/^~(?=$|\/)/, homedir())
  const home = folder('HF_HOME') ?? join(folder('XDG_CACHE_HOME') ?? join(homedir(), '.cache'), 'huggingface')
  const on = (name: string): boolean => /^(1|on|yes|true)$/i.test(value(name) ?? '')
  const settings: HubSettings = {
    endpoint: (value('HF_ENDPOINT') ?? 'https://huggingface.co').replace(/\/+$/, ''),
    cache: folder('HF_HUB_CACHE', 'HUGGINGFACE_HUB_CACHE') ?? join(home, 'hub'),
    offline: on('HF_HUB_OFFLINE') || on('TRANSFORMERS_OFFLINE'),
  }
  const token =
    value('HF_TOKEN', 'HUGGING_FACE_HUB_TOKEN') ?? (await tokenFile(folder('HF_TOKEN_PATH') ?? join(home, 'token')))
  return token === undefined || on('HF_HUB_DISABLE_IMPLICIT_TOKEN') ? settings : { ...settings, token }
}

async function tokenFile(file: string): Promise<string | undefined> {
  const text = await readFile(file, 'utf8').catch(() => '')
  return text.trim() || undefined
}
