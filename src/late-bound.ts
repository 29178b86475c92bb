/**
 * Stands in for something that comes later, so that what uses it can be put together before. Until `bind` every
 * access throws what `absent` makes; afterwards it is the thing itself.
 */
export function lateBound<T extends object>(absent: () => Error): { value: T; bind(target: T): void } {
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
