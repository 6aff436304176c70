/** The tables of the journal. `facts` is the truth; the others are read models, written in the same transaction. */
import type { DatabaseSync } from 'node:sqlite';

export const schemaVersion = 1;

const tables = `
create table facts (
  seq integer primary key autoincrement,
  ts integer not null,
  channel text,
  event text not null,
  client_order_id text,
  fact text not null,
  payload text not null
) strict;
create index facts_by_order on facts (client_order_id, seq) where client_order_id is not null;
create table orders (
  client_order_id text primary key,
  created_seq integer not null,
  updated_at integer not null,
  is_open integer not null,
  order_id integer,
  view text not null
) strict;
create index orders_by_age on orders (created_seq);
create index open_orders on orders (created_seq) where is_open = 1;
create table executions (
  family text primary key,
  seq integer not null,
  row text not null
) strict;
create index executions_by_age on executions (seq);
create table positions (
  account text not null,
  instrument text not null,
  row text not null,
  primary key (account, instrument)
) strict;
create table standing (
  name text primary key,
  value text not null
) strict;
`;

/** Makes the tables of an empty file, accepts those of this version, and refuses what it does not know. */
export function prepare(database: DatabaseSync, path: string): void {
  const version = Number(database.prepare('pragma user_version').get()?.user_version ?? 0);
  if (version === schemaVersion) return;
  if (version !== 0) {
    throw new Error(
      `JOURNAL_PATH: ${path} was written by another version of this program (schema ${version}, this one knows ${schemaVersion}); keep the file and use that version`,
    );
  }
  database.exec(`begin immediate; ${tables} pragma user_version = ${schemaVersion}; commit;`);
}
