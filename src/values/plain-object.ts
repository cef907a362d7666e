/** Tells object literals from other objects. Only literals are taken for options, filters, rows and JSON. */

/** True for object literals; false for arrays, for instances of classes and for objects with a toJSON method. */
export function isPlain(value: unknown): value is Record<string, unknown> {
  if (typeof value !== 'object' || value === null) return false
  const prototype: unknown = Object.getPrototypeOf(value)
  return (
    (prototype === Object.prototype || prototype === null) &&
    typeof (value as { toJSON?: unknown }).toJSON !== 'function'
  )
}
