// Backups by pg_dump, one driver for each thing that can be taken of a database.

import type { BackupDriver } from '../driver.ts'
import { checkDumpOptions, type DumpType, heldBy } from './dump-plan.ts'
import { readDump } from './read-dump.ts'
import { restoreDump } from './restore-dump.ts'
import { writeDump } from './write-dump.ts'

const NEEDS = ['pg_dump, pg_restore and psql, at least as new as the server']

const dumpDriver = (type: DumpType, about: Omit<BackupDriver['about'], 'needs'>): BackupDriver => ({
  type,
  about: { ...about, needs: NEEDS },
  isIncremental: false,
  takes: type === 'tables' ? ['format', 'gzip', 'tables'] : ['format', 'gzip'],
  checkOptions: (options) => checkDumpOptions(type, options),
  create: (request) => writeDump(type, request),
  read: readDump,
  restore: (request) => restoreDump(type, request),
  holds: heldBy(type),
})

export const DUMP_DRIVERS: readonly BackupDriver[] = [
  dumpDriver('full', {
    summary: 'the whole database by pg_dump: every schema, with definitions, rows and what belongs to others',
    advantages: ['the format that every PostgreSQL tool knows', 'takes along tables that are not of Annals'],
    disadvantages: ['always whole', 'restored by one connection, so slow for large databases', 'no roles: see globals'],
  }),
  dumpDriver('events', {
    summary: 'the events by pg_dump, with the definitions of the whole store',
    advantages: ['small', 'is a working store again, with every key, index and trigger'],
    disadvantages: ['snapshots and consumers have to be made again', 'always whole'],
  }),
  dumpDriver('events-snapshots', {
    summary: 'events and snapshots by pg_dump, with the definitions of the whole store',
    advantages: ['is a working store again, without the books of consumers and backups'],
    disadvantages: ['consumers have to be made again', 'always whole'],
  }),
  dumpDriver('schema', {
    summary: 'definitions without rows, of the whole database, by pg_dump',
    advantages: ['shows what a database looked like'],
    disadvantages: ['holds no events'],
  }),
  dumpDriver('data', {
    summary: 'rows of the store without definitions, by pg_dump; goes into a store that is migrated first',
    advantages: ['goes into a schema that a newer Annals made'],
    disadvantages: ['nothing but the tables of Annals', 'always whole'],
  }),
  dumpDriver('tables', {
    summary: 'single tables of the store’s schema by pg_dump, with the functions that they need',
    advantages: ['takes what is asked for'],
    disadvantages: ['no store by itself', 'a table that others refer to needs them too'],
  }),
]
