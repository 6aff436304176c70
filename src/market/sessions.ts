/** Whether a feed is quiet because its market closed. Asks TWS for the hours only when a feed is suspected. */
import type { Contract } from '../../machines/instrument.ts';
import type { RequestFailure } from '../../machines/market.ts';
import type { ContractDetails } from '../../machines/tws.ts';
import { isWithin } from './hours.ts';
import { isFailure } from './inquiries.ts';

/** An unanswered or refused question is not put again for so long. */
const askAgainMs = 300_000;
const answerWithinMs = 20_000;
const memoryLimit = 1000;

interface Attempt {
  readonly at: number;
  failed: boolean;
}

export class Sessions {
  private readonly attempts = new Map<string, Attempt>();
  private readonly peek: (contract: Contract) => readonly ContractDetails[] | undefined;
  private readonly ask: (contract: Contract) => Promise<readonly ContractDetails[] | RequestFailure>;

  constructor(
    peek: (contract: Contract) => readonly ContractDetails[] | undefined,
    ask: (contract: Contract) => Promise<readonly ContractDetails[] | RequestFailure>,
  ) {
    this.peek = peek;
    this.ask = ask;
  }

  /**
   * True: the market was closed when the silence began, or is now. False: it was not, or nobody can say. Null: the answer is on
   * its way. The liquid hours decide: outside them many an instrument pauses for long. A feed that last ticked outside them is not
   * excused by them.
   */
  wasClosed(contract: Contract, lastTickAt: number, silentSince: number, now: number): boolean | null {
    const details = this.peek(contract)?.[0];
    if (details) {
      const hours = details.liquidHours || details.tradingHours;
      const { timeZone } = details;
      const isClosed = (at: number): boolean => isWithin(hours, timeZone, at) === false;
      return !isClosed(lastTickAt) && (isClosed(now) || isClosed(silentSince));
    }
    const question = JSON.stringify(contract);
    const attempt = this.attempts.get(question);
    if (attempt && now - attempt.at < askAgainMs) {
      return attempt.failed || now - attempt.at > answerWithinMs ? false : null;
    }
    this.inquire(question, contract, now);
    return null;
  }

  private inquire(question: string, contract: Contract, now: number): void {
    if (this.attempts.size >= memoryLimit) this.attempts.clear();
    const attempt: Attempt = { at: now, failed: false };
    this.attempts.set(question, attempt);
    this.ask(contract).then(
      (answer) => {
        if (!isFailure(answer)) attempt.failed = answer.length === 0;
        else if (answer.failed.code === 'too-many-requests') this.attempts.delete(question);
        else attempt.failed = true;
      },
      () => {
        attempt.failed = true;
      },
    );
  }
}
