import { link, open, readFile, rename, rm, stat, utimes } from 'node:fs/promises'
import os from 'node:os'

const beatSeconds = 10
/** A lock from another machine that was not touched for so long belongs to nobody. */
const staleSeconds = 120

export interface Lock {
  release(): Promise<void>
}

/**
 * Takes a file as a lock that dies with its process: one of a process of this machine that is gone, or that nobody
 * touched for two minutes, is taken over.
 * @returns undefined when somebody else holds it
 */
export async function takeLock(file: string): Promise<Lock | undefined> {
  for (let attempt = 0; attempt < 3; attempt++) {
    try {
      const handle = await open(file, 'wx')
      await handle.writeFile(JSON.stringify({ host: os.hostname(), pid: process.pid }))
      await handle.close()
      const beat = setInterval(() => void utimes(file, new Date(), new Date()).catch(() => undefined), beatSeconds * 1000)
      beat.unref()
      return {
        release: async () => {
          clearInterval(beat)
          await rm(file, { force: true })
        },
      }
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    }
    const stale = await staleOwner(file)
    if (stale === undefined) return undefined
    await moveAside(file, stale)
  }
  return undefined
}

/** What a lock that belongs to nobody says; undefined for one that somebody holds. */
async function staleOwner(file: string): Promise<string | undefined> {
  try {
    const { mtimeMs } = await stat(file)
    const text = await readFile(file, 'utf8')
    const age = (Date.now() - mtimeMs) / 1000
    if (text === '') return age > beatSeconds ? text : undefined // its owner was killed between making and writing it
    const { host, pid } = JSON.parse(text) as { host: string; pid: number }
    return (host === os.hostname() ? !isAlive(pid) : age > staleSeconds) ? text : undefined
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ENOENT' ? '' : undefined
  }
}

/** Removes a stale lock; one that somebody took over in between is put back. */
async function moveAside(file: string, stale: string): Promise<void> {
  const aside = `${file}.${process.pid}.stale`
  try {
    await rename(file, aside)
    if (await readFile(aside, 'utf8') !== stale) await link(aside, file)
  } catch (error) {
    if (!['ENOENT', 'EEXIST'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error
  } finally {
    await rm(aside, { force: true })
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}
