import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { resourceError } from '../errors.js'
import { makeFolders } from '../folders.js'
import { died, taskCommand, taskEnvironment, type Executor, type ExecutorRun, type TaskEnd } from './executor.js'

/**
 * One Slurm job array: a task of the lab is the array's task of the same index, on a node that sees the lab, the base,
 * the data and this package under the same names. A task whose node fails is queued again by Slurm. Partition, account,
 * time and memory are what sbatch takes from the environment: SBATCH_PARTITION, SBATCH_ACCOUNT, SBATCH_TIMELIMIT,
 * SBATCH_MEM_PER_NODE. Output of the tasks: `slurm/JOB_INDEX.out` in the lab's folder.
 */
export class SlurmExecutor implements Executor {
  readonly name = 'slurm'
  /** @param most tasks at a time; default: what the cluster gives */
  constructor(
    readonly most?: number,
    readonly pollSeconds = 5,
  ) {}

  async run(run: ExecutorRun): Promise<void> {
    if (run.tasks.length === 0) return
    const logs = path.resolve(run.lab, 'slurm')
    await makeFolders(logs)
    const job = await this.#submit(run, logs)
    const open = new Set(run.tasks)
    while (open.size > 0) {
      await sleep(this.pollSeconds * 1000, undefined, { signal: run.signal }).catch(() => undefined)
      if (run.signal?.aborted) return void (await call('scancel', [job]))
      const queued = await queuedTasks(job)
      if (!queued) continue // the controller does not answer now
      for (const index of [...open].filter((task) => !queued.has(task))) {
        open.delete(index)
        run.onEnd(await endOf(index, path.join(logs, `${job}_${index}.out`)))
      }
    }
  }

  /** @returns the job's id */
  async #submit(run: ExecutorRun, logs: string): Promise<string> {
    const index = '"$SLURM_ARRAY_TASK_ID"'
    const command = taskCommand(run, index).map((word) =>
      word === index ? word : `'${word.replaceAll("'", "'\\''")}'`,
    )
    const array = `${run.tasks.join(',')}${this.most === undefined ? '' : `%${this.most}`}`
    const { code, stdout, stderr } = await call(
      'sbatch',
      [
        '--parsable',
        `--job-name=warp-${path.basename(run.worker ?? 'lab', '.js')}`,
        `--array=${array}`,
        '--requeue',
        '--nodes=1',
        '--ntasks=1',
        `--cpus-per-task=${run.threads}`,
        `--output=${path.join(logs, '%A_%a.out')}`,
        '--open-mode=append',
        `--wrap=exec ${command.join(' ')}`,
      ],
      taskEnvironment(run),
    )
    if (code === 0) return stdout.trim().split(';')[0]
    throw resourceError(
      'SLURM_REFUSED',
      `sbatch: ${stderr.trim() || `exit ${code}`}`,
      { found: stderr.trim() },
      'set what your cluster asks for: SBATCH_PARTITION, SBATCH_ACCOUNT, SBATCH_TIMELIMIT, …',
    )
  }
}

/** Tasks of an array that wait or run; undefined when the controller does not say. */
async function queuedTasks(job: string): Promise<Set<number> | undefined> {
  const { code, stdout, stderr } = await call('squeue', ['--noheader', '--array', '--format=%K %r', `--jobs=${job}`])
  if (code !== 0) return /invalid job id/i.test(stderr) ? new Set() : undefined // it forgets jobs that are over
  const tasks = [...stdout.matchAll(/^\s*(\d+) (.*)$/gm)].map(([, index, reason]) => [index, reason])
  // Slurm holds what a node failed to start until somebody releases it: as good as dead
  const held = tasks.filter(([, reason]) => /requeued.held/i.test(reason)).map(([index]) => index)
  if (held.length > 0)
    await call(
      'scancel',
      held.map((index) => `${job}_${index}`),
    )
  return new Set(tasks.filter(([index]) => !held.includes(index)).map(([index]) => Number(index)))
}

/** What a task's last words say. */
async function endOf(index: number, log: string): Promise<TaskEnd> {
  const lines = (await readFile(log, 'utf8').catch(() => '')).trim().split('\n')
  const last = lines.at(-1)!
  try {
    const { error } = JSON.parse(last) as Pick<TaskEnd, 'error'>
    return { index, error }
  } catch {
    return died(index, `${log} ends with ${JSON.stringify(last.slice(-500))}`)
  }
}

/** @throws SLURM_MISSING */
function call(
  command: string,
  args: string[],
  env = process.env,
): Promise<{ code: number; stdout: string; stderr: string }> {
  return new Promise((resolve, reject) => {
    execFile(command, args, { env, maxBuffer: 1 << 26 }, (error, stdout, stderr) => {
      if ((error as NodeJS.ErrnoException | null)?.code === 'ENOENT') {
        reject(
          resourceError(
            'SLURM_MISSING',
            `there is no ${command} on this machine`,
            { expected: command },
            'run this where jobs are submitted to Slurm, or leave out --executor',
          ),
        )
      } else resolve({ code: error ? Number(error.code) || 1 : 0, stdout, stderr })
    })
  })
}
