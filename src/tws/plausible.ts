/**
 * What a message of TWS must be besides readable before it may touch the books. Nothing that TWS really says fails here; what a
 * damaged message says usually does.
 */
import type { Contract } from '../../machines/instrument.ts';
import type { BrokerFact } from '../../machines/tws.ts';

type FactOf<T extends BrokerFact['type']> = Extract<BrokerFact, { type: T }>;

const word = /^[\x21-\x7e]{1,64}$/;
const remembered = 20_000;

/** Why this cannot be meant; null: nothing speaks against it. */
export interface Plausibility {
  execution(fact: FactOf<'broker.executed'>, accounts: readonly string[]): string | null;
  position(fact: FactOf<'broker.positionSeen'>, accounts: readonly string[]): string | null;
}

/** Remembers executions over sessions: TWS tells each of them often, and always the same. */
export function createPlausibility(): Plausibility {
  const told = new Map<string, FactOf<'broker.executed'>>();
  return {
    execution(fact, accounts) {
      const { execId, account, contract } = fact.execution;
      if (!word.test(execId)) return 'an execution whose id is none';
      const problem = strangeAccount(account, accounts) ?? strangeContract(contract);
      if (problem) return `an execution ${problem}`;
      const before = told.get(execId);
      if (before === undefined) {
        if (told.size >= remembered) told.delete(told.keys().next().value ?? '');
        told.set(execId, fact);
        return null;
      }
      if (isSame(before, fact)) return null;
      // one of the two is damaged, and nobody knows which: the next telling counts
      told.delete(execId);
      return `the execution ${execId}, told otherwise than before`;
    },
    position({ account, contract }, accounts) {
      const problem = strangeAccount(account, accounts) ?? strangeContract(contract);
      return problem && `a position ${problem}`;
    },
  };
}

/** A correction has an id of its own: under one id the same is said for ever. Ids of the order may come later, and never change. */
function isSame(before: FactOf<'broker.executed'>, now: FactOf<'broker.executed'>): boolean {
  const [a, b] = [before.execution, now.execution];
  const [ids, others] = [before.ids, now.ids];
  const isNew = (one: number | string, other: number | string) =>
    Number(one) !== 0 && Number(other) !== 0 && one !== other;
  return (
    a.account === b.account &&
    a.side === b.side &&
    a.quantity === b.quantity &&
    a.price === b.price &&
    a.contract.conId === b.contract.conId &&
    !isNew(ids.permId, others.permId) &&
    !(ids.clientId === others.clientId && isNew(ids.orderId, others.orderId))
  );
}

function strangeAccount(account: string, accounts: readonly string[]): string | null {
  return accounts.length === 0 || accounts.includes(account) ? null : 'of an account that TWS did not list';
}

function strangeContract({ conId, secType, currency, symbol = '' }: Contract): string | null {
  if (conId !== undefined && !(Number.isSafeInteger(conId) && conId > 0))
    return 'in a contract without a number';
  if (secType !== undefined && !/^[A-Z]{2,8}$/.test(secType)) return `in a contract of the type "${secType}"`;
  if (currency !== undefined && !/^[A-Z]{3}$/.test(currency)) return `in the currency "${currency}"`;
  // no letter of a name is a control character
  return /[^\x20-\x7e\u00a0-\uffff]|\ufffd/.test(symbol) ? 'in a contract whose symbol is none' : null;
}
