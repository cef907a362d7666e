/**
 * Validators of rows and answers, and the conditions that requests put on them (RFC 9110, 13). A row's validator is a digest
 * of what a client sees of it, with its version where the table keeps one: the digest alone would not tell of what is hidden
 * from clients, nor the version alone of a row that is made again under its key, whose versions begin anew. So a client
 * that says what it has seen overwrites nothing that it has not. Strong validators throughout: equal tags are equal answers.
 */
import { hash } from 'node:crypto'
import type { Context } from 'hono'
import { encodeJson } from '../answer/json.ts'
import { Problem } from '../answer/problem.ts'
import type { PlannedResource } from '../resource/resource.ts'
import { versionOf } from '../resource/resource-read.ts'

/** The validator of a row as it is answered without any parameter. */
export function rowTag(resource: PlannedResource, row: Readonly<Record<string, unknown>>): string {
  return answerTag(encodeJson(row), versionOf(resource, row))
}

/** The validator of an answer, and of the version of the row that it is, if it has one. */
export function answerTag(body: string, version?: string): string {
  const digest = hash('sha1', body, 'base64url')
  return version === undefined ? `"${digest}"` : `"${version}-${digest}"`
}

/** Whether the client has this answer already. `*` is true of any. @throws Problem 400 */
export function isKnown(context: Context, tag: string): boolean {
  const given = tagsOf(context, 'if-none-match')
  // Compared weakly: for a cache what is as good as this is this.
  return given !== undefined && (given === '*' || given.some((each) => each.replace(/^W\//, '') === tag))
}

/** Whether a request to change a row makes conditions. @throws Problem 428 where it must and does not */
export function isConditional({ req }: Context, { requireMatch }: PlannedResource): boolean {
  const unseen = req.header('if-none-match')
  // `*` is for rows that are not there: no client can have seen them.
  if (req.header('if-match') !== undefined || unseen === '*') return true
  if (!requireMatch) return unseen !== undefined
  const detail = 'a row of this resource is changed under if-match only: read it, and send its etag along'
  throw fault(428, 'precondition_required', 'if-match', detail)
}

/** Holds a change to its conditions; `tag` is the row's, undefined where there is none. @throws Problem 400, 412 */
export function checkConditions(context: Context, tag: string | undefined): void {
  checkMatch(context, tag)
  if (tag !== undefined && isKnown(context, tag))
    throw fault(412, 'precondition_failed', 'if-none-match', 'the row is there already')
}

/** Holds a read, or a change, to `If-Match`. @throws Problem 400, 412 */
export function checkMatch(context: Context, tag: string | undefined): void {
  const wanted = tagsOf(context, 'if-match')
  if (wanted === undefined || (tag !== undefined && (wanted === '*' || wanted.includes(tag)))) return
  throw fault(412, 'precondition_failed', 'if-match', 'the row is not what you have seen: read it again')
}

/** What adds rows has no state that a client can have seen. @throws Problem 400 */
export function refuseConditions({ req }: Context): void {
  const header = ['if-match', 'if-none-match'].find((name) => req.header(name) !== undefined)
  if (header !== undefined)
    throw fault(400, 'invalid_header', header, `${header} is a condition on a row: send it to the path of the row`)
}

function fault(status: number, code: string, header: string, detail: string): Problem {
  return new Problem({ status, code, detail, errors: [{ header, detail }] })
}

const tagList = /^(?:W\/)?"[\x21\x23-\x7e\x80-\xff]*"(?:\s*,\s*(?:W\/)?"[\x21\x23-\x7e\x80-\xff]*")*$/

function tagsOf({ req }: Context, header: 'if-match' | 'if-none-match'): readonly string[] | '*' | undefined {
  const given = req.header(header)?.trim()
  if (given === undefined || given === '*') return given as '*' | undefined
  if (tagList.test(given)) return given.match(/(?:W\/)?"[^"]*"/g) ?? []
  throw fault(400, 'invalid_header', header, `${header} must be * or a list of entity tags such as "1-a5F"`)
}
