import { execFileSync } from 'node:child_process'
import { chmodSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import type { ProbeOptions } from '../../lib/text/index.js'
import { type Endless, readEndless } from '../support/probes-endless.js'
import { all, failure, folder, write } from '../support/probes-files.js'
import { repositoryRoot } from '../support/shared.js'

const good = '{"text": "one", "label": "x"}\n'

describe('a line above 16 MiB', () => {
  const limit = 16 * 2 ** 20
  const endless = join(repositoryRoot, 'dist/test/support/probes-endless.js')

  test.each<[string, ProbeOptions, string, string, Record<string, unknown>]>([
    ['JSON lines', {}, `${good}{"text": "`, 'PROBES_LINE_TOO_LONG', { line: 2 }],
    ['a JSON array', { format: 'json' }, '[\n{"text": "', 'PROBES_LINE_TOO_LONG', { line: 2 }],
    [
      'a JSON array that went wrong',
      { format: 'json' },
      '[\n{"text": "a\nb',
      'PROBES_JSON_INVALID',
      { line: 2, column: 12 },
    ],
    ['CSV', { format: 'csv' }, 'text,label\none,x\n', 'PROBES_LINE_TOO_LONG', { line: 3 }],
    ['an open quote', { format: 'csv' }, 'text,label\none,x\ntwo,"', 'PROBES_QUOTE_UNCLOSED', { line: 3, column: 5 }],
    ['text', { format: 'txt' }, 'one\n', 'PROBES_LINE_TOO_LONG', { line: 2 }],
  ])('%s: refused before the rest is read', async (_, options, first, code, at) => {
    const result =
      options.format === 'csv'
        ? (JSON.parse(
            execFileSync(process.execPath, [endless, JSON.stringify(options), first, 'x'], { encoding: 'utf8' }),
          ) as Endless)
        : await readEndless(options, first, 'x')
    expect(result).toMatchObject({ code, details: { file: 'stdin', ...at } })
    expect(result.hint).not.toBe('')
    // the stream reads ahead by one chunk, and the last chunk may begin just below the limit
    expect(result.read).toBeLessThan(limit + 4 * (1 << 16))
  })

  test('a file that is one text', async () => {
    const path = write('huge/a/1.txt', Buffer.alloc(limit + 1, 'x'))
    expect(await failure(all([join(folder, 'huge')]))).toMatchObject({
      code: 'PROBES_LINE_TOO_LONG',
      details: { file: path, line: 1 },
    })
  })

  test('a line of exactly 16 MiB is read', async () => {
    const text = 'x'.repeat(limit)
    expect((await all([write('limit.txt', text)]))[0].text.length).toBe(limit)
    expect((await all([write('limit-line.txt', `${text}\nb`)])).length).toBe(2)
  })
})

describe('sources', () => {
  const refused = async (sources: string[], code: string, says: string, options: ProbeOptions = {}): Promise<void> => {
    const error = await failure(all(sources, options))
    expect(error).toMatchObject({ code })
    expect(`${error.message}\n${error.hint}`).toContain(says)
  }

  test('no source', () => refused([], 'PROBES_NONE', '--probes'))

  test('a path that is not there; the nearest is suggested', async () => {
    const path = write('sources/probes.jsonl', good)
    await refused([join(folder, 'sources/porbes.jsonl')], 'PROBES_NOT_FOUND', `did you mean ${path}?`)
    await refused([join(folder, 'nowhere/at/all.jsonl')], 'PROBES_NOT_FOUND', 'check the path')
  })

  test('a source given twice, under two names', async () => {
    const path = write('sources/once.jsonl', good)
    await refused([path, join(folder, 'sources/../sources/once.jsonl')], 'PROBES_SOURCE_TWICE', 'twice')
    await refused(['-', '-'], 'PROBES_SOURCE_TWICE', 'twice')
  })

  test('all sources are checked before one is read', async () => {
    const path = write('sources/first.jsonl', good)
    let read = 0
    await failure(all([path, join(folder, 'missing.csv')], {}, { onProgress: () => read++ }))
    expect(read).toBe(0)
  })

  test('a folder that is empty, nested, or names a domain twice', async () => {
    mkdirSync(join(folder, 'empty'), { recursive: true })
    await refused([join(folder, 'empty')], 'PROBES_FOLDER_EMPTY', 'empty')
    mkdirSync(join(folder, 'half/a'), { recursive: true })
    await refused([join(folder, 'half')], 'PROBES_FOLDER_EMPTY', 'half/a')
    write('nested/a/b/1.txt', 'x')
    await refused([join(folder, 'nested')], 'PROBES_FOLDER_NESTED', 'nested/a/b')
    write('double/a.txt', 'x')
    write('double/a.jsonl', good)
    await refused([join(folder, 'double')], 'PROBES_DOMAIN_TWICE', '"a.jsonl" and "a.txt"')
    write('readme/README.md', 'x')
    await refused([join(folder, 'readme')], 'PROBES_FORMAT_UNKNOWN', 'README.md')
  })

  test('what is neither file nor folder', () =>
    refused(['/dev/null'], 'PROBES_NOT_A_FILE', '/dev/null', { format: 'jsonl' }))

  test('a file that may not be read', async () => {
    const path = write('secret.jsonl', good)
    chmodSync(path, 0)
    // Root reads everything: nothing to refuse there.
    if (process.getuid?.() === 0) expect((await all([path])).length).toBe(1)
    else await refused([path], 'PROBES_UNREADABLE', 'EACCES')
  })

  test('a terminal as stdin', async () => {
    const stdin = Object.assign(new Readable({ read() {} }), { isTTY: true })
    expect(await failure(all(['-'], {}, { stdin }))).toMatchObject({ code: 'PROBES_STDIN_TERMINAL', kind: 'usage' })
  })
})

describe('options', () => {
  test.each<[ProbeOptions, string, string]>([
    [{ format: 'xml' as 'csv' }, 'PROBES_FORMAT_UNKNOWN', 'xml'],
    [{ limit: 0 }, 'PROBES_OPTION_INVALID', '--limit'],
    [{ perDomain: 1.5 }, 'PROBES_OPTION_INVALID', '--per-domain'],
    [{ limit: 5, perDomain: 5 }, 'PROBES_OPTION_CONFLICT', 'one of them'],
    [{ text: [] }, 'PROBES_OPTION_INVALID', '--text'],
    [{ columns: ['text', ''] }, 'PROBES_OPTION_INVALID', '--columns'],
    [{ columns: ['text'] }, 'PROBES_COLUMNS_UNUSED', '--columns'],
    [{ limit: 1, seed: -1 }, 'SEED_INVALID', '-1'],
  ])('%j', async (options, code, says) => {
    const error = await failure(all([write('options.jsonl', good)], options))
    expect(error).toMatchObject({ code, kind: 'usage', exitCode: 2 })
    expect(`${error.message}\n${error.hint}`).toContain(says)
  })
})
