// The fixtures' modules clean up after a test file; an attack does so at its end.
const cleanups: (() => unknown)[] = []

Object.assign(globalThis, { afterAll: (cleanup: () => unknown) => void cleanups.push(cleanup) })

export async function cleanUp(): Promise<void> {
  for (const cleanup of cleanups) await cleanup()
}
