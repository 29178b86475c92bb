/**
 * Stands in for something that comes later, so that what uses it can be put together before. Until `bind` every
 * access throws what `absent` makes; afterwards it is the thing itself.
 */
function lateBound<T extends object>(absent: () => Error): { value: T; bind(target: T): void } {
  let target: T | undefined
  const methods = new Map<PropertyKey, unknown>()
  const value = new Proxy({} as T, {
    get(_, name) {
      const known = methods.get(name)
      if (known !== undefined) return known
      if (target === undefined) throw absent()
      const member = Reflect.get(target, name, target) as unknown
      if (typeof member !== 'function') return member
      // Bound, because private fields are not reached through a proxy; kept, because it is asked for per request.
      const method = (member as (...parameters: unknown[]) => unknown).bind(target)
      methods.set(name, method)
      return method
    },
  })
  return {
    value,
    bind(bound) {
      target = bound
    },
  }
}

/** The same for several that come at once, by their names. */
export function lateBoundParts<T extends { [Name in keyof T]: object }>(
  names: readonly (keyof T)[],
  absent: () => Error,
): { values: T; bind(targets: T): void } {
  const parts = names.map((name) => ({ name, ...lateBound<T[keyof T]>(absent) }))
  return {
    values: Object.fromEntries(parts.map(({ name, value }) => [name, value])) as unknown as T,
    bind(targets) {
      for (const { name, bind } of parts) bind(targets[name])
    },
  }
}
