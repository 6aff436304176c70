import { equals, isZero, toDecimal } from '../../../machines/decimal.ts';
import type { Checker } from '../observation.ts';

/** The positions that a restart would find are the broker's. */
export const positionsAgree: Checker = {
  name: 'positions agree',
  *atRest({ exchange, journal, gate }) {
    const held = new Map(
      exchange
        .positions()
        .map(({ account, contract, position }) => [`${account}|${contract.conId}`, position]),
    );
    const { positions } = journal.restore(0);
    const seen = new Set<string>();
    for (const { account, instrument, contract, quantity } of positions) {
      const key = `${account}|${contract.conId}`;
      const name = `${account}|${instrument}`;
      if (seen.has(key)) yield `${name} is listed twice`;
      seen.add(key);
      if (!equals(quantity, toDecimal(held.get(key) ?? 0) ?? '0'))
        yield `${name} is ${quantity}, the broker holds ${held.get(key) ?? 0}`;
      if (!equals(gate.positions[name] ?? '0', quantity))
        yield `${name} is ${quantity} and the gate reckons with ${gate.positions[name]}`;
    }
    for (const [key, quantity] of held) {
      if (!seen.has(key) && !isZero(toDecimal(quantity) ?? '0'))
        yield `${key} is missing, the broker holds ${quantity}`;
    }
    if (gate.uncertain.length > 0) yield `the gate holds ${gate.uncertain.join(' ')} for uncertain`;
  },
};
