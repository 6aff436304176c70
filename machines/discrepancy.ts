/** Differences between the broker's books and ours, by name: what was found, since when, and how it ended. Pure. */

/** What can differ. A code is never reused for another meaning. */
export const discrepancyCodes = [
  /** we hold it, and a complete list of the broker's positions does not */
  'position-missing',
  /** the broker's quantity moved, and no execution says why */
  'position-unexplained',
  /** the broker's portfolio values another quantity than its list of positions holds */
  'portfolio-differs',
  /** an order is in none of the broker's lists: one that was acknowledged, or one of a day that they tell no more of */
  'order-missing',
  /** executions of a day that the broker no longer lists were never asked for */
  'executions-gap',
] as const;
export type DiscrepancyCode = (typeof discrepancyCodes)[number];

export type DiscrepancySubject =
  | { readonly kind: 'position'; readonly account: string; readonly instrument: string }
  | {
      readonly kind: 'order';
      readonly clientOrderId: string;
      readonly account: string;
      readonly instrument: string;
    }
  | { readonly kind: 'accounts'; readonly accounts: readonly string[] };

/** One difference as it is found at present. */
export interface Finding {
  readonly code: DiscrepancyCode;
  readonly subject: DiscrepancySubject;
  /** figures and times that show it, by name */
  readonly evidence: Readonly<Record<string, string | number | null>>;
  /** true: the difference stands, but the position itself is beyond doubt by now */
  readonly isCertain?: true;
}

/** How a difference ended. */
export type DiscrepancyEnd =
  /** executions came that say why */
  | 'explained'
  /** both sides say the same again */
  | 'agreed'
  /** nobody explained it, and the broker's lists hold on to it: its word is taken */
  | 'accepted';

export interface Discrepancy extends Finding {
  /** RFC 3339 */
  readonly firstSeen: string;
  /** null while it lasts */
  readonly done: { readonly at: string; readonly how: DiscrepancyEnd } | null;
}

export interface DiscrepancyBook {
  readonly open: readonly Discrepancy[];
  /** newest last, bounded */
  readonly done: readonly Discrepancy[];
}

export const emptyDiscrepancies: DiscrepancyBook = { open: [], done: [] };
const doneDiscrepanciesMax = 100;

/** The name of what differs, equal for equal subjects. */
function subjectKey(subject: DiscrepancySubject): string {
  switch (subject.kind) {
    case 'position':
      return `position ${subject.account} ${subject.instrument}`;
    case 'order':
      return `order ${subject.clientOrderId}`;
    case 'accounts':
      return 'accounts';
  }
}

/**
 * The book after everything that is found about one subject at present was stated: what is new begins, what is no
 * longer found ends by `how`, what lasts keeps its beginning and takes the newest evidence.
 */
export function withFindings(
  book: DiscrepancyBook,
  subject: DiscrepancySubject,
  findings: readonly Finding[],
  how: DiscrepancyEnd,
  at: number,
): {
  readonly book: DiscrepancyBook;
  readonly raised: readonly Discrepancy[];
  readonly resolved: readonly Discrepancy[];
} {
  const key = subjectKey(subject);
  const now = new Date(at).toISOString();
  const concerned = book.open.filter((each) => subjectKey(each.subject) === key);
  const lasting: Discrepancy[] = [];
  const resolved: Discrepancy[] = [];
  for (const each of concerned) {
    const found = findings.find(({ code }) => code === each.code);
    if (found) lasting.push({ ...found, firstSeen: each.firstSeen, done: null });
    else resolved.push({ ...each, done: { at: now, how } });
  }
  const raised = findings
    .filter(({ code }) => !concerned.some((each) => each.code === code))
    .map((finding): Discrepancy => ({ ...finding, firstSeen: now, done: null }));
  return {
    raised,
    resolved,
    book: {
      open: [...book.open.filter((each) => subjectKey(each.subject) !== key), ...lasting, ...raised],
      done: [...book.done, ...resolved].slice(-doneDiscrepanciesMax),
    },
  };
}

/** Accounts and instruments in which a position is uncertain at present. */
export const uncertainPositions = (
  book: Pick<DiscrepancyBook, 'open'>,
): readonly { readonly account: string; readonly instrument: string }[] =>
  book.open.flatMap(({ subject, isCertain }) =>
    subject.kind === 'position' && !isCertain
      ? [{ account: subject.account, instrument: subject.instrument }]
      : [],
  );

/** A difference as clients see it. `age` in ms: until now, or until it ended. */
export const discrepancyView = (
  discrepancy: Discrepancy,
  at: number,
): Discrepancy & { readonly age: number } => ({
  ...discrepancy,
  age: Math.max(
    0,
    (discrepancy.done ? Date.parse(discrepancy.done.at) : at) - Date.parse(discrepancy.firstSeen),
  ),
});
