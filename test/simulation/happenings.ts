/** What happens without anybody of ours asking for it: the market, the book, other people, and everything that breaks. */
import { executionFamily } from '../../machines/order.ts';
import type { VirtualClock } from '../../src/simulator/clock.ts';
import type { BookOrder, Exchange, Execution } from '../../src/simulator/model.ts';
import { toContract } from './broker-words.ts';
import { firstPrice, type MarketRow, marketOf, onTick, stocks } from './markets.ts';
import { account, type Step } from './plan.ts';
import { clientId } from './process.ts';
import type { Tws } from './tws.ts';

/** Steps that nobody of ours asks for. */
export type Happening = Exclude<
  Step,
  {
    kind:
      | 'submit'
      | 'repeat'
      | 'modify'
      | 'cancel'
      | 'cancelAll'
      | 'kill'
      | 'halt'
      | 'reduce'
      | 'open'
      | 'preview'
      | 'lease'
      | 'pnl'
      | 'crash';
  }
>;

export interface HappeningOptions {
  readonly clock: VirtualClock;
  readonly exchange: Exchange;
  readonly tws: Tws;
  readonly pin: (market: MarketRow, bid: number, ask: number) => void;
  readonly note: (topic: string, text: string) => void;
  /** nothing goes wrong any more */
  readonly isOver: () => boolean;
  readonly failDisk: (isFailing: boolean) => void;
}

