// Steps of training on AG News texts with MiniLM-L6, batches of 32, against PyTorch doing the same
// (peers/finetune.py of the shared folder): seconds of training alone, and the peak memory of both processes.
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { median, models, need, python, root, round, run, shared } from '../common.mjs'

export default async function ({ rounds, texts = '640', threads = '2' }) {
  const peer = path.join(shared, 'peers/finetune.py')
  const [base, data] = [path.join(models, 'minilm-l6'), path.join(shared, 'data/ag_news_test.csv')]
  need(peer, base, data, path.join(root, 'dist/bin/warp.js'))
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'warp-bench-'))
  const reading = ['--columns', 'label,title,description', '--text', 'title,description', '--label-map', '1=World,2=Sports,3=Business,4=SciTech']
  const measured = (command, args, env) => {
    // GNU time's last line: the largest resident set, in KiB
    const { stdout, stderr } = run('/usr/bin/time', ['-f', '%M', command, ...args], env)
    return { stdout, stderr, bytes: 1024 * Number(stderr.trim().split('\n').at(-1)) }
  }
  const ours = () => {
    const args = [path.join(root, 'dist/bin/warp.js'), 'train', '--base', base, '--data', data, ...reading, '--limit', texts, '--epochs', '1',
      '--learning-rate', '1e-4', '--threads', threads, '-o', path.join(folder, 'ours'), '--force', '--json', '-q']
    const { stdout, bytes } = measured(process.execPath, args)
    const { seconds, steps } = JSON.parse(stdout)
    return { perStep: seconds / steps, bytes }
  }
  const torch = () => {
    const args = [peer, '--base', base, '--data', data, ...reading, '--mixture', 'World=.25,Sports=.25,Business=.25,SciTech=.25', '--texts', texts,
      '--epochs', '1', '--lr', '1e-4', '--threads', threads, '--out', path.join(folder, 'torch')]
    const { stderr, bytes } = measured(python, args, { OMP_NUM_THREADS: threads, MKL_NUM_THREADS: threads })
    const seconds = Number(/epoch 1 loss \S+ (\d+) s/.exec(stderr)[1])
    return { perStep: seconds / Math.ceil(Number(texts) / 32), bytes }
  }
  const seen = { ours: [], torch: [] }
  for (let i = 0; i < rounds; i++) {
    seen.ours.push(ours())
    seen.torch.push(torch())
  }
  fs.rmSync(folder, { recursive: true })
  const of = (name, key) => median(seen[name].map((one) => one[key]))
  return {
    texts: Number(texts), threads: Number(threads), dropout: 'both at the rates of the configuration',
    secondsPerStep: { warp: round(of('ours', 'perStep')), torch: round(of('torch', 'perStep')) },
    peakBytes: { warp: of('ours', 'bytes'), torch: of('torch', 'bytes') },
    ratios: { speed: round(median(seen.ours.map((one, i) => seen.torch[i].perStep / one.perStep))), memory: round(of('torch', 'bytes') / of('ours', 'bytes')) },
  }
}
