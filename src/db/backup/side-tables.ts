// A store's tables once more in a schema beside it, filled there, and then swapped with those in use. All of it in one
// transaction: whatever happens before its commit, nothing has changed.

import type pg from 'pg'
import { quoteIdentifier } from '../sql.ts'
import { columnsOf, qualified, type StoreTable } from './store-tables.ts'

/** What a table has beside its columns, as statements that make it again. */
interface TableParts {
  name: string
  /** Primary keys and unique constraints, made before anybody sees the new table. */
  keys: string[]
  indexes: string[]
  /** Foreign keys and triggers name other objects, so they are made when all is in its place. */
  afterwards: string[]
}

/** Why these tables can't be swapped, in words, one line each: what would stay with the old ones. */
export async function unswappable(client: pg.Client, schema: string, tables: readonly string[]): Promise<string[]> {
  const { rows } = await client.query<{ what: string }>(
    `WITH ours AS (SELECT oid, relname FROM pg_class WHERE relnamespace = to_regnamespace($1) AND relname = ANY($2))
     SELECT DISTINCT format('%s %s reads %s', CASE v.relkind WHEN 'm' THEN 'the materialized view' ELSE 'the view' END,
         v.oid::regclass, ours.relname) AS what
       FROM ours JOIN pg_depend AS d ON d.refobjid = ours.oid AND d.classid = 'pg_rewrite'::regclass
         JOIN pg_rewrite AS r ON r.oid = d.objid JOIN pg_class AS v ON v.oid = r.ev_class AND v.oid <> ours.oid
     UNION ALL SELECT format('a foreign key of %s refers to %s', k.conrelid::regclass, ours.relname)
       FROM ours JOIN pg_constraint AS k ON k.confrelid = ours.oid AND k.contype = 'f' WHERE k.conrelid NOT IN (SELECT oid FROM ours)
     UNION ALL SELECT format('%s has the policy %s', ours.relname, p.polname) FROM ours JOIN pg_policy AS p ON p.polrelid = ours.oid
     UNION ALL SELECT format('%s has the rule %s', ours.relname, r.rulename) FROM ours JOIN pg_rewrite AS r ON r.ev_class = ours.oid
     UNION ALL SELECT format('%s is published by %s', ours.relname, p.pubname)
       FROM ours JOIN pg_publication_rel AS r ON r.prrelid = ours.oid JOIN pg_publication AS p ON p.oid = r.prpubid
     UNION ALL SELECT format('%s has rights on single columns', ours.relname) FROM ours
       WHERE EXISTS (SELECT FROM pg_attribute AS a WHERE a.attrelid = ours.oid AND a.attacl IS NOT NULL)
     UNION ALL SELECT format('%s is a part of %s', ours.relname, i.inhparent::regclass)
       FROM ours JOIN pg_inherits AS i ON i.inhrelid = ours.oid
     UNION ALL SELECT format('%s has the part %s', ours.relname, i.inhrelid::regclass)
       FROM ours JOIN pg_inherits AS i ON i.inhparent = ours.oid`,
    [quoteIdentifier(schema), tables],
  )
  return rows.map(({ what }) => what)
}

/** Makes the tables in a new schema, without rows, keys and indexes; annals_head with its row. */
export async function createSideTables(
  client: pg.Client,
  schema: string,
  side: string,
  tables: readonly string[],
): Promise<void> {
  await client.query(`CREATE SCHEMA ${quoteIdentifier(side)}`)
  for (const table of tables) {
    await client.query(
      `CREATE TABLE ${qualified(side, table)} (LIKE ${qualified(schema, table)} INCLUDING ALL EXCLUDING INDEXES)`,
    )
    const { rows } = await client.query<{ options: string | null; owner: string }>(
      `SELECT array_to_string(reloptions, ', ') AS options, quote_ident(pg_get_userbyid(relowner)) AS owner
       FROM pg_class WHERE oid = to_regclass($1)`,
      [qualified(schema, table)],
    )
    const { options, owner } = rows[0] as (typeof rows)[0]
    if (options !== null) await client.query(`ALTER TABLE ${qualified(side, table)} SET (${options})`)
    await client.query(`ALTER TABLE ${qualified(side, table)} OWNER TO ${owner}`)
  }
  if (!tables.includes('annals_head')) return
  await client.query(`INSERT INTO ${qualified(side, 'annals_head')} SELECT * FROM ${qualified(schema, 'annals_head')}`)
}

