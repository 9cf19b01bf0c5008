import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { makeFolders } from '../../lib/folders.js'

test('folders are made with those they lie in; the new ones are named; what cannot be is refused', async () => {
  const root = mkdtempSync(join(tmpdir(), 'warp-folders-'))
  try {
    expect(await makeFolders(join(root, 'a/b'))).toEqual([join(root, 'a'), join(root, 'a/b')])
    expect(statSync(join(root, 'a/b')).isDirectory()).toBe(true)
    expect(await makeFolders(join(root, 'a/b'))).toEqual([])
    expect((await Promise.all([1, 2, 3].map(() => makeFolders(join(root, 'c/d'))))).length).toBe(3)
    writeFileSync(join(root, 'file'), '')
    for (const folder of [join(root, 'file'), join(root, 'file/x'), '/proc/warp-none/x'])
      await expect(makeFolders(folder)).rejects.toMatchObject({ code: 'OUTPUT_NOT_WRITABLE' })
  } finally {
    rmSync(root, { recursive: true })
  }
})
