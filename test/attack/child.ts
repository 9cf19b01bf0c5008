import { spawn, type ChildProcess } from 'node:child_process'
import { createInterface, type Interface } from 'node:readline'

/** A process that answers lines with lines, and is replaced when it dies or does not answer. */
export class LineServer {
  #child: ChildProcess | undefined
  #lines: AsyncIterator<string> | undefined
  #reader: Interface | undefined
  #complaint = ''

  constructor(
    readonly command: string,
    readonly args: string[],
    readonly seconds: number,
  ) {}

  /** @returns the answer, or what became of the process */
  async ask(line: string): Promise<{ answer: string } | { died: string }> {
    this.#child ?? this.#start()
    this.#complaint = ''
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<'late'>((resolve) => {
      timer = setTimeout(() => resolve('late'), this.seconds * 1000)
    })
    this.#child!.stdin!.write(`${line}\n`)
    const next = await Promise.race([this.#lines!.next(), late])
    clearTimeout(timer)
    if (next !== 'late' && !next.done) return { answer: next.value }
    const child = this.#child!
    const ended = next === 'late' ? `no answer within ${this.seconds} s` : await exitOf(child)
    await this.close()
    return { died: `${ended} ${this.#complaint.slice(-2000)}`.trim() }
  }

  #start(): void {
    const child = spawn(this.command, this.args, { stdio: ['pipe', 'pipe', 'pipe'] })
    child.stdin!.on('error', () => {}) // told by its end
    child.stderr!.setEncoding('utf8').on('data', (text: string) => {
      this.#complaint += text
    })
    this.#child = child
    this.#reader = createInterface({ input: child.stdout! })
    this.#lines = this.#reader[Symbol.asyncIterator]()
  }

  async close(): Promise<void> {
    const child = this.#child
    this.#reader?.close()
    this.#child = undefined
    if (!child || child.exitCode !== null || child.signalCode !== null) return
    const over = new Promise((resolve) => child.once('exit', resolve))
    child.kill('SIGKILL')
    await over
  }
}

async function exitOf(child: ChildProcess): Promise<string> {
  if (child.exitCode === null && child.signalCode === null) await new Promise((resolve) => child.once('exit', resolve))
  return `ended with ${child.signalCode ?? `exit ${child.exitCode}`}`
}
