/** Questions to TWS that several readers may ask at once: asked once, answered to all, remembered for a while. */
import type { RequestFailure } from '../../machines/market.ts';

export interface InquiryOptions<Answer> {
  readonly now: () => number;
  /** answers kept; 0 keeps none. The least recently used goes first */
  readonly capacity: number;
  /** how long an answer is good, ms */
  readonly goodForMs: number;
  /** questions under way at once; beyond it `too-many-requests` is the answer */
  readonly concurrency: number;
  /** tells a failure from an answer; failures are not remembered */
  readonly isFailure: (answer: Answer | RequestFailure) => answer is RequestFailure;
}

export class Inquiries<Answer> {
  private readonly options: InquiryOptions<Answer>;
  private readonly answers = new Map<string, { readonly answer: Answer; readonly at: number }>();
  private readonly open = new Map<string, Promise<Answer | RequestFailure>>();

  constructor(options: InquiryOptions<Answer>) {
    this.options = options;
  }

  /** What is remembered and still good. */
  peek(key: string): Answer | undefined {
    const found = this.answers.get(key);
    if (found === undefined) return undefined;
    this.answers.delete(key);
    if (this.options.now() - found.at > this.options.goodForMs) return undefined;
    this.answers.set(key, found);
    return found.answer;
  }

  /** The remembered answer, the one under way, or a new one. Rejects only if `ask` does. */
  get(key: string, ask: () => Promise<Answer | RequestFailure>): Promise<Answer | RequestFailure> {
    const known = this.peek(key);
    if (known !== undefined) return Promise.resolve(known);
    const underWay = this.open.get(key);
    if (underWay) return underWay;
    if (this.open.size >= this.options.concurrency) {
      return Promise.resolve({
        failed: {
          code: 'too-many-requests',
          message: `${this.open.size} questions of this kind are under way; ask again later`,
        },
        retryAfterMs: 1000,
      });
    }
    const asked = ask()
      .then((answer) => {
        if (!this.options.isFailure(answer)) this.remember(key, answer);
        return answer;
      })
      .finally(() => this.open.delete(key));
    this.open.set(key, asked);
    return asked;
  }

  private remember(key: string, answer: Answer): void {
    if (this.options.capacity <= 0) return;
    this.answers.delete(key);
    this.answers.set(key, { answer, at: this.options.now() });
    for (const oldest of this.answers.keys()) {
      if (this.answers.size <= this.options.capacity) break;
      this.answers.delete(oldest);
    }
  }
}

export const isFailure = (answer: object): answer is RequestFailure => 'failed' in answer;

/** One text for equal questions, whatever the order of their fields. */
export function questionOf(value: unknown): string {
  return JSON.stringify(value, (_, part: unknown) =>
    typeof part === 'object' && part !== null && !Array.isArray(part)
      ? Object.fromEntries(Object.entries(part).sort(([a], [b]) => (a < b ? -1 : 1)))
      : part,
  );
}
