import { addon } from './native/load.js'
import { callNative } from './native/task.js'
import type { Handle } from './native/types.js'

/**
 * Takes a file as a lock until it is closed or this process ends, however it does. The file stays.
 * @returns null when somebody else holds it
 * @throws WarpError (resource) FILE_NOT_LOCKABLE, DISK_FULL
 */
export const takeLock = (file: string): Handle | null => callNative(() => addon().lockFile(file))
