/** Time ranges as operators say them, in their own time zone. */
export const RANGES = ['15m', '1h', 'today', 'yesterday', '7d', 'all'] as const;
export type RangeName = (typeof RANGES)[number];

const MINUTE = 60_000;
const DAY = 24 * 60 * MINUTE;

function midnight(at: Date): Date {
  return new Date(at.getFullYear(), at.getMonth(), at.getDate());
}

/** Limits for the API; a side that is open is missing. */
export function limitsOf(range: string, now: Date): { from?: string; to?: string } {
  const back = (ms: number) => ({ from: new Date(now.getTime() - ms).toISOString() });
  switch (range) {
    case '15m':
      return back(15 * MINUTE);
    case '1h':
      return back(60 * MINUTE);
    case 'today':
      return { from: midnight(now).toISOString() };
    case 'yesterday': {
      const today = midnight(now);
      // Through the calendar, not by 24 hours: a day with a change of clocks has 23 or 25.
      const from = new Date(today.getFullYear(), today.getMonth(), today.getDate() - 1);
      return { from: from.toISOString(), to: today.toISOString() };
    }
    case '7d':
      return back(7 * DAY);
    default:
      return {};
  }
}
