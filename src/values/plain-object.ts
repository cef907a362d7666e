/** What an object literal is: only such objects are taken for options, filters, rows and JSON. */

/** True for object literals and their like; not for arrays, instances of classes, and what has a JSON of its own. */
export function isPlain(value: unknown): value is Record<string, unknown> {
  if (typeof value !== 'object' || value === null) return false
  const prototype: unknown = Object.getPrototypeOf(value)
  return (
    (prototype === Object.prototype || prototype === null) &&
    typeof (value as { toJSON?: unknown }).toJSON !== 'function'
  )
}
