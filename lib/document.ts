// JSON documents that the product writes and reads back: whole, sealed with a digest, checked on every reading.
import { createHash } from 'node:crypto'
import type { z } from 'zod'
import { writeFileAtomic, type AtomicOptions } from './checkpoint/atomic.js'
import { inputError } from './errors.js'
import { readJsonFile } from './text/json-file.js'
import { describe } from './text/place.js'

/** What a reader must know of a kind of document. Codes: those of `readJsonFile`, PREFIX_VERSION, _FORM, _EDITED. */
export interface DocumentKind<T> {
  prefix: string
  /** value of its key `schema` */
  schema: string
  /** of the document without its digest */
  form: z.ZodType<T>
  /** how to get a good one, for hints */
  again: string
}

/** SHA-256 of a value as JSON. */
export const digestOf = (value: unknown): string => createHash('sha256').update(JSON.stringify(value)).digest('hex')

/**
 * Writes a document with the digest of all its other keys.
 * @throws WarpError (usage) OUTPUT_EXISTS without `force`; (resource) DISK_FULL, OUTPUT_NOT_WRITABLE
 */
export async function writeDocument(file: string, document: object, options: AtomicOptions = {}): Promise<void> {
  await writeFileAtomic(file, sealed(document), options)
}

/** A document as `writeDocument` writes it. */
export const sealed = (document: object): string => `${JSON.stringify({ ...document, digest: digestOf(document) })}\n`

/**
 * Reads a document that `writeDocument` wrote; a value that was changed is noticed.
 * @throws WarpError (input) PREFIX_…, see `DocumentKind`
 */
export async function readDocument<T>(file: string, kind: DocumentKind<T>): Promise<T> {
  const { digest, ...document } = (await readForm(file, { ...kind, form: undefined })) as Record<string, unknown>
  const value = checkForm(file, document, kind)
  if (digest !== digestOf(document)) {
    throw inputError(
      `${kind.prefix}_EDITED`,
      `${file}: was changed after it was written`,
      { file, expected: digestOf(document), found: describe(digest) },
      kind.again,
    )
  }
  return value
}

/** Reads a JSON object whose `schema` is the kind's, and checks its form where one is given. */
export async function readForm<T>(
  file: string,
  kind: Omit<DocumentKind<T>, 'form'> & { form?: z.ZodType<T> },
): Promise<T> {
  const { prefix, schema, form, again } = kind
  const value = await readJsonFile(file, prefix, again)
  const found = (value as { schema?: unknown } | null)?.schema
  if (found !== schema) {
    throw inputError(
      `${prefix}_VERSION`,
      `${file}: the schema is ${describe(found)}, not "${schema}"`,
      { file, expected: schema, found: describe(found) },
      `one version of warp throughout: ${again}`,
    )
  }
  return form === undefined ? (value as T) : checkForm(file, value, { prefix, form, again })
}

function checkForm<T>(
  file: string,
  value: unknown,
  { prefix, form, again }: Pick<DocumentKind<T>, 'prefix' | 'form' | 'again'>,
): T {
  const parsed = form.safeParse(value)
  if (parsed.success) return parsed.data
  const [issue] = parsed.error.issues
  const where = issue.path.length > 0 ? `${issue.path.join('.')}: ` : ''
  throw inputError(`${prefix}_FORM`, `${file}: ${where}${issue.message}`, { file }, again)
}
