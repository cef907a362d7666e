/** What a connection is made of once it has been opened. */
import type { Socket } from 'node:net'
import type postgres from 'postgres'
import type { ServerAddress } from '../address/server-address.ts'
import type { DriverSocket } from './driver-socket.ts'
import type { ServerMessages } from './server-messages.ts'
import type { ServerState } from './server-state.ts'

/** postgres.js, as we use it. */
export type Client = postgres.Sql<Record<string, never>>

/** Who answers: by its cancel key, and by when it started, unless a pooler has invented the pid. */
export interface Backend {
  readonly pid: number
  readonly secret: number
  readonly started: string | undefined
}

/** What a connection is made of. */
export interface ConnectionParts {
  readonly client: Client
  readonly socket: Socket
  readonly driverSocket: DriverSocket
  readonly messages: ServerMessages
  readonly address: ServerAddress
  readonly backend: Backend
  readonly server: ServerState
}
