/** The messages of a call that its record proves, in order, between the parties that it names. */
import type { Attempt, CdrDetail } from '../api/resources';

export interface Party {
  name: string;
  address: string;
}

export interface Arrow {
  /** Milliseconds since the call arrived. */
  atMs: number;
  from: number;
  to: number;
  label: string;
  kind: 'request' | 'progress' | 'success' | 'failure' | 'silence';
  /** 0: customer's leg; n: attempt n. */
  leg: number;
  /** Key of an end reason, for the words beside the arrow. */
  reason?: string;
  text?: string;
}

export interface Ladder {
  parties: Party[];
  arrows: Arrow[];
}

const CALLER = 0;
const SWITCH = 1;

export function ladderOf(cdr: CdrDetail): Ladder {
  const parties: Party[] = [
    { name: cdr.mapping_gateway ?? cdr.caller, address: cdr.remote_a ?? '' },
    { name: '', address: '' },
  ];
  const start = Date.parse(cdr.start);
  const at = (iso: string) => Date.parse(iso) - start;
  const arrows: Arrow[] = [{ atMs: 0, from: CALLER, to: SWITCH, label: 'INVITE', kind: 'request', leg: 0 }];
  cdr.attempts.forEach((attempt, i) => {
    arrows.push(...attemptArrows(attempt, i + 1, partyOf(parties, attempt), at, cdr.answer));
  });
  if (cdr.ringing)
    arrows.push({ atMs: at(cdr.ringing), from: SWITCH, to: CALLER, label: '180', kind: 'progress', leg: 0 });
  if (cdr.answer) {
    arrows.push({ atMs: at(cdr.answer), from: SWITCH, to: CALLER, label: '200', kind: 'success', leg: 0 });
    arrows.push(...releaseArrows(cdr, at(cdr.end), parties.length - 1));
  } else {
    arrows.push(...refusalArrows(cdr, at(cdr.end)));
  }
  // The sort is stable, so messages of one instant stay in the order in which they must have happened.
  return { parties, arrows: arrows.sort((a, b) => a.atMs - b.atMs) };
}

/** One lifeline for each gateway, however often it was tried. */
function partyOf(parties: Party[], attempt: Attempt): number {
  const known = parties.findIndex((p, i) => i > SWITCH && p.name === attempt.gateway);
  if (known > 0) return known;
  parties.push({ name: attempt.gateway, address: attempt.remote ?? '' });
  return parties.length - 1;
}

function attemptArrows(
  attempt: Attempt,
  leg: number,
  party: number,
  at: (iso: string) => number,
  answer: string | null | undefined,
): Arrow[] {
  const answered = attempt.result === 'answered';
  const arrows: Arrow[] = [{ atMs: at(attempt.start), from: SWITCH, to: party, label: 'INVITE', kind: 'request', leg }];
  if (attempt.ringing)
    arrows.push({ atMs: at(attempt.ringing), from: party, to: SWITCH, label: '180', kind: 'progress', leg });
  if (answered) {
    // An attempt that was answered ends with the call; its 200 came with the answer.
    arrows.push({ atMs: at(answer ?? attempt.end), from: party, to: SWITCH, label: '200', kind: 'success', leg });
  } else if (attempt.sip_code > 0) {
    const text = attempt.text ?? undefined;
    arrows.push({
      atMs: at(attempt.end),
      from: party,
      to: SWITCH,
      label: String(attempt.sip_code),
      kind: 'failure',
      leg,
      reason: attempt.result,
      text,
    });
  } else {
    arrows.push({
      atMs: at(attempt.end),
      from: SWITCH,
      to: party,
      label: 'CANCEL',
      kind: 'silence',
      leg,
      reason: attempt.result,
    });
  }
  return arrows;
}

function releaseArrows(cdr: CdrDetail, atMs: number, party: number): Arrow[] {
  const leg = cdr.attempts.length;
  const toSwitchA: Arrow = {
    atMs,
    from: CALLER,
    to: SWITCH,
    label: 'BYE',
    kind: 'request',
    leg: 0,
    reason: cdr.end_reason,
  };
  const toSwitchB: Arrow = {
    atMs,
    from: party,
    to: SWITCH,
    label: 'BYE',
    kind: 'request',
    leg,
    reason: cdr.end_reason,
  };
  const toA: Arrow = { atMs, from: SWITCH, to: CALLER, label: 'BYE', kind: 'request', leg: 0 };
  const toB: Arrow = { atMs, from: SWITCH, to: party, label: 'BYE', kind: 'request', leg };
  if (cdr.ended_by === 'caller') return [toSwitchA, toB];
  if (cdr.ended_by === 'callee') return [toSwitchB, toA];
  return [{ ...toA, reason: cdr.end_reason }, toB];
}

function refusalArrows(cdr: CdrDetail, atMs: number): Arrow[] {
  if (cdr.end_reason === 'caller_cancelled') {
    return [
      { atMs, from: CALLER, to: SWITCH, label: 'CANCEL', kind: 'request', leg: 0, reason: cdr.end_reason },
      { atMs, from: SWITCH, to: CALLER, label: '487', kind: 'failure', leg: 0 },
    ];
  }
  const label = cdr.sip_code > 0 ? String(cdr.sip_code) : '…';
  return [{ atMs, from: SWITCH, to: CALLER, label, kind: 'failure', leg: 0, reason: cdr.end_reason }];
}
