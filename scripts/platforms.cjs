'use strict'
// The prebuilt addons that a release promises, and what a file of them is.
const fs = require('node:fs')
const path = require('node:path')

const root = path.resolve(__dirname, '..')
const { name } = require(path.join(root, 'package.json'))

/** The oldest glibc a prebuild asks for: Debian 10, Ubuntu 20.04, RHEL 8. */
const glibc = '2.28'

/**
 * @typedef {{ platform: string, arch: string, libc?: 'glibc' | 'musl', file: string }} Prebuild
 * `file` is where node-gyp-build looks.
 */

/** @type {Prebuild[]} */
const prebuilds = [
  { platform: 'linux', arch: 'x64', libc: 'glibc' },
  { platform: 'linux', arch: 'x64', libc: 'musl' },
  { platform: 'linux', arch: 'arm64', libc: 'glibc' },
  { platform: 'linux', arch: 'arm64', libc: 'musl' },
  { platform: 'darwin', arch: 'x64' },
  { platform: 'darwin', arch: 'arm64' },
].map((one) => ({
  ...one,
  file: `prebuilds/${one.platform}-${one.arch}/${[name, one.libc, 'node'].filter(Boolean).join('.')}`,
}))

const musl = process.platform === 'linux' && !process.report.getReport().header.glibcVersionRuntime

/** The one for the machine at hand; undefined where none is promised. */
const ours = prebuilds.find(
  ({ platform, arch, libc }) =>
    platform === process.platform && arch === process.arch && (!libc || libc === (musl ? 'musl' : 'glibc')),
)

const machines = {
  'ELF 62': 'linux x64',
  'ELF 183': 'linux arm64',
  'Mach-O 7': 'darwin x64',
  'Mach-O 12': 'darwin arm64',
}

/** What is wrong with a file that should be this prebuild: not there, for another machine, in need of too much. */
function fault({ platform, arch, libc, file }, folder = root) {
  const place = path.join(folder, file)
  if (!fs.existsSync(place)) return 'is not there'
  const bytes = fs.readFileSync(place)
  if (bytes.length < 64) return 'is no addon'
  const elf = bytes.readUInt32BE(0) === 0x7f454c46
  const kind = elf ? `ELF ${bytes.readUInt16LE(18)}` : bytes.readUInt32LE(0) === 0xfeedfacf && `Mach-O ${bytes[4]}`
  if (machines[kind] !== `${platform} ${arch}`) return `is for ${machines[kind] ?? 'no known machine'}`
  const text = bytes.toString('latin1')
  if (!text.includes('napi_register_module_v1')) return 'is no Node addon'
  if (libc === 'glibc') {
    const newest = newestGlibc(text)
    if (isNewer(newest, glibc)) return `asks for glibc ${newest}; at most ${glibc} is promised`
  } else if (/GLIBC_2\.\d/.test(text)) return 'asks for glibc'
  return undefined
}

const isNewer = (a, b) => a.localeCompare(b, 'en', { numeric: true }) > 0

/** Of the versions of glibc that a file names, the newest. */
function newestGlibc(text) {
  const versions = [...text.matchAll(/GLIBC_(2\.\d+)/g)].map(([, version]) => version)
  return versions.reduce((newest, version) => (isNewer(version, newest) ? version : newest), '2.0')
}

module.exports = { fault, glibc, ours, prebuilds, root }
