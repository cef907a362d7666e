/** All benchmarks, in the order in which they are run. */
import type { Benchmark } from '../benchmark.ts'
import { http, httpStream } from './http.ts'
import { delay, partialLoad } from './network.ts'
import { manyTasks, pointRead } from './point-read.ts'
import { productPage } from './product-page.ts'
import { decoding, insertMany, listPage } from './rows.ts'
import { emptySessions, memory, waiting } from './sessions.ts'
import { start } from './start.ts'
import { stream } from './stream.ts'
import { identities, snapshots, transactions } from './transactions.ts'
import { watchedPages, watchedReads } from './watched.ts'

export const benchmarks: readonly Benchmark[] = [
  pointRead,
  manyTasks,
  productPage,
  waiting,
  emptySessions,
  transactions,
  snapshots,
  identities,
  listPage,
  decoding,
  insertMany,
  stream,
  delay,
  partialLoad,
  memory,
  http,
  httpStream,
  watchedReads,
  watchedPages,
  start,
]
