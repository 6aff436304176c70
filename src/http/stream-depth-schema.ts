/** Rows of the channel `depth`. */
import Type from 'typebox';
import { LineStatus, rowMembers } from './stream-line-schema.ts';

const Levels = Type.Array(
  Type.Union([
    Type.Tuple([Type.Number(), Type.Number()]),
    Type.Tuple([Type.Number(), Type.Number(), Type.String()]),
  ]),
  {
    description:
      'Best first: price, size, and the market maker, or in a book of several exchanges the exchange. Always a whole side.',
  },
);

/** In an update, a side that did not change is absent. */
export const DepthRow = Type.Object({
  ...rowMembers,
  bids: Type.Optional(Levels),
  asks: Type.Optional(Levels),
  status: Type.Optional(LineStatus),
});
