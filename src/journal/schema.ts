/**
 * The tables of the journal. `facts` is the truth: numbered without holes, each with a checksum. `heads` says for each
 * thing that facts are about where its newest fact is; it is written in the same transaction and can be made again.
 */
import { randomInt } from 'node:crypto';
import type { DatabaseSync } from 'node:sqlite';

export const schemaVersion = 2;

const tables = `
create table facts (
  seq integer primary key,
  ts integer not null,
  channel text,
  event text not null,
  kind text,
  name text,
  fact text not null,
  payload text not null,
  checksum integer not null
) strict;
create index facts_by_name on facts (kind, name, seq) where kind is not null;
create table heads (
  kind text not null,
  name text not null,
  first_seq integer not null,
  seq integer not null,
  at integer not null,
  is_open integer not null,
  order_id integer,
  primary key (kind, name)
) strict, without rowid;
create index heads_by_age on heads (kind, first_seq);
create index open_orders on heads (first_seq) where kind = 'order' and is_open = 1;
create index closed_orders on heads (at) where kind = 'order' and is_open = 0;
create index order_ids on heads (order_id) where order_id is not null;
`;

/** Makes the tables of an empty file, accepts those of this version, and refuses what it does not know. */
export function prepare(database: DatabaseSync, path: string): void {
  const version = Number(database.prepare('pragma user_version').get()?.user_version ?? 0);
  if (version === schemaVersion) {
    // Written before there were epochs.
    if (!hasEpoch(database)) renewEpoch(database);
    return;
  }
  if (version !== 0) {
    throw new Error(
      `JOURNAL_PATH: ${path} was written by another version of this program (schema ${version}, this one knows ${schemaVersion}); keep the file and use that version, or begin with another JOURNAL_PATH`,
    );
  }
  database.exec(`begin immediate; ${tables} pragma user_version = ${schemaVersion}; commit;`);
  renewEpoch(database);
}

/** The epoch stands in the header of the file, in the number that SQLite leaves to applications. */
const idOf = (database: DatabaseSync): number =>
  Number(database.prepare('pragma application_id').get()?.application_id ?? 0);

export const hasEpoch = (database: DatabaseSync): boolean => idOf(database) !== 0;

/** A name for the row of numbers that the facts of this file have. */
export const epochOf = (database: DatabaseSync): string => idOf(database).toString(16).padStart(8, '0');

/** From now on the numbers are others, though they look the same. */
export function renewEpoch(database: DatabaseSync): void {
  database.exec(`pragma application_id = ${randomInt(1, 2 ** 31 - 1)}`);
}

export type Venue = 'simulated' | 'tws';

const venueNames: Readonly<Record<Venue, string>> = {
  simulated: 'the simulated gateway',
  tws: 'a TWS or IB Gateway',
};

/**
 * Notes whose orders the file holds, or throws when they are those of another venue: orders and positions of a simulation
 * would be asked for at a real broker, who never heard of them.
 */
export function claim(database: DatabaseSync, path: string, venue: Venue): void {
  database.exec('create table if not exists about (key text primary key, value text not null) strict');
  const noted = database.prepare("select value from about where key = 'venue'").get()?.value;
  if (noted === undefined) database.prepare("insert into about (key, value) values ('venue', ?)").run(venue);
  else if (noted !== venue)
    throw new Error(
      `JOURNAL_PATH: ${path} holds orders of ${venueNames[noted as Venue] ?? noted}, and GATEWAY=${venue} needs a journal of its own: set another JOURNAL_PATH, such as ./data/${venue === 'tws' ? 'paper' : 'simulated'}.db`,
    );
}
