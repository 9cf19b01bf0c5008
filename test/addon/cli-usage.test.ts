// What somebody is told who types nothing, or something else than was meant.
import { warp } from '../support/command.js'

test('no command at all shows three to begin with', async () => {
  const { code, stdout, stderr } = await warp([])
  expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
  expect(stderr.match(/^ +warp (demo|trace|recover)/gm)).toHaveLength(3)
})

test.each([
  [['recover', '--bsae', 'x'], "unknown option '--bsae' (Did you mean --base?)"],
  [['lab', 'plan', '--trails', '3'], "unknown option '--trails' (Did you mean --trials?)"],
  [['recover', '--base', 'x'], "required option '--reference <dir...>' not specified"],
])('%j is told a typo before what is missing', async (args, told) => {
  const { code, stderr } = await warp(args)
  expect({ code, first: stderr.split('\n')[0] }).toEqual({ code: 2, first: `warp: ${told} [USAGE]` })
})
