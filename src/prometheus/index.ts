/** `rivulet/prometheus`: metrics of engines in the format that Prometheus reads. */
export { createPrometheus, type Prometheus, type PrometheusOptions } from './prometheus.ts'
