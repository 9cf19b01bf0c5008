import path from 'node:path'
import { WarpError } from '../errors.js'
import type { Addon } from './types.js'

let loaded: Addon | undefined
const root = path.resolve(__dirname, '../../..')

/** The addon: a prebuild, or what `npm run build:native` made. Loaded on first use. */
export function addon(): Addon {
  if (loaded) return loaded
  try {
    // eslint-disable-next-line @typescript-eslint/no-require-imports
    loaded = require('node-gyp-build')(root) as Addon
  } catch (cause) {
    // eslint-disable-next-line @typescript-eslint/no-require-imports
    const { tools, sources } = require(path.join(root, 'scripts/build-tools.cjs')) as Record<string, string[]>
    throw new WarpError(
      'internal',
      'ADDON_MISSING',
      `the native addon could not be loaded: ${(cause as Error).message}`,
      { platform: `${process.platform}-${process.arch}`, expected: tools },
      `npm rebuild warp-recover builds it (in a clone: npm run build); that takes ${tools.join(', ')}. ` +
        `${sources.join('. ')}.`,
      { cause },
    )
  }
  return loaded
}

/** The file that `addon` loads, from the package's folder. */
export function addonFile(): string {
  // eslint-disable-next-line @typescript-eslint/no-require-imports
  return path.relative(root, require('node-gyp-build').path(root) as string).replaceAll(path.sep, '/')
}
