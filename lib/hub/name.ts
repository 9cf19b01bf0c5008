import { usageError } from '../errors.js'

/** What a repository of the hub holds. */
export type HubKind = 'model' | 'dataset'

/** A repository of the hub at one revision, as a user names it. */
export interface HubName {
  kind: HubKind
  /** `owner/name`; some old ones have no owner */
  repository: string
  /** a branch, a tag, `refs/pr/N` or a commit */
  revision: string
  /** of a data set: the file or folder in it that is meant, with `/`; '' for all of it */
  path: string
  /** as it was written */
  given: string
}

const prefix = 'hf:'
const part = /^[A-Za-z0-9_](?:[\w.-]{0,94}[A-Za-z0-9_])?$/
const commit = /^[0-9a-f]{40}$/

/** Whether a revision is a commit: what it stands for never changes. */
export const isCommit = (revision: string): boolean => commit.test(revision)

/**
 * Reads `hf:owner/name[@revision]`; `hf:datasets/owner/name` and `hf:models/owner/name` say what they hold themselves.
 * Of a data set a file or folder may be named: `hf:owner/name/data/train.csv`.
 * @param kind what is meant where the name does not say
 * @returns undefined for anything without `hf:`, a path on this machine
 * @throws WarpError (usage) HUB_NAME
 */
export function parseHubName(given: string, kind: HubKind = 'model'): HubName | undefined {
  if (!given.startsWith(prefix)) return undefined
  const text = given.slice(prefix.length)
  const at = text.indexOf('@')
  const revision = at === -1 ? 'main' : text.slice(at + 1)
  const parts = (at === -1 ? text : text.slice(0, at)).split('/')
  if (parts.length > 1 && (parts[0] === 'datasets' || parts[0] === 'models'))
    kind = parts.shift() === 'datasets' ? 'dataset' : 'model'
  const inner = kind === 'dataset' ? parts.splice(2) : []
  const repository = parts.join('/')
  const path = inner.join('/')
  const named =
    parts.length <= 2 &&
    parts.every((name) => part.test(name)) &&
    !/--|\.\./.test(repository) &&
    inner.every((name) => /^[^\\\u0000-\u001f]+$/.test(name) && !/^\.+$/.test(name))
  if (!named || !isRevision(revision)) {
    throw usageError(
      'HUB_NAME',
      `${JSON.stringify(given)} names no repository of the hub; expected hf:owner/name or hf:owner/name@revision`,
      { found: given, expected: 'hf:owner/name[@revision]' },
      'For example hf:HuggingFaceTB/SmolLM2-135M@main; a folder is given without hf:.',
    )
  }
  return { kind, repository, revision, path, given }
}

/** It becomes a file's name below `refs/`: nothing that would lead out of there. */
function isRevision(text: string): boolean {
  return text.length <= 255 && text.split('/').every((name) => /^[\w.+-]+$/.test(name) && !/^\.+$/.test(name))
}
