/** `rivulet/opentelemetry`: spans and metrics of an engine, through `@opentelemetry/api`. */
export { openTelemetry, type OpenTelemetryOptions } from './open-telemetry.ts'
