/** What rows of `depth`, `trades` and `bars` have in common. */
import Type from 'typebox';

export const LineStatus = Type.Enum(['live', 'delayed', 'frozen', 'stale', 'halted']);

export const rowMembers = {
  key: Type.String({ description: 'the instrument' }),
  merged: Type.Optional(Type.Integer({ description: 'changes folded into the row; absent in snapshots' })),
  ts: Type.Number({ description: 'when the newest bytes of it were read, ms since the epoch' }),
};
