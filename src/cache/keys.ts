/** What is called how in Redis, and how long it lives there. */

/** How long values live without being written again, in ms. */
export const lifetimes = {
  /** a quote says itself how old it is: long enough for a night without the process */
  quoteMs: 24 * 3_600_000,
  /** nobody may take the orders of a process that is gone for living ones */
  tableMs: 60_000,
  /** whoever reads this key knows that the process lives */
  runtimeMs: 15_000,
} as const;

/** A longer text is not sent: a single value must not fill a Redis or hold up the others. */
export const longestText = 1_048_576;

/** Names under one prefix. Several runtimes on one Redis have a prefix each. */
export function namesUnder(prefix: string) {
  return {
    /** string: the flat row of the stream as JSON, and the environment that it was seen in */
    quote: (instrument: string): string => `${prefix}:quote:${instrument}`,
    quotePattern: `${prefix.replaceAll(/[\\*?[\]]/g, '\\$&')}:quote:*`,
    /** hash: clientOrderId -> order as JSON; open orders only */
    orders: `${prefix}:orders`,
    /** hash: account|instrument -> position as JSON; without those of quantity 0 */
    positions: `${prefix}:positions`,
    /** string: {name, version, environment, journalSeq, ts} as JSON */
    runtime: `${prefix}:runtime`,
    /** channel: {ts, rows} for each beat in which something changed, whole rows */
    quotesChannel: `${prefix}:quotes`,
    /** channel: every fact in the order of the journal, {journalSeq, ts, channel, event, ...} */
    factsChannel: `${prefix}:facts`,
  } as const;
}
export type Names = ReturnType<typeof namesUnder>;
