/** What wrapper classes put before the names of all tensors: data parallel, compiled, adapted, sharded models. */
const before = ['module.', '_orig_mod.', 'base_model.model.', '_forward_module.', '_fsdp_wrapped_module.']
/** The same where a wrapper stands around a part of the model. */
const within = /(^|\.)(_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\./g

export interface Unwrapped {
  /** stored name → name without wrappers */
  names: Map<string, string>
  /** what was left out, in words; undefined when nothing was */
  note?: string
}

/**
 * Names as the class inside the wrappers has them. Nothing is left out where two tensors would get one name, or where a
 * prefix is not common to all.
 */
export function unwrap(stored: readonly string[]): Unwrapped {
  let names = stored.map((name) => name.replaceAll(within, '$1'))
  const dropped = new Set(stored.flatMap((name) => [...name.matchAll(within)].map(([, , part]) => `${part}.`)))
  for (;;) {
    const prefix = before.find(
      (p) => names.length > 0 && names.every((name) => name.startsWith(p) && name.length > p.length),
    )
    if (prefix === undefined) break
    dropped.add(prefix)
    names = names.map((name) => name.slice(prefix.length))
  }
  if (dropped.size === 0 || new Set(names).size < stored.length)
    return { names: new Map(stored.map((name) => [name, name])) }
  return {
    names: new Map(stored.map((name, i) => [name, names[i]!])),
    note: `the names of its tensors have ${[...dropped].join(', ')} from a wrapper, which was left out`,
  }
}
