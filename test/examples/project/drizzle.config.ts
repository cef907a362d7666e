/** Where drizzle-kit and the `rivulet` command find the schema and the migrations. */
import { defineConfig } from 'drizzle-kit'

export default defineConfig({ dialect: 'postgresql', schema: './schema.ts', out: './migrations' })
