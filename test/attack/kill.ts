import { rmSync } from 'node:fs'
import { join } from 'node:path'
import type { Random } from '../../lib/random.js'
import { below, one, type Attack } from './attack.js'
import { contents, difference, place, runCommand, writingCommands, type WritingCommand } from './commands.js'

interface Known {
  contents: Map<string, Buffer>
  milliseconds: number
}

/** Commands that are killed, or interrupted, at any time, perhaps again and again, then repeated: the same bytes. */
export class Kill implements Attack {
  readonly name = 'killed commands'
  readonly share = 0.25
  readonly #commands = writingCommands().commands
  readonly #known = new Map<string, Known>()

  async step(random: Random): Promise<string | undefined> {
    const command = one(random, this.#commands)
    const known = await this.#undisturbed(command)
    if (typeof known === 'string') return known
    const output = join(place(), 'out')
    let history = ''
    for (let left = 1 + below(random, 3); left > 0; left--) {
      const signal = one(random, ['SIGKILL', 'SIGKILL', 'SIGINT', 'SIGTERM'] as const)
      // most of the time is the start of the process
      const after = Math.round(known.milliseconds * (0.3 + 0.8 * random.uniform()))
      const end = await runCommand(command.args(output), { kill: { after, signal } })
      history += ` ${signal} after ${after} ms: ${end.signal ?? `exit ${end.code}`};`
      if (end.late) return `${command.name}:${history} it never ended`
      if (end.code === 0 || end.stderr.includes('OUTPUT_EXISTS')) break
      if (end.code !== null && ![130, 143].includes(end.code))
        return `${command.name}:${history} ${end.stderr.slice(-500)}`
      const wrong = halfWritten(contents(output), known.contents, command)
      if (wrong) return `${command.name}:${history} ${wrong}`
    }
    const last = await runCommand(command.args(output))
    const finished = last.code === 0 || last.stderr.includes('OUTPUT_EXISTS')
    if (!finished)
      return `${command.name}:${history} then ${last.signal ?? `exit ${last.code}`}: ${last.stderr.slice(-500)}`
    const wrong = difference(contents(output), known.contents, command.varies)
    rmSync(join(output, '..'), { recursive: true, force: true })
    return wrong && `${command.name}:${history} then ${wrong}`
  }

  async #undisturbed(command: WritingCommand): Promise<Known | string> {
    const known = this.#known.get(command.name)
    if (known) return known
    const output = join(place(), 'out')
    const started = performance.now()
    const end = await runCommand(command.args(output))
    if (end.code !== 0) return `${command.name}, undisturbed: ${end.stderr.slice(-500)}`
    const fresh = { contents: contents(output), milliseconds: performance.now() - started }
    this.#known.set(command.name, fresh)
    rmSync(join(output, '..'), { recursive: true, force: true })
    return fresh
  }
}

/** Names that stand for whole files and hold something else; a run's own state and journal are not of the result. */
function halfWritten(
  found: Map<string, Buffer>,
  whole: Map<string, Buffer>,
  { varies }: WritingCommand,
): string | undefined {
  for (const [name, bytes] of found) {
    const expected = whole.get(name)
    if (expected && !varies.test(name) && !bytes.equals(expected)) return `${name} is half-written`
    if (varies.test(name) && name.endsWith('.json')) {
      try {
        JSON.parse(String(bytes))
      } catch {
        return `${name} is half-written`
      }
    }
  }
}