/** Reads what the tables in use have, to be made again by {@link indexSideTables} and {@link swapTables}. */
export async function readParts(client: pg.Client, schema: string, tables: readonly string[]): Promise<TableParts[]> {
  const parts: TableParts[] = []
  for (const name of tables) {
    const table = qualified(schema, name)
    const list = async (text: string) => (await client.query<{ sql: string }>(text, [table])).rows.map(({ sql }) => sql)
    // With no schema in the search path every name is qualified; with the store's own none of its names is.
    await client.query('SET LOCAL search_path = pg_catalog')
    const afterwards = [
      ...(await list(
        `SELECT format('ALTER TABLE %s ADD CONSTRAINT %I %s', conrelid::regclass, conname, pg_get_constraintdef(oid)) AS sql
         FROM pg_constraint WHERE conrelid = to_regclass($1) AND contype = 'f' ORDER BY conname`,
      )),
      ...(await list(
        `SELECT pg_get_triggerdef(oid) || CASE tgenabled WHEN 'O' THEN '' ELSE format('; ALTER TABLE %s %s TRIGGER %I', tgrelid::regclass,
             CASE tgenabled WHEN 'D' THEN 'DISABLE' WHEN 'A' THEN 'ENABLE ALWAYS' ELSE 'ENABLE REPLICA' END, tgname) END AS sql
         FROM pg_trigger WHERE tgrelid = to_regclass($1) AND NOT tgisinternal ORDER BY tgname`,
      )),
      ...(await list(
        `SELECT format('GRANT %s ON TABLE %s TO %s%s', a.privilege_type, c.oid::regclass,
             CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END,
             CASE WHEN a.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END) AS sql
         FROM pg_class AS c, LATERAL aclexplode(c.relacl) AS a WHERE c.oid = to_regclass($1)`,
      )),
    ]
    await client.query(`SET LOCAL search_path = ${quoteIdentifier(schema)}`)
    parts.push({
      name,
      keys: await list(
        `SELECT format('ADD CONSTRAINT %I %s', conname, pg_get_constraintdef(oid)) AS sql
         FROM pg_constraint WHERE conrelid = to_regclass($1) AND contype IN ('p', 'u', 'x') ORDER BY conname`,
      ),
      indexes: await list(
        `SELECT pg_get_indexdef(i.indexrelid, 0, true) AS sql FROM pg_index AS i
         WHERE i.indrelid = to_regclass($1) AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = i.indexrelid AND contype IN ('p', 'u', 'x'))
         ORDER BY i.indexrelid::regclass::text`,
      ),
      afterwards,
    })
    await client.query('SET LOCAL search_path TO DEFAULT')
  }
  return parts
}

/** Gives the tables beside their keys and indexes, under the names that they have in use. */
export async function indexSideTables(
  client: pg.Client,
  schema: string,
  side: string,
  parts: TableParts[],
): Promise<void> {
  // A function that an index calls is found in the store's schema; the tables are found beside it first.
  await client.query(`SET LOCAL search_path = ${quoteIdentifier(side)}, ${quoteIdentifier(schema)}`)
  for (const { name, keys, indexes } of parts) {
    for (const key of keys) await client.query(`ALTER TABLE ${qualified(side, name)} ${key}`)
    for (const index of indexes) await client.query(index)
  }
  await client.query('SET LOCAL search_path TO DEFAULT')
}

/** The tables in use go to `kept`, those beside take their place, with triggers, foreign keys and rights. */
export async function swapTables(
  client: pg.Client,
  schema: string,
  { side, kept, parts }: { side: string; kept: string; parts: TableParts[] },
): Promise<void> {
  await client.query(`CREATE SCHEMA ${quoteIdentifier(kept)}`)
  for (const { name } of parts) {
    await client.query(`ALTER TABLE ${qualified(schema, name)} SET SCHEMA ${quoteIdentifier(kept)}`)
    await client.query(`ALTER TABLE ${qualified(side, name)} SET SCHEMA ${quoteIdentifier(schema)}`)
  }
  for (const { afterwards } of parts) for (const statement of afterwards) await client.query(statement)
  await client.query(`DROP SCHEMA ${quoteIdentifier(side)} CASCADE`)
}

/** Copies the rows of tables in use as they are backed up: of consumers without their leases. */
export async function copyFromUse(
  client: pg.Client,
  schema: string,
  side: string,
  tables: readonly StoreTable[],
): Promise<void> {
  for (const table of tables) {
    const columns = await columnsOf((text, values) => client.query(text, values), schema, table)
    const list = columns.map(({ name }) => quoteIdentifier(name)).join(', ')
    await client.query(
      `INSERT INTO ${qualified(side, table.name)} (${list}) SELECT ${list} FROM ${qualified(schema, table.name)}`,
    )
  }
}
