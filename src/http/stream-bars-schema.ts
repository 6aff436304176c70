/** Rows of the channel `bars`, and the sizes that it streams. */
import Type from 'typebox';
import { streamedBarSizes } from '../../machines/feed.ts';
import { LineStatus, rowMembers } from './stream-line-schema.ts';
import { BarView } from './view-schema.ts';

/** Of a subscription to `bars`; `1 min` when it is left out. */
export const BarSize = Type.Enum([...streamedBarSizes]);

const StreamedBarView = Type.Object({
  ...BarView.properties,
  corrected: Type.Optional(
    Type.Literal(true, { description: 'its figures changed after it had been shown as closed' }),
  ),
});

/** Bars that are new or changed, ascending; a bar replaces the one of the same `time`. */
export const BarsRow = Type.Object({
  ...rowMembers,
  bars: Type.Optional(Type.Array(StreamedBarView)),
  status: Type.Optional(LineStatus),
  gapAfter: Type.Optional(
    Type.String({
      description:
        'The bars of this row do not reach back to the ones before: after this one, ask for those between over HTTP.',
    }),
  ),
});