export function createHappenings({ clock, exchange, tws, pin, note, isOver, failDisk }: HappeningOptions) {
  const externals = new Map<string, number>();

  const later = (ms: number, run: () => void): void => {
    clock.setTimeout(() => {
      if (!isOver()) run();
    }, ms);
  };

  /** Levers of the book complain about orders that are gone; a plan cannot know. */
  const lever = (run: () => void): void => {
    try {
      run();
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      note('book', `nothing: ${error.message}`);
    }
  };

  const isCalled = ({ request }: BookOrder, name: string): boolean =>
    request.orderRef === name && request.clientId === clientId;
  const openOrder = (name: string): BookOrder | undefined =>
    exchange.openOrders().find((order) => order.permId === externals.get(name) || isCalled(order, name));

  function befall(step: Happening) {
    const { at: _, kind, ...rest } = step;
    note('event', `${kind} ${JSON.stringify(rest)}`);
    switch (step.kind) {
      case 'quote':
        return moveMarket(step);
      case 'fill':
        return lever(() => {
          const order = openOrder(step.name);
          if (order === undefined) return;
          const shares = Math.max(1, Math.round(order.remaining * step.share));
          const price = order.contract.secType === 'BAG' ? 1 : firstPrice;
          exchange.script.fill(order.permId, Math.min(shares, order.remaining), price);
        });
      case 'correct':
        return lever(() => {
          const current = newest(exchange);
          const chosen = current[Math.floor(step.pick * current.length)];
          if (chosen === undefined) return;
          const change =
            step.how === 'bust'
              ? { shares: 0 }
              : step.how === 'price'
                ? { price: chosen.price + 0.5 }
                : { shares: Math.max(1, Math.floor(chosen.shares / 2)) };
          exchange.script.correct(chosen.execId, change);
        });
      case 'end':
        return endOrder(step);
      case 'external':
        return addExternal(step);
      case 'elsewhere':
        return changeElsewhere(step);
      case 'twin':
        return lever(() => {
          const order = openOrder(step.name);
          if (order === undefined || externals.has(step.name)) return;
          exchange.script.external(order.request);
        });
      case 'globalCancel':
        return exchange.cancelAll();
      case 'liquidate':
        return lever(() => exchange.script.liquidate(account, marketOf(step.symbol).conId ?? 0));
      case 'setPosition': {
        const { conId } = marketOf(step.symbol);
        return exchange.script.setPosition(account, conId ?? 0, step.quantity, firstPrice);
      }
      case 'rejectNext':
        return exchange.script.rejectNext(step.code, 'Order rejected - reason:asked for', step.times);
      case 'diskFailure':
        failDisk(true);
        return later(step.forMs, () => failDisk(false));
      default:
        return breakLink(step);
    }
  }

  type Of<K extends Happening['kind']> = Extract<Happening, { kind: K }>;

  /** What follows one stock moves the future with it. */
  function moveMarket({ symbol, bid, ask, liquidity }: Of<'quote'>): void {
    const market = marketOf(symbol);
    pin(market, bid, ask);
    exchange.script.setLiquidity(market.conId ?? 0, liquidity);
    const future = marketOf('ES');
    if (market !== stocks[0]) return;
    pin(future, onTick(bid, future) - future.tick, onTick(ask, future) + future.tick);
  }

  function endOrder({ name, how }: Of<'end'>): void {
    lever(() => {
      const permId = externals.get(name) ?? openOrder(name)?.permId;
      if (permId === undefined) return;
      if (how !== 'Held') return exchange.script.end(permId, how);
      const why = { whyHeld: 'locate', code: 404, text: 'shares are located' };
      exchange.script.end(permId, 'Inactive', why);
      later(5_000, () => lever(() => exchange.script.unhold(permId)));
    });
  }

  function addExternal(step: Of<'external'>): void {
    lever(() => {
      const order = exchange.script.external({
        clientId: step.clientId,
        orderId: step.clientId === 0 ? 0 : Number(step.name.slice(1)) + 1,
        contract: toContract(marketOf(step.symbol).contract),
        action: step.action,
        totalQuantity: step.quantity,
        orderType: step.limit === null ? 'MKT' : 'LMT',
        lmtPrice: step.limit,
        tif: 'GTC',
        account,
      });
      externals.set(step.name, order.permId);
    });
  }

  /** In TWS, or by the client that made it. Orders of TWS itself have no number by which they could be changed here. */
  function changeElsewhere({ name, limit, share }: Of<'elsewhere'>): void {
    const order = openOrder(name);
    if (order === undefined || order.request.orderId <= 0) return;
    const { request, filled } = order;
    const lmtPrice = request.lmtPrice === null || limit === null ? request.lmtPrice : limit;
    const totalQuantity = Math.max(filled + 1, Math.round(request.totalQuantity * share));
    exchange.place({ ...request, lmtPrice, totalQuantity, transmit: true });
  }

  function breakLink(
    step: Of<'drop' | 'restart' | 'outage' | 'freeze' | 'clientIdInUse' | 'severed' | 'dialog'>,
  ) {
    switch (step.kind) {
      case 'drop':
        return tws.drop();
      case 'restart':
        tws.goDown();
        tws.forget(step.rollBack);
        return later(step.forMs, () => tws.comeUp());
      case 'outage':
        tws.goDown();
        return later(step.forMs, () => tws.comeUp());
      case 'freeze':
        tws.freeze(true);
        return later(step.forMs, () => tws.freeze(false));
      case 'clientIdInUse':
        tws.holdClientId(clock.now() + step.forMs);
        return tws.drop();
      case 'severed':
        tws.lose(step.policy);
        return later(step.forMs, () => tws.restore(step.replay, step.dataLost));
      case 'dialog':
        tws.openDialog();
        return later(step.forMs, () => tws.closeDialog());
    }
  }

  return {
    befall,
    /** Everything that is broken works again; what was done remains. */
    end(): void {
      exchange.script.rejectNext(0, '', 0);
      tws.comeUp();
      tws.holdClientId(0);
      tws.freeze(false);
      tws.restore('events', true);
      tws.closeDialog();
      for (const { permId, whyHeld } of exchange.openOrders())
        if (whyHeld !== '') lever(() => exchange.script.unhold(permId));
    },
  };
}

/** The newest revision of each execution, busted ones left out. Combinations and their legs are never corrected. */
function newest(exchange: Exchange): readonly Execution[] {
  const families = new Map<string, Execution>();
  const filter = { clientId: 0, account: '', since: null, symbol: '', secType: '', exchange: '', side: '' };
  for (const execution of exchange.executions(filter))
    families.set(executionFamily(execution.execId), execution);
  return [...families.values()].filter(({ shares, execId }) => shares > 0 && isSingle(families, execId));
}

const isSingle = (families: ReadonlyMap<string, Execution>, execId: string): boolean =>
  execId.split('.').at(-2) === '01' &&
  !families.has(executionFamily(execId.replace(/\.01\.(\d+)$/, '.02.$1')));
