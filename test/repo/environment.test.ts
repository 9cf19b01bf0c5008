// Every environment variable that is read is told, and none is told that is not read.
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { repositoryRoot } from '../support/shared.js'

const read = (file: string): string => readFileSync(join(repositoryRoot, file), 'utf8')
const below = (folder: string): string[] =>
  readdirSync(join(repositoryRoot, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => /\.(ts|cc|cu|h|inc)$/.test(name))
    .map((name) => join(folder, name))

test('docs/environment.md names the variables that the code reads', () => {
  const everywhere = ['lib', 'bin', 'native'].flatMap(below)
  const building = ['scripts/build-tools.cjs', 'scripts/gyp-cmake.cjs', 'CMakeLists.txt']
  const names = (files: string[], pattern: RegExp): string[] =>
    files.flatMap((file) => [...read(file).matchAll(pattern)].map((match) => match[1]))
  const found = new Set([
    ...names([...everywhere, ...building], /(?:getenv\("|process\.env(?:\.|\['))(\w+)/g),
    ...names(['lib/hub/settings.ts', 'lib/hub/proxy.ts', 'scripts/gyp-cmake.cjs'], /'([A-Z]+_[A-Z_]+)'/g),
    ...names(['bin/frame.ts'], /\b([A-Z]+_?COLOR|TERM)\b/g),
    ...names(['CMakeLists.txt'], /\bENV[ {]([A-Z]+(?:_[A-Z]+)*)/g),
  ])
  const told = [...read('docs/environment.md').matchAll(/`([A-Z]{2,}(?:_[A-Z]+)*)`/g)].map((match) => match[1])
  expect(told.filter((name) => name !== 'ON' && name !== 'OFF').sort()).toEqual([...found].sort())
})
