/**
 * The one place that names the schema, the folder of migrations and the database's URL, for drizzle-kit and for the
 * `rivulet` command. Without DATABASE_URL there are no credentials here: the embedded server is used.
 */
import { defineConfig } from 'drizzle-kit'

const url = process.env.DATABASE_URL

export default defineConfig({
  dialect: 'postgresql',
  schema: './schema/index.ts',
  out: './migrations',
  ...(url ? { dbCredentials: { url } } : {}),
})
