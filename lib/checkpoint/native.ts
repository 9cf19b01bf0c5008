import { assertOpened } from './files.js'
import { addon } from '../native/load.js'
import { callNative } from '../native/task.js'
import type { GeneratedTensor, Handle } from '../native/types.js'
import type { ModelDirectory } from './model.js'

/**
 * Opens a model's tensors natively: files are opened, nothing is read. `generated` tensors (a base's missing head)
 * take the place of stored ones of the same name. Close the handle when done.
 * @throws WarpError (input) FILE_CHANGED when a file is not the one whose header was read
 */
export function nativeWeights(model: ModelDirectory, generated: readonly GeneratedTensor[] = []): Handle {
  const made = new Set(generated.map((tensor) => tensor.name))
  const stored = [...model.tensors.values()]
    .filter((tensor) => !made.has(tensor.name))
    .map(({ name, dtype, shape, file, offset, tail, delta }) => ({
      name,
      dtype,
      shape,
      file,
      offset,
      ...(tail && { tail }),
      ...(delta && { delta }),
    }))
  const handle = callNative(() =>
    addon().openWeights(
      model.files.map((file) => file.path),
      [...stored, ...generated],
    ),
  )
  try {
    assertOpened(model.files)
  } catch (error) {
    handle.close()
    throw error
  }
  return handle
}
