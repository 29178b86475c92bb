import { Registry } from 'prom-client'

export type MetricsRegistry = Registry

/** A registry of one service; nothing is shared between two in one process. */
export const createRegistry = (): MetricsRegistry => new Registry()
