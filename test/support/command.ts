import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { repositoryRoot } from './shared.js'

export interface CommandRun {
  code: number | null
  stdout: string
  stderr: string
}

export interface CommandOptions {
  /** what stdin gives; without it stdin is empty */
  input?: string
  /** keeps stdin open after that */
  waiting?: boolean
  env?: Record<string, string>
  /** sends a signal once, as soon as stderr matches */
  kill?: { signal: NodeJS.Signals; when: RegExp }
}

const program = join(repositoryRoot, 'dist/bin/warp.js')

/** Runs the command line as a user would, in a process of its own, and waits for its end. */
export function warp(args: string[], { input, waiting = false, env, kill }: CommandOptions = {}): Promise<CommandRun> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [program, ...args], { env: { ...process.env, ...env } })
    const run: CommandRun = { code: null, stdout: '', stderr: '' }
    let killed = false
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      run.stdout += text
    })
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      run.stderr += text
      if (killed || !kill?.when.test(run.stderr)) return
      killed = true
      child.kill(kill.signal)
    })
    child.stdin.on('error', () => {}) // it may end before it has read everything
    if (input !== undefined) child.stdin.write(input)
    if (!waiting) child.stdin.end()
    child.on('error', reject)
    child.on('close', (code) => {
      child.stdin.destroy()
      resolve({ ...run, code })
    })
  })
}

export interface ErrorDocument {
  error: { code: string; message: string; details: Record<string, unknown>; hint: string }
}
