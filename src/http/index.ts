/** `rivulet/http`: the front between HTTP requests and an engine. */
export { type App, type AppOptions, createApp, type Environment, taskOptions } from './app.ts'
export { addHealth, type HealthOptions } from './health.ts'
export { integerKey, readJson } from './input.ts'
export { encodeJson, type Json, jsonResponse } from './json.ts'
export { Problem, type ProblemIssue, problemOf, type ProblemOptions, problemResponse } from './problem.ts'
export { type HttpServer, type HttpServerOptions, openHttpServer } from './server.ts'
export { serverTiming } from './server-timing.ts'
