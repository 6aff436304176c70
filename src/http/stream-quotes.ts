/** The conflated channel of quotes: its keys, its lines, and the groups in which its clients are served. */
import type { Observable } from 'rxjs';
import type { Beat } from '../../machines/market.ts';
import { type NamedContract, readInstrument } from './instrument-input.ts';
import type { MarketPort } from './options.ts';
import { invalid, type Problem, problem } from './problems.ts';
import type { StreamClient, Subscription } from './stream-client.ts';
import { QuoteGroup, type QuoteGroupOptions } from './stream-quote-group.ts';

export interface QuoteKeys {
  readonly accepted: readonly NamedContract[];
  readonly rejected: readonly { readonly key: unknown; readonly problem: Problem }[];
}

/** How much larger than the smallest a group may grow. */
const slackShare = 0.25;
const slackMin = 2;

export class QuoteChannel {
  readonly #market: MarketPort;
  readonly #groups: readonly [QuoteGroup, ...QuoteGroup[]];
  readonly #troubles: { unsubscribe(): void };
  readonly #lines = new Map<string, { readonly line: { release(): void }; users: number }>();

  constructor(market: MarketPort, beatMs: number, onFanOut: QuoteGroupOptions['onFanOut']) {
    this.#market = market;
    const groupOf = (beats: Observable<Beat>) => new QuoteGroup({ market, beats, beatMs, onFanOut });
    const [first, ...others] = market.beats;
    this.#groups = [groupOf(first), ...others.map(groupOf)];
    this.#troubles = market.quoteTrouble$.subscribe(({ key, trouble }) => {
      for (const group of this.#groups) void group.tellTrouble(key, trouble);
    });
  }

  close(): void {
    this.#troubles.unsubscribe();
    for (const group of this.#groups) group.close();
  }

  /** Which keys name an instrument; equal instruments count once. */
  static read(keys: readonly unknown[]): QuoteKeys {
    const accepted = new Map<string, NamedContract>();
    const rejected: { key: unknown; problem: Problem }[] = [];
    keys.forEach((key, index) => {
      const { value, errors } = readInstrument(key, `/keys/${index}`);
      if (value) accepted.set(value.instrument, value);
      else rejected.push({ key, problem: invalid(errors) });
    });
    return { accepted: [...accepted.values()], rejected };
  }

  /** `acknowledge` is called with the subscription and its keys before the snapshot is sent. */
  subscribe(
    client: StreamClient,
    wanted: QuoteKeys,
    acknowledge: (id: number, keys: readonly string[], rejected: QuoteKeys['rejected']) => void,
  ): Subscription {
    const rejected = [...wanted.rejected];
    const keys = wanted.accepted.flatMap((named) => {
      try {
        return [this.#acquire(named)];
      } catch (error) {
        const detail = error instanceof Error ? error.message : 'the line could not be opened';
        rejected.push({ key: named.instrument, problem: problem('data-unavailable', detail) });
        return [];
      }
    });
    const group = this.#groupFor(keys);
    const subscription = group.enter(client, keys, () => {
      for (const key of keys) this.#release(key);
    });
    acknowledge(subscription.id, keys, rejected);
    group.sendSnapshot(subscription, Date.now());
    for (const key of keys) {
      const trouble = this.#market.quoteTrouble(key);
      if (trouble) group.sendTrouble(subscription, key, trouble);
    }
    return subscription;
  }

  /** The groups stay about as large as each other; within that, those who watch the same share their frames. */
  #groupFor(keys: readonly string[]): QuoteGroup {
    const [first, ...others] = this.#groups;
    const least = others.reduce((smallest, other) => (other.size < smallest.size ? other : smallest), first);
    const most = least.size + Math.max(slackMin, least.size * slackShare);
    return this.#groups.find((group) => group.size < most && group.watches(keys)) ?? least;
  }

  /** The market hears of a key once, however many watch it: a thousand clients that come or go at once cost it nothing. */
  #acquire({ contract, instrument }: NamedContract): string {
    const known = this.#lines.get(instrument);
    if (known) known.users += 1;
    else this.#lines.set(instrument, { line: this.#market.acquire(contract, instrument), users: 1 });
    return instrument;
  }

  #release(key: string): void {
    const held = this.#lines.get(key);
    if (!held) return;
    held.users -= 1;
    if (held.users > 0) return;
    this.#lines.delete(key);
    held.line.release();
  }
}
