/** Rows of the channel `trades`. */
import Type from 'typebox';
import { LineStatus, rowMembers } from './stream-line-schema.ts';

const marked = (description: string) => Type.Optional(Type.Literal(true, { description }));

const PrintView = Type.Object({
  time: Type.Number({
    description: 'when it traded, to the second, as the exchange tells it; ms since the epoch',
  }),
  price: Type.Number(),
  size: Type.Number(),
  exchange: Type.String(),
  conditions: Type.Optional(Type.String({ description: "the exchange's own marks" })),
  pastLimit: marked('beyond the limits of the day'),
  unreported: marked('not reported to the tape: odd lots, averages, derivatives'),
  backfilled: marked('from before the line was opened'),
  gap: marked('the line was down or in doubt before this print: some may be missing'),
  ts: Type.Number({ description: "when TWS's bytes were read, ms since the epoch" }),
});

/** Every print since the last row, oldest first, at most the newest 500. */
export const TradesRow = Type.Object({
  ...rowMembers,
  trades: Type.Optional(Type.Array(PrintView)),
  status: Type.Optional(LineStatus),
  dropped: Type.Optional(
    Type.Integer({ description: 'prints since the last row that this one had no room for: the oldest ones' }),
  ),
});
