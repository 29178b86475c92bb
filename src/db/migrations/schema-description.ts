// What a schema holds, as one line per object, and how it differs from what it should hold.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { RunQuery } from '../run-query.ts'
import { quoteIdentifier } from '../sql.ts'

/** Object (`index idx_events_type`) to its definition. The schema's own name is left out, so two stores can be compared. */
export type SchemaDescription = Record<string, string>

/** An object that is not as the migrations made it. */
export interface SchemaDifference {
  object: string
  problem: 'missing' | 'different'
  expected: string
  /** Null when it is missing. */
  found: string | null
}

/** File with the description of a freshly migrated schema, beside the migrations. */
const SCHEMA_FILE = 'schema.json'

/** The description that belongs to the migrations of a folder. */
export const readExpectedSchema = (folder: string): SchemaDescription =>
  JSON.parse(readFileSync(join(folder, SCHEMA_FILE), 'utf8'))

/** Describes tables, columns, constraints, indexes, triggers and functions of a schema. */
export async function describeSchema(query: RunQuery, schema: string): Promise<SchemaDescription> {
  const { rows } = await query(OBJECTS, [quoteIdentifier(schema)])
  const description: SchemaDescription = {}
  for (const { object, definition, quoted } of rows as { object: string; definition: string; quoted: string }[]) {
    const qualifier = `${quoted}.`
    description[object.replaceAll(qualifier, '')] = definition
      .replaceAll(qualifier, '')
      .replace(`search_path=${quoted}, pg_temp`, 'search_path=<schema>, pg_temp')
  }
  return description
}

/** Every expected object that is not there or not the same; objects that are there besides are nobody's business. */
export function compareSchemas(expected: SchemaDescription, found: SchemaDescription): SchemaDifference[] {
  return Object.entries(expected).flatMap(([object, definition]): SchemaDifference[] => {
    const actual = found[object]
    if (actual === definition) return []
    if (actual === undefined) return [{ object, problem: 'missing', expected: definition, found: null }]
    return [{ object, problem: 'different', expected: definition, found: actual }]
  })
}

// Primary keys go by what they say, since an adopted table may have named its own. NOT NULL is told by the column:
// from PostgreSQL 18 on it is a constraint as well.
const OBJECTS = `
  WITH store AS (SELECT to_regnamespace($1)::oid AS oid)
  SELECT object, definition, quote_ident(n.nspname) AS quoted
  FROM store JOIN pg_namespace AS n USING (oid), LATERAL (
    SELECT 'table ' || c.relname, CASE c.relkind::text || c.relpersistence::text WHEN 'rp' THEN 'table' WHEN 'ru' THEN 'unlogged table'
          ELSE 'of kind ' || c.relkind::text END
      FROM pg_class AS c WHERE c.relnamespace = store.oid AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
    UNION ALL
    SELECT 'column ' || c.relname || '.' || a.attname,
        concat_ws(' ', format_type(a.atttypid, a.atttypmod),
          (SELECT 'COLLATE ' || quote_ident(l.collname) FROM pg_collation AS l
            WHERE l.oid = a.attcollation AND a.attcollation <> t.typcollation),
          CASE WHEN a.attnotnull THEN 'NOT NULL' END,
          'DEFAULT ' || pg_get_expr(d.adbin, d.adrelid))
      FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
        JOIN pg_type AS t ON t.oid = a.atttypid
        LEFT JOIN pg_attrdef AS d ON d.adrelid = c.oid AND d.adnum = a.attnum
      WHERE c.relnamespace = store.oid AND c.relkind = 'r'
    UNION ALL
    SELECT 'constraint ' || c.relname || ' ' || pg_get_constraintdef(k.oid), CASE WHEN k.convalidated THEN 'valid' ELSE 'not valid' END
      FROM pg_class AS c JOIN pg_constraint AS k ON k.conrelid = c.oid
      WHERE c.relnamespace = store.oid AND k.contype IN ('p', 'u', 'c', 'f')
    UNION ALL
    SELECT 'index ' || c.relname, pg_get_indexdef(c.oid) || CASE WHEN i.indisvalid THEN '' ELSE ' (invalid)' END
      FROM pg_class AS c JOIN pg_index AS i ON i.indexrelid = c.oid
      WHERE c.relnamespace = store.oid AND NOT i.indisprimary
    UNION ALL
    SELECT 'trigger ' || c.relname || '.' || g.tgname,
        pg_get_triggerdef(g.oid) || CASE g.tgenabled WHEN 'O' THEN '' ELSE ' (enabled: ' || g.tgenabled::text || ')' END
      FROM pg_class AS c JOIN pg_trigger AS g ON g.tgrelid = c.oid
      WHERE c.relnamespace = store.oid AND NOT g.tgisinternal
    UNION ALL
    SELECT 'function ' || p.proname || '(' || pg_get_function_identity_arguments(p.oid) || ')',
        concat_ws(' ', 'returns', pg_get_function_result(p.oid), 'language', l.lanname,
          CASE WHEN p.prosecdef THEN 'security definer' END,
          'set ' || array_to_string(p.proconfig, ', '), 'body', md5(p.prosrc))
      FROM pg_proc AS p JOIN pg_language AS l ON l.oid = p.prolang
      WHERE p.pronamespace = store.oid
  ) AS described (object, definition)
  ORDER BY object COLLATE "C"`
